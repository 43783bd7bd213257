"""Hand-designed kernels on an image, and the sum behind one pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from keras import ops

from cnnapp.playground.grids import number
from layers.convolutional.filter_bank import (
    FILTER_NAMES,
    FilterBank2D,
    FilterInitializer,
    gaussian_kernel,
    laplacian_of_gaussian_kernel,
)
from layers.core.geometry import ConvGeometry
from layers.core.padding import pad
from pipelines.core.errors import ConfigError

__all__ = ["NAMES", "SIZES", "PixelSum", "adds_to_zero", "filtered", "kernel", "normalised", "pixel_sum", "sizes_for"]

SIZES = (3, 5, 7)
_BY_SIZE = {"gaussian": gaussian_kernel, "laplacian_of_gaussian": laplacian_of_gaussian_kernel}
NAMES = (*FILTER_NAMES, *_BY_SIZE)
"""The kernels that there are: those of `layers.convolutional.filter_bank.filter_kernel`, and two that fill any size."""


@dataclass(frozen=True, eq=False)
class PixelSum:
    """The numbers behind one output pixel.

    Args:
        patch: `(size, size)`, what the kernel lies on, padding included.
        weights: `(size, size)`, the kernel as it lies there: turned round for convolution proper.
        products: `(size, size)`, of the two, number by number.
        total: their sum.
        box: where the kernel lies, in pixels: (top, left, bottom, right), the last two excluded.
    """

    patch: np.ndarray
    weights: np.ndarray
    products: np.ndarray
    total: float
    box: tuple[int, int, int, int]

    def written(self) -> str:
        """Return the sum with its numbers; where the kernel is 0, nothing is added and nothing written."""
        terms = [
            f"{number(value)} · {number(weight) if weight > 0 else f'({number(weight)})'}"
            for value, weight in zip(self.patch.ravel(), self.weights.ravel(), strict=True)
            if weight
        ]
        return f"{' + '.join(terms) or '0'} = {number(self.total)}"


def sizes_for(name: str) -> tuple[int, ...]:
    """Return the sizes that a kernel can have.

    Args:
        name: one of `NAMES`.

    Returns:
        Those of `SIZES` that hold it.

    Example:
        >>> from cnnapp.playground.kernels import sizes_for
        >>> sizes_for("gaussian_blur")
        (5, 7)
    """
    return tuple(size for size in SIZES if _fits(name, size))


def kernel(name: str, size: int) -> np.ndarray:
    """Return a kernel of the textbooks, in the middle of a square.

    Args:
        name: one of `NAMES`.
        size: one of `sizes_for(name)`.

    Returns:
        float64 `(size, size)`.

    Raises:
        ConfigError: if the kernel is larger.

    Example:
        >>> from cnnapp.playground.kernels import kernel
        >>> kernel("sobel_x", 5)[2].tolist()
        [0.0, -2.0, 0.0, 2.0, 0.0]
    """
    if name in _BY_SIZE:
        return _BY_SIZE[name](size)
    try:
        placed = FilterInitializer([name])((size, size, 1, 1), dtype="float64")
    except ValueError as error:
        raise ConfigError(str(error)) from None
    weights: np.ndarray = ops.convert_to_numpy(placed)[..., 0, 0]
    return weights


def normalised(weights: np.ndarray) -> np.ndarray:
    """Return a kernel divided by its sum, so that equal brightness stays as bright as it is.

    Entries that add up to 0 are divided by the sum of those above 0: the answers then stay within -255 and 255.

    Args:
        weights: `(size, size)`.

    Returns:
        float64 `(size, size)`; zeros for zeros.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.kernels import normalised
        >>> normalised(np.array([[1.0, 3.0]])).tolist(), normalised(np.array([[-2.0, 2.0]])).tolist()
        ([[0.25, 0.75]], [[-1.0, 1.0]])
    """
    weights = np.asarray(weights, float)
    total = weights[weights > 0].sum() if adds_to_zero(weights) else weights.sum()
    return weights / total if total else weights.copy()


def adds_to_zero(weights: np.ndarray) -> bool:
    """Return whether a kernel answers 0 wherever brightness is equal, so that its answers have either sign.

    Args:
        weights: of any shape.

    Returns:
        Whether the entries add up to 0, rounding aside.

    Example:
        >>> from cnnapp.playground.kernels import adds_to_zero, kernel
        >>> adds_to_zero(kernel("sobel_x", 3)), adds_to_zero(kernel("sharpen", 3))
        (True, False)
    """
    return bool(abs(np.sum(weights)) <= 1e-9 * np.abs(weights).sum())


def filtered(image: np.ndarray, weights: np.ndarray, flip_kernel: bool = False) -> np.ndarray:
    """Return an image after a kernel, of its own size; beyond its border it is mirrored.

    Args:
        image: `(height, width)`, grey levels.
        weights: `(size, size)`, the kernel.
        flip_kernel: True for convolution proper, False for cross-correlation.

    Returns:
        float32 `(height, width)`.

    Raises:
        ConfigError: if the image is too small, or the kernel holds no numbers.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.kernels import filtered, kernel
        >>> float(filtered(np.full((5, 5), 9.0), kernel("box_blur", 3))[0, 0])
        9.0

    Reference:
        Goodfellow, Bengio and Courville, 2016, "Deep Learning", section 9.1.
    """
    try:
        bank = FilterBank2D([weights], padding_mode="reflect", flip_kernel=flip_kernel, data_format="channels_last")
        outputs = bank(np.asarray(image, np.float32)[None, ..., None])
    except ValueError as error:
        raise ConfigError(str(error)) from None
    answer: np.ndarray = ops.convert_to_numpy(outputs)[0, ..., 0]
    return answer


def pixel_sum(image: np.ndarray, weights: np.ndarray, row: int, column: int, flip_kernel: bool = False) -> PixelSum:
    """Return the numbers behind one pixel of `filtered`.

    Args:
        image: `(height, width)`, grey levels.
        weights: `(size, size)`, the kernel.
        row: of the pixel.
        column: likewise.
        flip_kernel: as of `filtered`.

    Returns:
        A `PixelSum`.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.kernels import kernel, pixel_sum
        >>> pixel_sum(np.eye(5), kernel("sharpen", 3), 2, 2).total
        5.0
    """
    weights = np.asarray(weights, float)[::-1, ::-1] if flip_kernel else np.asarray(weights, float)
    geometry = ConvGeometry(weights.shape, padding="same", padding_mode="reflect")
    padded = ops.convert_to_numpy(pad(np.asarray(image, float)[None, ..., None], geometry))[0, ..., 0]
    patch = padded[row : row + weights.shape[0], column : column + weights.shape[1]]
    products = patch * weights
    up, left = (size // 2 for size in weights.shape)
    box = (row - up, column - left, row - up + weights.shape[0], column - left + weights.shape[1])
    return PixelSum(patch, weights, products, float(products.sum()), box)


def _fits(name: str, size: int) -> bool:
    try:
        kernel(name, size)
    except ConfigError:
        return False
    return True
