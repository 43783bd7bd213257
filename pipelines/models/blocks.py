"""What networks are built of: the places where a kind of layer is plugged in, and what surrounds a convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from pipelines.models.names import named_kind

__all__ = ["activated", "block", "convolution", "normalized", "plain", "pooling", "standardised"]

Activation = Callable[[str], keras.layers.Layer]


def standardised(pixels: keras.KerasTensor, mean: float, deviation: float) -> keras.KerasTensor:
    """Bring pixels to mean 0 and deviation 1: the layer "standardise", from which a card tells both."""
    return keras.layers.Rescaling(1.0 / deviation, -mean / deviation, name="standardise")(pixels)


def plain(norm: str = "batch") -> dict[str, Any]:
    """Return the arguments of a convolution that the rectifier follows: a bias where the normalization has none."""
    return {"use_bias": not named_kind("norm", norm).offset, "kernel_initializer": "he_normal"}


def convolution(kind: str, filters: int, kernel_size: int | tuple[int, int], **arguments: Any) -> keras.layers.Layer:
    """Make a convolution of a kind.

    Args:
        kind: as in :data:`layers.kinds.CONVOLUTIONS`.
        filters: number of output channels; "maxout" and its like make several for each, for :func:`activated`.
        kernel_size: height and width of the kernel.
        **arguments: further arguments that all kinds share, as of ``keras.layers.Conv2D``.

    Returns:
        A layer from (batch, height, width, channels) to (batch, new height, new width, filters).

    Raises:
        ConfigError: if there is no such kind.
    """
    found = named_kind("conv", kind)
    return found.make(found.pieces * filters, kernel_size, **arguments)


def pooling(kind: str, same: bool = False, **arguments: Any) -> keras.layers.Layer:
    """Make a pooling with stride 2 of a kind.

    Args:
        kind: as in :data:`layers.kinds.POOLINGS`.
        same: pad what looks at more than 2 x 2, so that a map of even sides has half of them as after the others.
        **arguments: further arguments that all kinds share, such as ``name``.

    Returns:
        A layer from (batch, height, width, channels) to (batch, height // 2, width // 2, channels), or less where it
        looks further.

    Raises:
        ConfigError: if there is no such kind.
    """
    found = named_kind("pool", kind)
    padding = {"padding": "same"} if same and found.arguments.get("pool_size", 2) != 2 else {}
    return found.make(**padding, **arguments)


def activated(x: keras.KerasTensor, conv: str, name: str, activation: Activation) -> keras.KerasTensor:
    """Apply the activation that follows a convolution: its kind's own, such as Maxout, or that of the network.

    Args:
        x: what the convolution gave.
        conv: its kind.
        name: of the layer.
        activation: makes the network's own.
    """
    own = named_kind("conv", conv).activation
    return activation(name)(x) if own is None else own.make(name=name)(x)


def normalized(
    x: keras.KerasTensor,
    layer: keras.layers.Layer,
    norm: str = "batch",
    conv: str = "standard",
    activation: Activation | None = None,
    suffix: str = "relu",
) -> keras.KerasTensor:
    """Apply a convolution, normalization and the activation; some kinds of normalization come last.

    Args:
        x: of shape (batch, height, width, channels).
        layer: the convolution.
        norm: as in :data:`layers.kinds.NORMALIZATIONS`.
        conv: kind of the convolution.
        activation: makes the layer of that name; the rectifier by default.
        suffix: of that name, behind the convolution's.
    """
    kind = named_kind("norm", norm)
    x = layer(x)
    steps = [
        lambda x: x if norm == "none" else kind.make(name=f"{layer.name}_norm")(x),
        lambda x: activated(x, conv, f"{layer.name}_{suffix}", activation or _rectifier),
    ]
    for step in reversed(steps) if kind.after_activation else steps:
        x = step(x)
    return x


def block(
    x: keras.KerasTensor, conv: str, filters: int, norm: str, name: str, padding: str = "same"
) -> keras.KerasTensor:
    """Apply a convolution of 3 x 3 of a kind, normalization and the rectifier, or what the kind has in its place."""
    return normalized(x, convolution(conv, filters, 3, padding=padding, **plain(norm), name=name), norm, conv)


def _rectifier(name: str) -> keras.layers.Layer:
    return keras.layers.ReLU(name=name)
