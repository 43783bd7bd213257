"""Whether a layer's answer moves with the image: equivariance, measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from layers import DilatedConv2D, TiledConv2D, UnsharedConv2D
from layers.core.geometry import ConvGeometry
from pipelines.core.errors import ConfigError

__all__ = ["KINDS", "ShiftTest", "shift", "shift_test"]

KINDS = ("plain", "strided", "tiled", "unshared", "pooling")
_SIZE = 3
_SOBEL = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]


@dataclass(frozen=True, eq=False)
class ShiftTest:
    """What becomes of a layer's answer when the image is shifted.

    Args:
        shifted: the shifted image.
        of_shifted: the layer's answer for it.
        answer_shifted: the layer's answer for the image, shifted itself.
        interior: bool, outputs whose windows hold nothing but pixels of the image, in both.
        moved: by how much the answer is shifted, (rows, columns) of outputs.
        whole: whether the shift is a whole number of outputs; otherwise `moved` is rounded down.
        expected: whether the answer has to move along with the image in the interior.
        reason: why, or why not.
    """

    shifted: np.ndarray
    of_shifted: np.ndarray
    answer_shifted: np.ndarray
    interior: np.ndarray
    moved: tuple[int, int]
    whole: bool
    expected: bool
    reason: str

    @property
    def difference(self) -> np.ndarray:
        """The answer for the shifted image less the shifted answer."""
        difference: np.ndarray = self.of_shifted - self.answer_shifted
        return difference

    @property
    def limit(self) -> float:
        """The largest magnitude of either answer; 1 where both are 0."""
        return float(max(np.abs(self.of_shifted).max(), np.abs(self.answer_shifted).max())) or 1.0

    def largest(self, border: bool) -> float | None:
        """Return the largest difference at the border, or in the interior; None where there are no such outputs."""
        chosen = self.difference[~self.interior if border else self.interior]
        return float(np.abs(chosen).max()) if chosen.size else None


def shift(values: np.ndarray, rows: int, columns: int, wrap: bool = False) -> np.ndarray:
    """Shift an image.

    Args:
        values: `(height, width)`.
        rows: downwards, or upwards below 0.
        columns: to the right, or to the left below 0.
        wrap: whether what leaves on one side comes in on the other; zeros come in otherwise.

    Returns:
        Of the same shape.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.shifts import shift
        >>> shift(np.array([[1, 2, 3]]), 0, 1).tolist(), shift(np.array([[1, 2, 3]]), 0, 1, wrap=True).tolist()
        ([[0, 1, 2]], [[3, 1, 2]])
    """
    moved = np.roll(values, (rows, columns), (0, 1))
    if not wrap:
        height, width = values.shape
        moved[: min(max(rows, 0), height)] = 0
        moved[max(height + min(rows, 0), 0) :] = 0
        moved[:, : min(max(columns, 0), width)] = 0
        moved[:, max(width + min(columns, 0), 0) :] = 0
    return moved


def shift_test(
    image: np.ndarray,
    kind: str,
    rows: int,
    columns: int,
    *,
    strides: int = 2,
    tile_shape: int = 2,
    wrap: bool = False,
) -> ShiftTest:
    """Shift an image before and after a layer, and compare.

    The kernels are 3 x 3 of whole numbers, the first a Sobel kernel, so that what ought to be equal is equal exactly.

    Args:
        image: `(height, width)`, grey levels.
        kind: one of `KINDS`; "plain" has stride 1, "pooling" takes the largest of windows side by side.
        rows: the shift downwards, in pixels.
        columns: to the right.
        strides: of "strided", and the side of the windows of "pooling".
        tile_shape: period of the kernels of "tiled".
        wrap: whether image and padding go on at the other side; zeros come in otherwise.

    Returns:
        A `ShiftTest`.

    Raises:
        ConfigError: if the image is smaller than a window.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.shifts import shift_test
        >>> image = np.arange(144.0).reshape(12, 12) % 7
        >>> shift_test(image, "plain", 2, 1).largest(border=False)
        0.0

    Reference:
        Goodfellow, Bengio and Courville, 2016, "Deep Learning", sections 9.2 and 9.3.
    """
    least = strides if kind == "pooling" else _SIZE
    if min(image.shape) < least:
        raise ConfigError(
            f"The image must have at least {least} pixels on each side. Received: {image.shape[0]} x {image.shape[1]}."
        )
    step = strides if kind in ("strided", "pooling") else 1
    geometry = _geometry(kind, step, wrap)
    shifted = shift(image, rows, columns, wrap)
    layer = _layer(kind, geometry, tile_shape, image.shape)
    answers = ops.convert_to_numpy(layer(np.stack([image, shifted]).astype(np.float32)[..., None]))[..., 0]
    moved = (math.floor(rows / step), math.floor(columns / step))
    period = step * (tile_shape if kind == "tiled" else 1)
    expected = rows % period == columns % period == 0 and (kind != "unshared" or rows == columns == 0)
    return ShiftTest(
        shifted=shifted,
        of_shifted=answers[1],
        answer_shifted=shift(answers[0], *moved, wrap),
        interior=np.logical_and.outer(
            _interior(geometry, image.shape[0], rows), _interior(geometry, image.shape[1], columns)
        ),
        moved=moved,
        whole=rows % step == columns % step == 0,
        expected=expected,
        reason=_reason(kind, expected, step, tile_shape),
    )


def _geometry(kind: str, step: int, wrap: bool) -> ConvGeometry:
    """Return the windows on one axis."""
    if kind == "pooling":
        return ConvGeometry((step,), (step,))
    return ConvGeometry((_SIZE,), (step,), padding="same", padding_mode="wrap" if wrap else "constant")


def _layer(kind: str, geometry: ConvGeometry, tile_shape: int, sizes: tuple[int, ...]) -> keras.layers.Layer:
    if kind == "pooling":
        return keras.layers.MaxPooling2D(geometry.kernel_size[0], data_format="channels_last")
    options: dict[str, Any] = {
        "strides": geometry.strides[0],
        "padding": geometry.padding,
        "padding_mode": geometry.padding_mode,
        "use_bias": False,
        "data_format": "channels_last",
    }
    if kind == "tiled":
        layer = TiledConv2D(1, _SIZE, tile_shape=tile_shape, **options)
    elif kind == "unshared":
        layer = UnsharedConv2D(1, _SIZE, **options)
    else:
        layer = DilatedConv2D(1, _SIZE, **options)
    layer.build((None, *sizes, 1))
    shape = tuple(layer.kernel.shape)
    kernels = np.random.default_rng(0).integers(-2, 3, (int(np.prod(shape)) // _SIZE**2, _SIZE**2))
    kernels[0] = np.ravel(_SOBEL)
    layer.set_weights([kernels.reshape(shape).astype("float32")])
    return layer


def _interior(geometry: ConvGeometry, size: int, moved: int) -> np.ndarray:
    """Return which outputs of an axis read nothing but pixels that the shift brought along."""
    sources = geometry.sources((size,))
    positions = np.arange(size)
    brought = (positions >= moved) & (positions < size + moved)
    # A window that goes on at the other side reads pixels that are no neighbours.
    whole = (sources >= 0).all(1) & (np.diff(sources, axis=1) == 1).all(1)
    answered: np.ndarray = whole & brought[np.maximum(sources, 0)].all(1)
    return answered


def _reason(kind: str, expected: bool, step: int, tile_shape: int) -> str:
    if kind == "plain":
        return "One kernel serves all positions, so the answer moves with the image by any number of pixels."
    if kind == "unshared":
        held = "Nothing was shifted." if expected else "What a pixel meets after the shift is another kernel."
        return f"Every position has a kernel of its own. {held}"
    if kind == "tiled":
        held = "so every pixel meets the kernel it met before" if expected else "so pixels meet another kernel"
        multiple = "is a multiple of" if expected else "is no multiple of"
        return f"The kernels take turns every {tile_shape} positions, and the shift {multiple} {tile_shape}: {held}."
    if expected:
        return f"The shift is a multiple of the stride {step}, so the same windows are read, only elsewhere."
    return (
        f"The shift is no multiple of the stride {step}: the windows cut the image otherwise, and no whole shift of "
        "the answer makes up for it. The nearest one before is shown."
    )
