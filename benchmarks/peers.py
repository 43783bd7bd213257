"""One computation as each framework runs it in training: a forward pass, and a step of forward pass and gradients.

Every function here returns a `Pair` of calls without arguments, compiled and ready to be timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import tensorflow as tf
import torch
from timing import ratios

__all__ = ["Pair", "in_jax", "in_tensorflow", "in_torch", "ratios"]


class Pair(NamedTuple):
    """The two calls that are timed."""

    forward: Callable[[], Any]
    step: Callable[[], Any]


def in_tensorflow(function: Callable[..., tf.Tensor], *values: np.ndarray | tf.Variable) -> Pair:
    """Compile `function(*values)` into graphs; the step's gradients are those by every value."""
    tensors = [value if isinstance(value, tf.Variable) else tf.constant(value) for value in values]
    cotangent = tf.random.normal(function(*tensors).shape)

    @tf.function
    def forward(*tensors: tf.Tensor) -> tf.Tensor:
        return function(*tensors)

    @tf.function
    def step(*tensors: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = function(*tensors)
        return tape.gradient(outputs, tensors, cotangent)

    return Pair(lambda: forward(*tensors), lambda: step(*tensors))


def in_jax(function: Callable[..., jax.Array], *values: np.ndarray) -> Pair:
    """Compile `function(*values)` with `jax.jit`."""
    arrays = [jax.numpy.asarray(value) for value in values]
    forward = jax.jit(function)
    cotangent = jax.numpy.asarray(np.random.default_rng(1).normal(size=forward(*arrays).shape).astype("float32"))
    step = jax.jit(lambda cotangent, *arrays: jax.vjp(function, *arrays)[1](cotangent))
    return Pair(
        lambda: jax.block_until_ready(forward(*arrays)), lambda: jax.block_until_ready(step(cotangent, *arrays))
    )


def in_torch(function: Callable[..., torch.Tensor], *values: np.ndarray) -> Pair:
    """Run `function(*values)` eagerly, as PyTorch is used."""
    tensors = [torch.tensor(value, requires_grad=True) for value in values]
    cotangent = torch.randn(function(*tensors).shape)

    def forward() -> None:
        with torch.inference_mode():
            function(*tensors)

    return Pair(forward, lambda: torch.autograd.grad(function(*tensors), tensors, cotangent))
