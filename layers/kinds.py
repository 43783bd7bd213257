"""The kinds of layer that can stand for a convolution, a pooling, a normalization or a head, by name.

Each table is a literal dictionary; a row from outside is an assignment, `POOLINGS["mine"] = Kind("package:Pooling")`.
Reading the tables imports neither Keras nor a layer; `Kind.make` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

__all__ = ["CONVOLUTIONS", "HEADS", "NORMALIZATIONS", "POOLINGS", "TABLES", "Kind", "find_kind"]


@dataclass(frozen=True)
class Kind:
    """What a name stands for.

    Args:
        layer: "module:class"; a module that begins with a dot is of this package.
        arguments: what the class is always given, beside what whoever makes a layer gives it.
        number: the argument that a number behind the name sets: "lp:3" is `p=3` for "p". None takes no number.
        whole: whether that number is an integer.
        inexact: why the answer for a window of an image is not its own alone, wherever it lies; empty where it is.
        infinite: whether the number may be infinity.
        largest: a finite number beyond this makes it inexact.
        needs_sizes: whether the height and width of its input must be known.
        dense_kernel: of a convolution: whether its weights are a kernel whose last axes are channels and filters.
        pieces: of a convolution: how many channels it makes for each filter, of which `activation` makes one.
        activation: of a convolution: what follows it in place of the activation of the network.
        offset: of a normalization: whether it adds one a channel, so that a bias before it would be lost.
        after_activation: of a normalization: whether it belongs behind the activation and not before it.
    """

    layer: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    number: str | None = None
    whole: bool = False
    inexact: str = ""
    infinite: bool = False
    largest: float = math.inf
    needs_sizes: bool = False
    dense_kernel: bool = True
    pieces: int = 1
    activation: Kind | None = None
    offset: bool = False
    after_activation: bool = False

    @property
    def exact(self) -> bool:
        """Whether the answer for a window is its own alone, so that an image is answered for all windows at once."""
        return not self.inexact

    def make(self, *arguments: Any, **options: Any) -> Any:
        """Make a layer, with arguments as of its class."""
        module, _, name = self.layer.partition(":")
        package = __package__ if module.startswith(".") else None
        return getattr(import_module(module, package), name)(*arguments, **{**self.arguments, **options})

    def with_number(self, text: str) -> Kind:
        """Return this kind with the number that stands behind its name.

        Raises:
            ValueError: if it takes none, or the text is none.
        """
        if self.number is None:
            raise ValueError(f"takes no number. Received: {text!r}.")
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            value = 0
        if not value >= 1 or (math.isinf(value) and not self.infinite):
            rule = "an integer" if self.whole else "a number"
            raise ValueError(f"takes {rule} >= 1 as `{self.number}`. Received: {text!r}.")
        if self.number == "pieces":
            activation = None if self.activation is None else replace(self.activation, arguments={"pieces": value})
            return replace(self, pieces=int(value), activation=activation)
        changed = replace(self, arguments={**self.arguments, self.number: value})
        return replace(changed, inexact=_LOST) if self.largest < value < math.inf else changed


_LOST = "its powers are scaled by the largest value of the image, next to which those of a window may underflow"
_SURROUNDINGS = "it uses a neighbourhood that ends at the window, where the image continues"
_OWN_KERNELS = "each position has its own kernel, and a pixel lies at a different position in each window"
_PLACES = "it pools to several positions with windows of different sizes"
_ALL_POSITIONS = "it normalizes over the whole image instead of the window"

CONVOLUTIONS: dict[str, Kind] = {
    "standard": Kind("keras.layers:Conv2D"),
    "dilated": Kind(
        ".convolutional.dilated_conv:DilatedConv2D", {"dilation_rate": 2}, number="dilation_rate", whole=True
    ),
    "tiled": Kind(".convolutional.tiled_conv:TiledConv2D", {"tile_shape": 2}, number="tile_shape", whole=True),
    "unshared": Kind(".convolutional.unshared_conv:UnsharedConv2D", inexact=_OWN_KERNELS, needs_sizes=True),
    "deformable": Kind(".convolutional.deformable_conv:DeformableConv2D", inexact="it may read outside the window"),
    "fourier": Kind(".convolutional.fourier_conv:FourierConv2D"),
    "low-rank": Kind(".convolutional.low_rank_conv:LowRankConv2D", number="rank", whole=True, dense_kernel=False),
    "maxout": Kind(
        "keras.layers:Conv2D",
        number="pieces",
        whole=True,
        pieces=2,
        activation=Kind(".pooling.channel_pooling:Maxout", {"pieces": 2}),
    ),
    "channel-lp": Kind(
        "keras.layers:Conv2D",
        number="pieces",
        whole=True,
        pieces=2,
        activation=Kind(".pooling.channel_pooling:ChannelLpPooling", {"pieces": 2}),
    ),
}
"""With the arguments `filters` and `kernel_size`, and all that Keras's own and these share."""

POOLINGS: dict[str, Kind] = {
    "max": Kind("keras.layers:MaxPooling2D", {"pool_size": 2}),
    "average": Kind("keras.layers:AveragePooling2D", {"pool_size": 2}),
    "l2": Kind(".pooling.lp_pooling:L2Pooling2D", {"pool_size": 2}),
    "lp": Kind(".pooling.lp_pooling:LpPooling2D", {"pool_size": 2, "p": 3.0}, number="p", largest=6, infinite=True),
    "gem": Kind(".pooling.gem_pooling:GeMPooling2D", {"pool_size": 2, "p": 3.0}, number="p", largest=6),
    # Of 2 x 2 neighbours all would weigh the same.
    "weighted-average": Kind(".pooling.weighted_pooling:WeightedAveragePooling2D", {"pool_size": 3, "strides": 2}),
    "weighted-lp": Kind(
        ".pooling.weighted_pooling:WeightedLpPooling2D",
        {"pool_size": 3, "strides": 2, "p": 2.0},
        number="p",
        largest=6,
    ),
    "subsampling": Kind(".pooling.subsampling:Subsampling2D", {"pool_size": 2}),
}
"""Each halves height and width; with the arguments `padding` and `name`."""

NORMALIZATIONS: dict[str, Kind] = {
    "batch": Kind(".normalization.batch_normalization:FusedBatchNormalization", {"momentum": 0.9}, offset=True),
    "layer": Kind("keras.layers:LayerNormalization", offset=True),
    "rms": Kind("keras.layers:RMSNormalization"),
    "group": Kind(
        "keras.layers:GroupNormalization",
        {"groups": 8},
        number="groups",
        whole=True,
        inexact=_ALL_POSITIONS,
        offset=True,
    ),
    "instance": Kind("keras.layers:GroupNormalization", {"groups": -1}, inexact=_ALL_POSITIONS, offset=True),
    "local-response": Kind(".normalization.local_response:LocalResponseNormalization", after_activation=True),
    "subtractive": Kind(
        ".normalization.local_contrast:SubtractiveNormalization2D", inexact=_SURROUNDINGS, after_activation=True
    ),
    "divisive": Kind(
        ".normalization.local_contrast:DivisiveNormalization2D", inexact=_SURROUNDINGS, after_activation=True
    ),
    "local-contrast": Kind(
        ".normalization.local_contrast:LocalContrastNormalization2D", inexact=_SURROUNDINGS, after_activation=True
    ),
    "none": Kind("keras.layers:Identity"),
}
"""With the argument `name`."""

HEADS: dict[str, Kind] = {
    "average": Kind("keras.layers:GlobalAveragePooling2D"),
    "max": Kind("keras.layers:GlobalMaxPooling2D"),
    "gem": Kind(".pooling.gem_pooling:GlobalGeMPooling2D", {"p": 3.0}, number="p", largest=6),
    "flatten": Kind("keras.layers:Flatten", needs_sizes=True),
    "adaptive-average": Kind(
        ".pooling.adaptive_pooling:AdaptiveAveragePooling2D",
        {"output_size": 2},
        number="output_size",
        whole=True,
        inexact=_PLACES,
    ),
    "adaptive-max": Kind(
        ".pooling.adaptive_pooling:AdaptiveMaxPooling2D",
        {"output_size": 2},
        number="output_size",
        whole=True,
        inexact=_PLACES,
    ),
    "adaptive-lp": Kind(
        ".pooling.adaptive_pooling:AdaptiveLpPooling2D",
        {"output_size": 2},
        number="output_size",
        whole=True,
        inexact=_PLACES,
    ),
    "pyramid": Kind(".pooling.pyramid_pooling:SpatialPyramidPooling2D", inexact=_PLACES),
}
"""What makes one vector of a map, or a few places of it that are then put one after another."""

TABLES: dict[str, dict[str, Kind]] = {
    "conv": CONVOLUTIONS,
    "pool": POOLINGS,
    "norm": NORMALIZATIONS,
    "head": HEADS,
}
"""The tables by the names of the options that choose from them."""


def find_kind(table: str, name: str) -> Kind:
    """Return a kind by its name, with the number that may stand behind it.

    Args:
        table: "conv", "pool", "norm" or "head".
        name: as in the table, or with a number as in "lp:3".

    Returns:
        The kind, its number among its arguments.

    Raises:
        ValueError: if there is no such kind, or it takes no such number.

    Example:
        >>> from layers.kinds import find_kind
        >>> find_kind("pool", "lp:4").arguments["p"]
        4.0
    """
    base, colon, number = name.partition(":")
    kinds = TABLES[table]
    if base not in kinds:
        raise ValueError(f"`{table}` must be one of {', '.join(kinds)}. Received: {table}={name!r}.")
    try:
        return kinds[base].with_number(number) if colon else kinds[base]
    except ValueError as error:
        raise ValueError(f"{table} {base!r} {error}") from None
