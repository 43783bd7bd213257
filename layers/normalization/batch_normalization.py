"""Batch normalization in one native operation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from ..core.backend import fused_batch_normalization

__all__ = ["FusedBatchNormalization"]


@keras.saving.register_keras_serializable(package="cnnapp")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Normalize as `keras.layers.BatchNormalization` does, in one operation where the backend has one.

    `y = gamma * (x - mean) / sqrt(variance + epsilon) + beta`, with the statistics of the batch in training and their
    moving averages otherwise. Arguments, weights and results are those of the class it extends. On TensorFlow it is
    one operation, which inference can merge into the convolution before it. Where the native operation does not apply
    (another backend, rank or axis, float64, a mask, `renorm`, `synchronized`, no scale or no centre), Keras's own is
    used.

    Args:
        axis: int, the axis of the channels.
        momentum: how much of the moving averages is kept at each step.
        epsilon: added to the variance.
        center: whether beta is added.
        scale: whether gamma is multiplied.
        beta_initializer: as in Keras.
        gamma_initializer: as in Keras.
        moving_mean_initializer: as in Keras.
        moving_variance_initializer: as in Keras.
        beta_regularizer: as in Keras.
        gamma_regularizer: as in Keras.
        beta_constraint: as in Keras.
        gamma_constraint: as in Keras.
        synchronized: whether the batch is that of all devices together.
        renorm: as in Keras.
        renorm_clipping: as in Keras.
        renorm_momentum: as in Keras.
        **kwargs: `name`, `dtype`, `trainable`.

    Input shape:
        Any; `(batch, height, width, channels)` with `axis=-1` is fast.

    Output shape:
        That of the input.

    Raises:
        ValueError: if an argument breaks Keras's rule for it.

    Example:
        >>> import numpy as np
        >>> layer = FusedBatchNormalization(epsilon=1e-3)
        >>> y = layer(np.array([[[[0.0]], [[2.0]]]], "float32"), training=True)
        >>> [round(float(v), 3) for v in keras.ops.reshape(y, (-1,))]
        [-1.0, 1.0]

    Reference:
        Ioffe, Szegedy (2015), "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
        Shift".
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return normalized inputs; in training, move the averages."""
        last = len(inputs.shape) - 1
        plain = (
            mask is None
            and self.scale
            and self.center
            and not (self.renorm or self.synchronized)
            and self.axis in (-1, last)
        )
        if not plain:
            return super().call(inputs, training=training, mask=mask)
        learning = bool(training) and self.trainable
        weights = (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        found = fused_batch_normalization(inputs, *weights, epsilon=self.epsilon, training=learning)
        if found is None:
            return super().call(inputs, training=training)
        outputs, mean, variance = found
        if learning:
            for average, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                average.assign(average * self.momentum + ops.cast(now, average.dtype) * (1.0 - self.momentum))
        return ops.cast(outputs, self.compute_dtype)
