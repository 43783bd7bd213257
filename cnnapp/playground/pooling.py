"""Pooling of images and of small grids, with the numbers behind one window."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from cnnapp.playground.grids import number
from layers import L2Pooling2D, LpPooling2D
from layers.core.geometry import ConvGeometry
from pipelines.core.errors import ConfigError

__all__ = ["KINDS", "Pooling"]

KINDS = ("max", "average", "L2", "Lp")
"""The kinds of pooling: the largest, the mean, and norms of a window."""


@dataclass(frozen=True)
class Pooling:
    """A pooling of images.

    Args:
        kind: one of `KINDS`.
        pool_size: side of a window.
        strides: from window to window.
        padding: "valid" or "same"; what lies beyond the border counts for nothing.
        p: of "Lp", a number >= 1, or infinity.
        mean: whether norms are of the mean in place of the sum.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.pooling import Pooling
        >>> float(Pooling("L2", 2, 2)(np.array([[3.0, 0.0], [0.0, 4.0]]))[0, 0])
        5.0

    Reference:
        Goodfellow, Bengio and Courville, 2016, "Deep Learning", section 9.3.
    """

    kind: str
    pool_size: int
    strides: int
    padding: str = "valid"
    p: float = 3.0
    mean: bool = False

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the pooled `values`.

        Args:
            values: `(height, width)`.

        Returns:
            float32 `(new height, new width)`.

        Raises:
            ConfigError: if the window is larger than `values`.
        """
        self._check(values.shape)
        outputs = self._layer()(np.asarray(values, np.float32)[None, ..., None])
        pooled: np.ndarray = ops.convert_to_numpy(outputs)[0, ..., 0]
        return pooled

    def window(self, values: np.ndarray, row: int, column: int) -> np.ndarray:
        """Return which entries one output reads.

        Args:
            values: `(height, width)`.
            row: of the output.
            column: likewise.

        Returns:
            bool `(height, width)`.

        Raises:
            ConfigError: if the window is larger than `values`.
        """
        self._check(values.shape)
        outputs = self._geometry().output_sizes(values.shape)
        sources = self._geometry().sources(values.shape)[row * (outputs[1] or 0) + column]
        read = np.zeros(values.size, bool)
        read[sources[sources >= 0]] = True
        return read.reshape(values.shape)

    def arithmetic(self, values: np.ndarray, row: int, column: int) -> str:
        """Write out how one output comes about.

        Args:
            values: `(height, width)`.
            row: of the output.
            column: likewise.

        Returns:
            As "max(1, 2, 3, 4) = 4".

        Raises:
            ConfigError: if the window is larger than `values`.
        """
        read = values[self.window(values, row, column)]
        result = number(self(values)[row, column])
        texts = [number(value) for value in read]
        if self.kind == "max":
            return f"max({', '.join(texts)}) = {result}"
        if self.kind == "average":
            return f"({_sum(texts)}) / {len(texts)} = {result}"
        if self.kind == "Lp" and math.isinf(self.p):
            return f"max({', '.join(f'|{text}|' for text in texts)}) = {result}"
        p = number(2 if self.kind == "L2" else self.p)
        powers = " + ".join(f"|{text}|^{p}" for text in texts)
        return f"({f'({powers}) / {len(texts)}' if self.mean else powers})^(1/{p}) = {result}"

    def _layer(self) -> keras.layers.Layer:
        window: dict[str, Any] = {"strides": self.strides, "padding": self.padding, "data_format": "channels_last"}
        layers: dict[str, Callable[[], keras.layers.Layer]] = {
            "max": lambda: keras.layers.MaxPooling2D(self.pool_size, **window),
            "average": lambda: keras.layers.AveragePooling2D(self.pool_size, **window),
            "L2": lambda: L2Pooling2D(self.pool_size, average=self.mean, **window),
            "Lp": lambda: LpPooling2D(self.pool_size, p=self.p, average=self.mean, **window),
        }
        return layers[self.kind]()

    def _geometry(self) -> ConvGeometry:
        return ConvGeometry((self.pool_size,) * 2, (self.strides,) * 2, padding=self.padding)

    def _check(self, sizes: tuple[int, ...]) -> None:
        if self.padding == "valid" and self.pool_size > min(sizes):
            raise ConfigError(
                f"The window must not be larger than what is pooled. Received: pool_size={self.pool_size} for "
                f"{sizes[0]} x {sizes[1]}; take a smaller window, or padding 'same'."
            )


def _sum(texts: list[str]) -> str:
    return " + ".join(texts).replace("+ −", "− ")
