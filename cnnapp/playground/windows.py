"""Which cells a window reads, and the arithmetic of sizes behind it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from keras import ops

from cnnapp.playground.misfits import misfit
from layers import DilatedConv2D
from layers.core.geometry import ConvGeometry
from layers.core.padding import pad

__all__ = ["Windows", "windows"]


@dataclass(frozen=True)
class Windows:
    """The windows of a convolution over a square input whose cells are numbered from 1, row by row.

    Args:
        size: cells on a side of the input.
        geometry: of the windows; the same on both axes.
    """

    size: int
    geometry: ConvGeometry

    @cached_property
    def pads(self) -> tuple[int, int]:
        """Cells of padding before and after the input, on each axis."""
        before, after = self.geometry.pads((self.size, self.size))[0] or (0, 0)
        return before, after

    @cached_property
    def outputs(self) -> int:
        """Cells on a side of the output."""
        return self.geometry.output_sizes((self.size, self.size))[0] or 0

    @cached_property
    def unread(self) -> int:
        """Cells of the padded input behind the last window, which no window reaches."""
        reached = (self.outputs - 1) * self.geometry.strides[0] + self.geometry.extent[0]
        return self.size + sum(self.pads) - reached

    def padded(self) -> np.ndarray:
        """Return the padded input: int `(padded size, padded size)`, the numbers of cells, 0 where it is zero."""
        numbers = np.arange(1, self.size**2 + 1, dtype=np.int32).reshape(1, self.size, self.size, 1)
        cells: np.ndarray = ops.convert_to_numpy(pad(ops.convert_to_tensor(numbers), self.geometry))[0, ..., 0]
        return cells

    def is_padding(self) -> np.ndarray:
        """Return bool `(padded size, padded size)`: which cells of the padded input are padding."""
        before, after = self.pads
        return np.pad(np.zeros((self.size, self.size), bool), (before, after), constant_values=True)

    def reads(self, row: int, column: int) -> np.ndarray:
        """Return which cells of the padded input one output reads.

        Args:
            row: of the output cell.
            column: likewise.

        Returns:
            bool `(padded size, padded size)`.
        """
        padded = (self.size + sum(self.pads),) * 2
        inside = ConvGeometry(self.geometry.kernel_size, self.geometry.strides, self.geometry.dilation_rate)
        return self._cells(inside.sources(padded)[row * self.outputs + column], padded)

    def depends(self, row: int, column: int) -> np.ndarray:
        """Return which cells of the input one output depends on, those that padding repeats included.

        Args:
            row: of the output cell.
            column: likewise.

        Returns:
            bool `(size, size)`.
        """
        sources = self.geometry.sources((self.size, self.size))[row * self.outputs + column]
        return self._cells(sources[sources >= 0], (self.size, self.size))

    def sums(self) -> np.ndarray:
        """Return what a convolution whose weights are all 1 gives for the numbers of the cells.

        Returns:
            float32 `(outputs, outputs)`.
        """
        geometry = self.geometry
        layer = DilatedConv2D(
            1,
            geometry.kernel_size,
            strides=geometry.strides,
            padding=geometry.padding,
            padding_mode=geometry.padding_mode,
            dilation_rate=geometry.dilation_rate,
            use_bias=False,
            kernel_initializer="ones",
            data_format="channels_last",
        )
        numbers = np.arange(1, self.size**2 + 1, dtype=np.float32).reshape(1, self.size, self.size, 1)
        sums: np.ndarray = ops.convert_to_numpy(layer(numbers))[0, ..., 0]
        return sums

    def formula(self) -> tuple[str, str, str]:
        """Return the size of the output in TeX: with letters, with numbers, and its result."""
        before, after = self.pads
        kernel, stride, dilation = (
            self.geometry.kernel_size[0],
            self.geometry.strides[0],
            self.geometry.dilation_rate[0],
        )
        top = rf"{self.size} + {before} + {after} - ({kernel} - 1) \cdot {dilation} - 1"
        padded = self.size + before + after - self.geometry.extent[0]
        return (
            r"o = \left\lfloor \frac{i + p_1 + p_2 - (k - 1)\,d - 1}{s} \right\rfloor + 1",
            rf"o = \left\lfloor \frac{{{top}}}{{{stride}}} \right\rfloor + 1",
            rf"o = \left\lfloor \frac{{{padded}}}{{{stride}}} \right\rfloor + 1 = {self.outputs}",
        )

    def padding_rule(self) -> str:
        """Say in a sentence how the padding comes about."""
        before, after = self.pads
        kernel, stride, dilation = (
            self.geometry.kernel_size[0],
            self.geometry.strides[0],
            self.geometry.dilation_rate[0],
        )
        extent = self.geometry.extent[0]
        spans = f"A window spans (k − 1) d + 1 = ({kernel} − 1) · {dilation} + 1 = {extent} cells"
        gives = f"p₁ = {before} before and p₂ = {after} after"
        named = self.geometry.padding if isinstance(self.geometry.padding, str) else "number"
        return {
            "valid": f"{spans}. Valid: no padding, {gives}.",
            "same": f"{spans}. Same: as much as ⌈i / s⌉ = ⌈{self.size} / {stride}⌉ = {self.outputs} outputs need, "
            f"{before + after} in all, the odd one after: {gives}.",
            "full": f"{spans}. Full: one less than that on both sides, so that every overlap counts: {gives}.",
            "causal": f"{spans}. Causal: one less than that, all of it before: {gives}.",
            "number": f"{spans}. As given, {gives}.",
        }[named]

    def _cells(self, indices: np.ndarray, sizes: tuple[int, int]) -> np.ndarray:
        cells = np.zeros(sizes[0] * sizes[1], bool)
        cells[indices] = True
        return cells.reshape(sizes)


def windows(
    size: int,
    kernel_size: int,
    *,
    strides: int = 1,
    padding: str | tuple[int, int] = "valid",
    padding_mode: str = "constant",
    dilation_rate: int = 1,
) -> Windows:
    """Return the windows of a convolution over a square input.

    Args:
        size: cells on a side of the input.
        kernel_size: cells on a side of the kernel.
        strides: cells from window to window.
        padding: "valid", "same", "full", "causal", or cells (before, after) on each axis.
        padding_mode: what the padding holds: "constant" (zeros), "reflect", "symmetric", "edge", "wrap".
        dilation_rate: cells between neighbouring entries of the kernel.

    Returns:
        The `Windows`, of at least one output.

    Raises:
        ConfigError: if a window is larger than the padded input, or the padding reaches too far.

    Example:
        >>> from cnnapp.playground.windows import windows
        >>> found = windows(5, 3, strides=2, padding="same")
        >>> found.outputs, found.pads, found.depends(0, 0).sum()
        (3, (1, 1), np.int64(4))

    Reference:
        Dumoulin and Visin, 2016, "A guide to convolution arithmetic for deep learning", section 2.
    """
    pads = padding if isinstance(padding, str) else (tuple(padding),) * 2
    try:
        geometry = ConvGeometry((kernel_size,) * 2, strides, dilation_rate, pads, padding_mode)  # type: ignore[arg-type]
        geometry.output_sizes((size, size))
    except ValueError as error:
        raise misfit(error) from None
    return Windows(size, geometry)
