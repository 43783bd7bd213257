"""A convolution as the matrix that it is, and the same answer by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

import layers
from cnnapp.playground import colours, svg
from cnnapp.playground.grids import number
from cnnapp.playground.misfits import misfit
from layers.analysis.conv_matrix import convolution_matrix

__all__ = ["KINDS", "MatrixProduct", "draw_matrix", "matrix_product"]

KINDS = ("plain", "tiled", "unshared")
_READABLE = 16
"""Columns up to which the entries of a matrix are written out."""


@dataclass(frozen=True, eq=False)
class MatrixProduct:
    """A convolution computed twice: as a matrix, and by its layer.

    Args:
        matrix: `(outputs, inputs)`.
        input_sizes: of the input.
        output_sizes: of the output.
        inputs: `(inputs,)`, row by row.
        product: `(outputs,)`, the matrix times the inputs.
        layer_output: `(outputs,)`, what the layer gives.
        weights: how many numbers the layer keeps.
        joined: entries of the matrix where a weight joins an output with an input.
        period: outputs after which the rows repeat themselves, moved along, on every axis; None where none fits twice.
        strides: by how many inputs a row is moved along for the next output.
    """

    matrix: np.ndarray
    input_sizes: tuple[int, ...]
    output_sizes: tuple[int, ...]
    inputs: np.ndarray
    product: np.ndarray
    layer_output: np.ndarray
    weights: int
    joined: int
    period: int | None
    strides: int

    @property
    def difference(self) -> float:
        """The largest difference between the two answers."""
        return float(np.abs(self.product - self.layer_output).max())

    @property
    def share(self) -> float:
        """Entries where a weight stands, of all."""
        return self.joined / self.matrix.size

    def input_grid(self) -> np.ndarray:
        """Return the input as a grid, of one row where it has one axis."""
        return self.inputs.reshape(-1, self.input_sizes[-1])

    def written(self, row: int) -> str:
        """Return one row times the inputs, with its numbers; entries of 0 add nothing.

        Args:
            row: of the matrix.
        """
        terms = [
            f"{number(weight) if weight > 0 else f'({number(weight)})'} · {number(value)}"
            for weight, value in zip(self.matrix[row], self.inputs, strict=True)
            if weight
        ]
        return f"{' + '.join(terms) or '0'} = {number(self.product[row])}"

    def structure(self) -> str:
        """Say in a sentence how the rows repeat themselves."""
        rank = len(self.input_sizes)
        if min(self.output_sizes) == 1:
            return "With one output on an axis there are no rows to compare."
        if self.period is None:
            return "No pattern of rows comes twice: the borders or the kernels differ from output to output."
        if self.period > 1:
            return f"The rows repeat themselves, moved along, every {self.period} outputs on each axis."
        moved = f"Every row is the one before, moved along by the stride {self.strides}"
        if self.strides > 1:
            return f"{moved}."
        kind = "a Toeplitz matrix" if rank == 1 else "a doubly block Toeplitz matrix"
        return f"{moved}: every diagonal{' of every block' * (rank - 1)} is constant, {kind}."


def matrix_product(
    kernel: np.ndarray,
    input_sizes: Sequence[int],
    *,
    kind: str = "plain",
    strides: int = 1,
    padding: str = "valid",
    padding_mode: str = "constant",
    dilation_rate: int = 1,
    tile_shape: int = 2,
    flip_kernel: bool = False,
) -> MatrixProduct:
    """Write a convolution as a matrix, and apply both to the same numbers.

    The input holds whole numbers from 1 to 9. Of a tiled or unshared convolution kernel number q is q times `kernel`,
    so that its numbers say which one is used.

    Args:
        kernel: of one axis or two.
        input_sizes: one int an axis.
        kind: one of `KINDS`.
        strides: on each axis.
        padding: "valid", "same", "full" or "causal".
        padding_mode: what the padding holds.
        dilation_rate: on each axis.
        tile_shape: the period of the kernels of a tiled convolution, on each axis.
        flip_kernel: True for convolution proper, False for cross-correlation.

    Returns:
        A `MatrixProduct`.

    Raises:
        ConfigError: if the shapes do not fit.

    Example:
        >>> import numpy as np
        >>> from cnnapp.playground.matrices import matrix_product
        >>> found = matrix_product(np.array([1.0, -1.0]), (4,))
        >>> found.matrix[0].tolist(), found.difference, found.period
        ([1.0, -1.0, 0.0, 0.0], 0.0, 1)

    Reference:
        Goodfellow, Bengio and Courville, 2016, "Deep Learning", section 9.1. Dumoulin and Visin, 2016, "A guide to
        convolution arithmetic for deep learning", section 4.1.
    """
    sizes = tuple(input_sizes)
    inputs = np.random.default_rng(0).integers(1, 10, sizes).astype("float32")
    name = {"plain": "Dilated", "tiled": "Tiled", "unshared": "Unshared"}[kind]
    options: dict[str, Any] = {"tile_shape": tile_shape} if kind == "tiled" else {}
    try:
        layer = getattr(layers, f"{name}Conv{kernel.ndim}D")(
            1, kernel.shape, strides=strides, padding=padding, padding_mode=padding_mode, dilation_rate=dilation_rate,
            flip_kernel=flip_kernel, use_bias=False, data_format="channels_last", **options,
        )  # fmt: skip
        layer.build((None, *sizes, 1))
    except ValueError as error:
        raise misfit(error) from None
    layer.set_weights([_numbered(kernel, layer.get_weights()[0].shape)])
    outputs = ops.convert_to_numpy(layer(inputs[None, ..., None]))[0, ..., 0]
    sparse = convolution_matrix(layer, (*sizes, 1))
    matrix = sparse.toarray()
    return MatrixProduct(
        matrix=matrix,
        input_sizes=sizes,
        output_sizes=outputs.shape,
        inputs=inputs.ravel(),
        product=matrix @ inputs.ravel(),
        layer_output=outputs.ravel(),
        weights=layer.count_params(),
        joined=int(sparse.nnz),
        period=_period(matrix, outputs.shape, sizes, strides),
        strides=strides,
    )


def draw_matrix(found: MatrixProduct, row: int | None = None) -> str:
    """Draw a matrix: red above 0, blue below, the deeper the larger; small ones with their numbers.

    Args:
        found: from `matrix_product`.
        row: the row to outline, if any.

    Returns:
        An SVG document.
    """
    outputs, inputs = found.matrix.shape
    written = inputs <= _READABLE
    cell = 34 if written else max(7, min(16, 620 // inputs))
    root = svg.begin(inputs * cell + 8, outputs * cell + 8)
    limit = float(np.abs(found.matrix).max()) or 1.0
    fills = colours.signed(found.matrix, limit)
    for j, i in np.ndindex(outputs, inputs):
        value = found.matrix[j, i]
        x, y = 4 + i * cell, 4 + j * cell
        if value:
            svg.add(root, "rect", x=x, y=y, width=cell, height=cell, fill=colours.to_hex(fills[j, i]))
        if written:
            ink = colours.ink_on(fills[j, i]) if value else "#8a8f98"
            text = number(float(value))
            size = min(15.0, 1.6 * cell / len(text))
            svg.write(root, text, x=x + cell / 2, y=y + cell / 2, font_size=size, fill=ink)
    # Strong lines between rows of the image, whose pairs are the blocks of the matrix.
    for count, block, along in ((inputs, found.input_sizes[-1], "x"), (outputs, found.output_sizes[-1], "y")):
        long = 4 + (outputs if along == "x" else inputs) * cell
        for line in range(count + 1):
            strong = line % block == 0
            place = 4 + line * cell
            ends = (
                {"x1": place, "x2": place, "y1": 4, "y2": long}
                if along == "x"
                else {"x1": 4, "x2": long, "y1": place, "y2": place}
            )
            svg.add(
                root, "line", stroke="#6b7078" if strong else "#dfe2e6", stroke_width=1.2 if strong else 0.6, **ends
            )
    if row is not None:
        look = {"fill": "none", "stroke": colours.MARK, "stroke_width": 3}
        svg.add(root, "rect", x=4, y=4 + row * cell, width=inputs * cell, height=cell, **look)
    return svg.finish(root)


def _numbered(kernel: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return weights of a shape: kernel number q is q times `kernel`."""
    copies = int(np.prod(shape)) // kernel.size
    numbered: np.ndarray = np.arange(1, copies + 1)[:, None] * kernel.ravel()
    return numbered.reshape(shape).astype("float32")


def _period(
    matrix: np.ndarray, output_sizes: tuple[int, ...], input_sizes: tuple[int, ...], strides: int
) -> int | None:
    """Return after how many outputs, on every axis, the rows are the same moved along by the strides."""
    rank = len(input_sizes)
    entries = matrix.reshape(*output_sizes, *input_sizes)
    for period in range(1, min(output_sizes) // 2 + 1):
        if all(_repeats(entries, axis, rank, period, period * strides) for axis in range(rank)):
            return period
    return None


def _repeats(entries: np.ndarray, axis: int, rank: int, outputs: int, inputs: int) -> bool:
    """Return whether entries do not change when both the output and the input move along one axis."""

    def cut(first: bool) -> tuple[slice, ...]:
        moves = {axis: outputs, rank + axis: inputs}
        return tuple(
            (slice(None, max(size - moves.get(i, 0), 0)) if first else slice(moves.get(i, 0), None))
            for i, size in enumerate(entries.shape)
        )

    return bool(np.array_equal(entries[cut(True)], entries[cut(False)]))
