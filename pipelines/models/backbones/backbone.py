"""What a backbone is: a function from an image to features by stride, and what it promises of them."""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import keras

from layers.analysis.receptive_field import receptive_fields
from pipelines.core.errors import ConfigError
from pipelines.models.names import named_kind

__all__ = ["Backbone", "Features", "Size", "at_most_96"]

Features = dict[int, keras.KerasTensor]
"""From a stride, in pixels, to the features of that stride."""
Size = tuple[int, int]
"""Height and width."""

_KINDS = ("conv", "pool", "norm")
# What a configuration says where nobody chose: a backbone that has no such option is not asked for another.
_USUAL = {"conv": "standard", "pool": "max", "norm": "batch", "padding": "same"}
_OF_THE_SEAM = ("padding", "deepest")


def at_most_96(native: Size) -> Size:
    """Return the images' own (height, width), scaled down to 96 on the longer side where they are larger."""
    scale = min(1.0, 96 / max(native))
    return max(4, round(native[0] * scale)), max(4, round(native[1] * scale))


@dataclass(frozen=True, eq=False)
class Backbone:
    """A network from images to features, and its promises.

    The function is called with the images, float 0 to 255 of shape (batch, height, width, channels), with the mean and
    the deviation of the training pixels, and with those of these keywords that it declares, and its own:

    - ``conv``, ``pool``, ``norm``: kinds of layers by name, as in :mod:`layers.kinds`; the defaults are what it is
      meant for;
    - ``padding``: "same" or "valid", where it can be built with either;
    - ``deepest``: the largest stride that is asked for, beyond which nothing need be built; None for all.

    It standardises its pixels itself, by a layer named "standardise" with a number for ``scale`` and one for ``offset``
    (:func:`pipelines.models.blocks.standardised` makes it); one that was trained before has its own numbers there.

    Args:
        name: as in the table.
        function: gives the features by stride.
        strides: that it can give, ascending.
        padding: of its convolutions: "same" gives maps of the image's size over the stride, "valid" reads nothing but
            pixels. The first is the usual one.
        exact: whether it looks, built with "valid", the same wherever a window lies, so that an image is answered for
            all windows at once exactly as for each alone.
        smallest: the least height and width.
        head: what a classifier makes one vector of its last features by, as in :data:`layers.kinds.HEADS`.
        top: from that vector to the one that the classes are told from: dropout, or dense layers of its own.
        default_size: from the images' own (height, width) to those that a classifier sees.

    Example:
        >>> from pipelines.models.backbones import find_backbone
        >>> maps = find_backbone("fcn").features(keras.Input((64, 96, 3)), 127.5, 64.0, needs=(8, 16))
        >>> maps[16].shape
        (None, 4, 6, 96)
    """

    name: str
    function: Callable[..., Features]
    strides: tuple[int, ...]
    padding: tuple[str, ...] = ("same",)
    exact: bool = False
    smallest: int = 1
    head: str = "average"
    top: Callable[[keras.KerasTensor], keras.KerasTensor] | None = None
    default_size: Callable[[Size], Size] = at_most_96

    @property
    def options(self) -> dict[str, Any]:
        """The options that it has, with their defaults: kinds of layers, and its own."""
        parameters = list(inspect.signature(self.function).parameters.values())[3:]
        return {p.name: p.default for p in parameters if p.name not in _OF_THE_SEAM}

    @property
    def pool(self) -> str:
        """The pooling that it is meant for."""
        return str(self.options.get("pool", _USUAL["pool"]))

    def features(
        self,
        pixels: keras.KerasTensor,
        mean: float = 127.5,
        deviation: float = 64.0,
        *,
        needs: Collection[int] = (),
        padding: str | None = None,
        exact: bool = False,
        **options: Any,
    ) -> Features:
        """Build it.

        Args:
            pixels: the images, 0 to 255, of shape (batch, height, width, channels); height and width may be None.
            mean: of the training pixels, 0 to 255.
            deviation: their standard deviation.
            needs: strides that must be there; with none, it goes as deep as it does by itself.
            padding: "same" or "valid"; None for its usual one.
            exact: refuse what would not answer for a window by that window alone.
            **options: kinds of layers and its own options; None for the default.

        Returns:
            Features by stride, those of ``needs`` among them.

        Raises:
            ConfigError: for a stride, padding, kind or option that it does not have, or an image that is too small.
        """
        chosen = {name: value for name, value in options.items() if value is not None}
        self._check_promises(needs, padding, exact)
        self._check_options(chosen, exact, None in pixels.shape[1:3])
        padding = padding or self.padding[0]
        self._check_size(tuple(pixels.shape[1:3]), max(needs, default=1))
        arguments = chosen | {"padding": padding, "deepest": max(needs, default=None)}
        declared = inspect.signature(self.function).parameters
        try:
            found = self.function(
                pixels, mean, deviation, **{name: value for name, value in arguments.items() if name in declared}
            )
        except ValueError as error:
            raise ConfigError(f"backbone {self.name!r} cannot be built for {_of(pixels)}: {_first(error)}") from None
        self._check_found(found, needs, pixels)
        return found

    def receptive_field(self, stride: int, padding: str = "valid", **options: Any) -> int:
        """Return how many pixels, along an axis, the features at one place of a stride read.

        Raises:
            ConfigError: as of :meth:`features`; or if they read pixels before the first one of a "valid" window, or
                the whole image.
        """
        chosen = tuple(sorted((name, value) for name, value in options.items() if value is not None))
        return _field(self, stride, padding, chosen)

    def _check_promises(self, needs: Collection[int], padding: str | None, exact: bool) -> None:
        lacking = [stride for stride in needs if stride not in self.strides]
        if lacking:
            raise ConfigError(
                f"backbone {self.name!r} has no features of stride {_words(lacking)}, which are needed; it has those "
                f"of {_words(self.strides)}. Choose another backbone, or another stride"
            )
        if padding is not None and padding not in self.padding:
            raise ConfigError(
                f"backbone {self.name!r} is padded {_words(map(repr, self.padding))}, and {padding!r} is needed: "
                + _REASONS.get(padding, "choose another backbone")
            )
        if exact and not self.exact and padding == "valid":
            raise ConfigError(f"backbone {self.name!r} does not promise that {_REASONS['valid']}")

    def _check_options(self, chosen: Mapping[str, Any], exact: bool, open_sizes: bool) -> None:
        options = self.options
        for name, value in chosen.items():
            if name not in options:
                if value != _USUAL.get(name):
                    raise ConfigError(
                        f"backbone {self.name!r} has no option {name!r}; it has: {', '.join(options) or 'none'}"
                    )
            elif name in _KINDS:
                kind = named_kind(name, value, exact)
                if kind.needs_sizes and open_sizes:
                    raise ConfigError(
                        f"{name} {value!r} does not fit: it needs images of one size, and this network takes any"
                    )

    def _check_size(self, sizes: tuple[int | None, ...], deepest: int) -> None:
        least = max(self.smallest, deepest)
        if any(size is not None and size < least for size in sizes):
            raise ConfigError(
                f"backbone {self.name!r} needs sides of at least {least} pixels; received {sizes[0]} x {sizes[1]}. "
                "Choose larger images, or another backbone"
            )

    def _check_found(self, found: Features, needs: Collection[int], pixels: keras.KerasTensor) -> None:
        for stride in needs or found:
            if stride not in found:
                raise ConfigError(
                    f"backbone {self.name!r} promises features of stride {stride}, and gave those of {_words(found)}"
                )
            if any(size == 0 for size in found[stride].shape[1:3]):
                raise ConfigError(
                    f"backbone {self.name!r} leaves nothing of {_of(pixels)} at a stride of {stride}; choose larger "
                    "images, or another backbone"
                )


_REASONS = {
    "valid": "what is said of a window must depend on that window alone",
    "same": "the maps must have the image's size over the stride",
}


@lru_cache(maxsize=64)
def _field(backbone: Backbone, stride: int, padding: str, options: tuple[tuple[str, Any], ...]) -> int:
    before = random.getstate()
    pixels = keras.Input((None, None, 1), name="pixels")
    features = backbone.features(pixels, needs=(stride,), padding=padding, exact=padding == "valid", **dict(options))[
        stride
    ]
    # Whoever asks this must not change what a network that is built afterwards begins with.
    random.setstate(before)
    found = receptive_fields(keras.Model(pixels, features), input_sizes=(1024, 1024))[-1].axes
    if found is None or (padding == "valid" and found[0].start != 0) or found[0].jump != stride:
        raise ConfigError(
            f"backbone {backbone.name!r} does not keep its promise at a stride of {stride}: {_REASONS['valid']}"
        )
    return int(found[0].size)


def _first(error: ValueError) -> str:
    """Return what Keras says is wrong, without where in its own code, and without colours."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("Exception encountered")]
    return said[0] if said else type(error).__name__


def _words(values: Any) -> str:
    return ", ".join(str(value) for value in values)


def _of(pixels: keras.KerasTensor) -> str:
    height, width = pixels.shape[1:3]
    return "images of any size" if height is None else f"images of {height} x {width}"
