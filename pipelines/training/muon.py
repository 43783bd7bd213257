"""Muon for convolutions: kernels are updated by matrices whose singular values are all alike."""

from __future__ import annotations

import re
from typing import Any

import keras
from keras import ops

__all__ = ["OUTPUT_LAYERS", "KernelMuon"]

OUTPUT_LAYERS = r"(^|/)(logits|score|scores\w*|box)/"
"""The paths of the last layers of :mod:`pipelines.models`, which, as biases and norms, are left to AdamW."""


@keras.saving.register_keras_serializable(package="cnnapp")
class KernelMuon(keras.optimizers.Muon):
    """Keras's Muon, which takes matrices alone, for the kernels of convolutions as well.

    A kernel of a convolution is taken as the matrix from all that a unit sees to the output channels: its last axis
    against all others together. The momentum is brought near to the orthogonal matrix next to it by five steps of a
    Newton-Schulz iteration, and scaled so that an entry moves about as far as AdamW would move it; the usual learning
    rates of AdamW do. Everything but matrices and kernels of four axes is AdamW's, with the same rate and decay.

    Args:
        learning_rate: a float or a schedule.
        weight_decay: decoupled from the gradient, of all variables that are not excluded from it.
        **arguments: of ``keras.optimizers.Muon``.

    Example:
        >>> kernel = keras.Variable(keras.ops.zeros((2, 2, 1, 2)))
        >>> optimizer = KernelMuon(1.0, weight_decay=0.0, rms_rate=None)
        >>> optimizer.build([kernel])
        >>> optimizer.apply([keras.ops.reshape([3.0, 0, 0, 0, 0, 0, 0, 5.0], (2, 2, 1, 2))], [kernel])
        >>> [abs(round(float(value))) for value in keras.ops.reshape(kernel, (-1,))]
        [1, 0, 0, 0, 0, 0, 0, 1]

    Reference:
        Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks"; Liu et al. (2025), "Muon is
        Scalable for LLM Training" (the scale of a step).
    """

    def __init__(self, learning_rate: Any = 2e-3, weight_decay: float = 0.05, **arguments: Any) -> None:
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            adam_weight_decay=weight_decay,
            exclude_layers=arguments.pop("exclude_layers", [OUTPUT_LAYERS]),
            **arguments,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {name: value for name, value in super().get_config().items() if name != "adam_weight_decay"}

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        if len(variable.shape) == 4:
            return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)
        return bool(super()._should_use_adamw(variable))

    def _apply_weight_decay(self, variables: Any) -> None:
        # Keras's own of Muon assigns to variables one by one, which several devices must not.
        keras.optimizers.Optimizer._apply_weight_decay(self, variables)

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        self.assign_add(m, ops.add(gradient, m * (self.momentum - 1)))
        direction = ops.add(gradient, self.momentum * m) if self.nesterov else m
        matrix = ops.reshape(direction, (-1, variable.shape[-1]))
        update = self.lr_adjust(lr * self.zeropower_via_newtonschulz5(matrix, self.ns_steps))
        self.assign_sub(variable, ops.reshape(update, variable.shape))

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Keras's iteration, carried out on products of the shorter side alone; kernels have one much longer side.

        Every step multiplies by a polynomial of x's own Gram matrix, and polynomials of one matrix commute.
        """
        rows, columns = x.shape
        x = x / (ops.norm(x) + 1e-7)
        gram = x @ ops.transpose(x) if rows < columns else ops.transpose(x) @ x
        identity = ops.eye(min(rows, columns), dtype=x.dtype)
        product = identity
        for _ in range(steps):
            polynomial = self.muon_a * identity + self.muon_b * gram + self.muon_c * gram @ gram
            product = product @ polynomial
            gram = polynomial @ gram @ polynomial
        return product @ x if rows < columns else x @ product
