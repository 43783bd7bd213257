"""What convolution and pooling windows read: sizes, padding amounts and positions, at any rank."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

__all__ = [
    "PADDINGS",
    "PADDING_MODES",
    "ConvGeometry",
    "normalize_padding",
    "normalize_padding_mode",
    "positive_int",
    "positive_ints",
    "positive_number",
]

PADDINGS = ("valid", "same", "full", "causal")
PADDING_MODES = ("constant", "reflect", "symmetric", "edge", "wrap")

Pair = tuple[int, int]
Sizes = Sequence[int | None]


def positive_int(value: Any, name: str, minimum: int = 1) -> int:
    """Return `value` as an int.

    Raises:
        ValueError: if it is no integer, or smaller than `minimum`.
    """
    rule = f"`{name}` must be an integer >= {minimum}."
    if isinstance(value, bool):
        raise ValueError(f"{rule} Received: {name}={value!r}.")
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{rule} Received: {name}={value!r}.") from None
    if number < minimum:
        raise ValueError(f"{rule} Received: {name}={value!r}.")
    return number


def positive_number(value: Any, name: str, *, or_zero: bool = False) -> float:
    """Return `value` as a float.

    Raises:
        ValueError: if it is no finite number, or not positive; 0 may do.
    """
    legal = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not legal or value < 0 or (value == 0 and not or_zero):
        raise ValueError(f"`{name}` must be a number {'>=' if or_zero else '>'} 0. Received: {name}={value!r}.")
    return float(value)


def positive_ints(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """Return one int >= 1 for each of `rank` axes, from an int for all or a sequence of `rank`.

    Raises:
        ValueError: if `value` is neither, or holds anything but integers >= 1.
    """
    rule = f"`{name}` must be an integer >= 1 or a sequence of {rank} of them, one per axis."
    values = list(value) if isinstance(value, (list, tuple)) else [value] * rank
    if len(values) != rank:
        raise ValueError(f"{rule} Received: {name}={value!r}.")
    try:
        return tuple(positive_int(number, name) for number in values)
    except ValueError:
        raise ValueError(f"{rule} Received: {name}={value!r}.") from None


def normalize_padding(value: Any, rank: int) -> str | tuple[Pair, ...]:
    """Return a padding's name in lower case, or one (before, after) pair for each of `rank` axes.

    Raises:
        ValueError: if `value` is no known name, no integer >= 0 and no sequence of `rank` pairs of them.
    """
    rule = (
        f"`padding` must be one of {', '.join(PADDINGS)}, an integer >= 0, "
        f"or a sequence of {rank} (before, after) pairs of integers >= 0, one per axis."
    )
    if isinstance(value, str):
        if value.lower() not in PADDINGS:
            raise ValueError(f"{rule} Received: padding={value!r}.")
        return value.lower()
    pairs = list(value) if isinstance(value, (list, tuple)) else [(value, value)] * rank
    if len(pairs) != rank or any(not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in pairs):
        raise ValueError(f"{rule} Received: padding={value!r}.")
    try:
        return tuple((positive_int(a, "padding", 0), positive_int(b, "padding", 0)) for a, b in pairs)
    except ValueError:
        raise ValueError(f"{rule} Received: padding={value!r}.") from None


def normalize_padding_mode(value: Any) -> str:
    """Return the padding mode in lower case.

    Raises:
        ValueError: if it is not one of numpy's modes named in `PADDING_MODES`.
    """
    if not isinstance(value, str) or value.lower() not in PADDING_MODES:
        raise ValueError(f"`padding_mode` must be one of {', '.join(PADDING_MODES)}. Received: padding_mode={value!r}.")
    return value.lower()


@dataclass(frozen=True)
class ConvGeometry:
    """Where a window lies on its input, on every axis.

    The output at position `j` of an axis reads the padded input at `j * stride + i * dilation` for
    `i = 0 .. kernel_size - 1`; a stride that does not divide leaves the last positions unread.

    Args:
        kernel_size: one int an axis.
        strides: one int an axis, or one for all.
        dilation_rate: one int an axis, or one for all.
        padding: "valid", "same" (TensorFlow's: `ceil(size / stride)` outputs, the odd pixel after), "full" (every
            position with any overlap), "causal" (all before), an int, or one (before, after) pair an axis.
        padding_mode: what the padding repeats; it limits how far the padding may reach.

    Raises:
        ValueError: if an argument is malformed.

    Example:
        >>> from layers.core.geometry import ConvGeometry
        >>> geometry = ConvGeometry((3, 3), strides=2, padding="same")
        >>> geometry.pads((5, 6)), geometry.output_sizes((5, None))
        (((1, 1), (0, 1)), (3, None))
    """

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...] = 1  # type: ignore[assignment]
    dilation_rate: tuple[int, ...] = 1  # type: ignore[assignment]
    padding: str | tuple[Pair, ...] = "valid"
    padding_mode: str = "constant"

    def __post_init__(self) -> None:
        """Check the arguments and write them out for every axis."""
        rank = len(self.kernel_size)
        set_field = object.__setattr__  # the dataclass is frozen; this is its own normalisation
        set_field(self, "kernel_size", positive_ints(self.kernel_size, rank, "kernel_size"))
        set_field(self, "strides", positive_ints(self.strides, rank, "strides"))
        set_field(self, "dilation_rate", positive_ints(self.dilation_rate, rank, "dilation_rate"))
        set_field(self, "padding", normalize_padding(self.padding, rank))
        set_field(self, "padding_mode", normalize_padding_mode(self.padding_mode))

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.kernel_size)

    @property
    def extent(self) -> tuple[int, ...]:
        """The input positions one window spans, holes included: `(kernel_size - 1) * dilation + 1`."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True))

    @property
    def positions(self) -> int:
        """The input positions one window reads."""
        return math.prod(self.kernel_size)

    def pads(self, input_sizes: Sizes) -> tuple[Pair | None, ...]:
        """Return (before, after) for every axis; None where it depends on a size that is None.

        Raises:
            ValueError: if an axis is too small for `padding_mode` to fill the padding from.
        """
        self._check_rank(input_sizes)
        pads = tuple(self._pad(axis, size) for axis, size in enumerate(input_sizes))
        for axis, (size, pair) in enumerate(zip(input_sizes, pads, strict=True)):
            if size is not None and pair is not None:
                self._check_reach(axis, size, pair)
        return pads

    def output_sizes(self, input_sizes: Sizes) -> tuple[int | None, ...]:
        """Return the number of outputs on every axis; None where the input size is None.

        Raises:
            ValueError: if the window is larger than the padded input, or the padding reaches too far.
        """
        outputs: list[int | None] = []
        for axis, (size, pair) in enumerate(zip(input_sizes, self.pads(input_sizes), strict=True)):
            if size is None or pair is None:
                outputs.append(None)
                continue
            padded = size + sum(pair)
            if size < 1 or padded < self.extent[axis]:
                raise ValueError(
                    "`kernel_size` must not be larger than the padded input. "
                    f"Received: kernel_size={self.kernel_size}, which with dilation_rate={self.dilation_rate} spans "
                    f"{self.extent[axis]} positions of axis {axis}, but input sizes {tuple(input_sizes)} padded by "
                    f"{pair} there have {padded}."
                )
            outputs.append((padded - self.extent[axis]) // self.strides[axis] + 1)
        return tuple(outputs)

    def with_padding_named(self, input_sizes: Sizes) -> ConvGeometry:
        """Return the same with padding "valid" or "same", where that pads inputs of these sizes alike."""
        pads = self.pads(input_sizes)
        for padding in ("valid", "same"):
            named = replace(self, padding=padding)
            if named.pads(input_sizes) == pads and None not in pads:
                return named
        return self

    def sources(self, input_sizes: Sequence[int], flip_kernel: bool = False) -> np.ndarray:
        """Return which input position every output reads at every position of the kernel.

        Args:
            input_sizes: one int an axis.
            flip_kernel: whether the kernel is read backwards.

        Returns:
            Integers `(outputs, positions)`, where inputs, outputs and the kernel's positions are numbered row by row;
            -1 where the padding is constant, and so read from nowhere.
        """
        source, missing = np.zeros((1, 1), int), np.zeros((1, 1), bool)
        pairs = [pair for pair in self.pads(input_sizes) if pair is not None]
        outputs = [size for size in self.output_sizes(input_sizes) if size is not None]
        axes = zip(input_sizes, outputs, pairs, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        for size, output, pair, kernel, stride, dilation in axes:
            fill: dict[str, Any] = {"constant_values": -1} if self.padding_mode == "constant" else {}
            line = np.pad(np.arange(size), pair, mode=self.padding_mode, **fill)  # type: ignore[call-overload]
            positions = np.arange(kernel)[::-1] if flip_kernel else np.arange(kernel)
            along = line[np.add.outer(np.arange(output) * stride, positions * dilation)]
            source = _outer(np.add, source * size, along)
            missing = _outer(np.logical_or, missing, along < 0)
        return np.where(missing, -1, source)

    def _pad(self, axis: int, size: int | None) -> Pair | None:
        if not isinstance(self.padding, str):
            return self.padding[axis]
        extent, stride = self.extent[axis], self.strides[axis]
        if self.padding == "same":
            if stride > 1 and size is None:
                return None
            # Only the remainder of size by stride matters; with stride 1 that is nothing.
            covered = stride if size is None or size % stride == 0 else size % stride
            total = max(extent - covered, 0)
            return total // 2, total - total // 2
        return {"valid": (0, 0), "full": (extent - 1, extent - 1), "causal": (extent - 1, 0)}[self.padding]

    def _check_reach(self, axis: int, size: int, pair: Pair) -> None:
        reach = {"reflect": size - 1, "symmetric": size, "wrap": size}.get(self.padding_mode, max(pair))
        if max(pair) > max(reach, 0):
            raise ValueError(
                f"`padding_mode` {self.padding_mode!r} can pad at most {max(reach, 0)} on each side of an axis of size "
                f"{size}. Received: padding={self.padding!r}, which pads axis {axis} by {pair}."
            )

    def _check_rank(self, input_sizes: Sizes) -> None:
        if len(input_sizes) != self.rank:
            raise ValueError(f"`input_sizes` must hold {self.rank} sizes. Received: input_sizes={tuple(input_sizes)}.")


def _outer(function: np.ufunc, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return `(a0 * b0, a1 * b1)` from `(a0, a1)` and `(b0, b1)`: outputs with outputs, positions with positions."""
    joined: np.ndarray = function(a[:, None, :, None], b[None, :, None, :])
    return joined.reshape(a.shape[0] * b.shape[0], a.shape[1] * b.shape[1])
