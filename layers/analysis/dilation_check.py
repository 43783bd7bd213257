"""Whether a stack of dilated convolutions leaves holes in what it sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.geometry import positive_int, positive_ints

__all__ = ["DilationCheck", "check_dilation_rates"]


@dataclass(frozen=True)
class DilationCheck:
    """What `check_dilation_rates` finds, along one axis.

    Args:
        rates: the dilation rates, first layer first.
        kernel_size: taps of each kernel.
        extent: inputs from the first to the last that a unit of the last layer sees.
        reached: how many of these it sees.
        largest_gap: most neighbouring inputs in it that are not seen.
        common_divisor: of all rates; above 1, units that are neighbours share no input.
        distances: the published M_i, first layer first: a bound for the distance between neighbouring inputs seen from
            layer i on.
        published_rule: whether M_2 <= kernel_size. It is meant for rates that begin with 1: alone it lets [2, 2, 2] by.
    """

    rates: tuple[int, ...]
    kernel_size: int
    extent: int
    reached: int
    largest_gap: int
    common_divisor: int
    distances: tuple[int, ...]
    published_rule: bool

    @property
    def ok(self) -> bool:
        """Whether every input of the extent is seen."""
        return self.reached == self.extent


def check_dilation_rates(rates: Sequence[int], *, kernel_size: int = 3) -> DilationCheck:
    """Check a sequence of dilation rates for gridding, exactly and by the published rule.

    A unit of the last layer sees the inputs at `sum_l i_l * rates[l]`, each `i_l` from 0 to `kernel_size - 1`; this
    set is computed. The published rule bounds the distance between neighbours in it from the last layer backwards,
    `M_i = max(M_{i+1} - 2 r_i, M_{i+1} - 2 (M_{i+1} - r_i), r_i)` with `M_n = r_n`, and asks for `M_2 <= kernel_size`
    (of a single layer, for `M_1 <= 1`). Strides are taken to be 1. In an image `reached` and `extent` hold for each
    axis, and their squares for the area.

    Args:
        rates: one dilation rate a layer, first layer first.
        kernel_size: taps of every kernel along the axis.

    Returns:
        A `DilationCheck`.

    Raises:
        ValueError: if there are no rates, or an argument is no integer >= 1.

    Example:
        >>> from layers.analysis.dilation_check import check_dilation_rates
        >>> check_dilation_rates([1, 2, 5]).ok, check_dilation_rates([1, 2, 9]).ok, check_dilation_rates([2, 2, 2]).ok
        (True, False, False)

    Reference:
        Wang et al., 2018, "Understanding convolution for semantic segmentation".
    """
    if not isinstance(rates, (list, tuple)) or not rates:
        raise ValueError(f"`rates` must be a sequence of integers >= 1, one per layer. Received: rates={rates!r}.")
    rates = positive_ints(rates, len(rates), "rates")
    kernel_size = positive_int(kernel_size, "kernel_size")
    seen = 1  # bit j is input j
    for rate in rates:
        shifted = 0
        for tap in range(kernel_size):
            shifted |= seen << tap * rate
        seen = shifted
    distances = [rates[-1]]
    for rate in reversed(rates[:-1]):
        after = distances[0]
        distances.insert(0, max(after - 2 * rate, after - 2 * (after - rate), rate))
    return DilationCheck(
        rates,
        kernel_size,
        seen.bit_length(),
        seen.bit_count(),
        max(map(len, f"{seen:b}".split("1"))),
        math.gcd(*rates),
        tuple(distances),
        distances[1] <= kernel_size if len(rates) > 1 else distances[0] <= 1,
    )
