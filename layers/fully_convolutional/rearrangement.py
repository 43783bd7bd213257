"""What a network needs between its layers to be evaluated at all positions of an image at once.

Where a stride is taken back, the output has several *fragments*: fragment k of f along an axis holds the entries
`f * j + k`. Within a fragment neighbours are as far apart as the network was trained for, so that all later layers run
on it unchanged. Fragments lie along the batch: row before column before image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from ..core.geometry import positive_ints
from ..core.slicing import every

__all__ = ["Fragments", "Patches", "Trim", "Windows"]

Pair = tuple[int, int]
Ints = tuple[int, ...]


class _Rearrangement(keras.layers.Layer):
    """A layer that only moves entries, and so leaves their dtype alone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})

    def _spec(self, x: Any, channels: int | None = None) -> Any:
        return keras.KerasTensor((None, None, None, x.shape[-1] if channels is None else channels), x.dtype)


@keras.saving.register_keras_serializable(package="cnnapp")
class Fragments(_Rearrangement):
    """Put fragments together, keep every `step`-th entry, and split the rest into fragments again.

    The end of an axis that does not divide is filled with zeros; nothing that depends on these is ever kept.

    Args:
        before: int or (height, width), fragments of the input.
        after: int or (height, width), fragments of the output.
        step: int or (height, width).
        **kwargs: `name`, `dtype`.

    Input shape:
        `(prod(before) * batch, height, width, channels)`.

    Output shape:
        `(prod(after) * batch, ceil(before * height / step / after), ..., channels)`.

    Example:
        >>> import keras
        >>> from layers.fully_convolutional.rearrangement import Fragments
        >>> x = keras.ops.reshape(keras.ops.arange(5), (1, 1, 5, 1))
        >>> keras.ops.convert_to_numpy(Fragments(after=(1, 2))(x))[:, 0, :, 0].tolist()
        [[0, 2, 4], [1, 3, 0]]

    Reference:
        Giusti et al., 2013, "Fast image scanning with deep max-pooling convolutional neural networks".
    """

    def __init__(self, before: int | Pair = 1, after: int | Pair = 1, step: int | Pair = 1, **kwargs: Any) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        self.before = positive_ints(before, 2, "before")
        self.after = positive_ints(after, 2, "after")
        self.step = positive_ints(step, 2, "step")

    def call(self, inputs: Any) -> Any:
        """Return the rearranged `inputs`."""
        more = tuple(after // before for before, after in zip(self.before, self.after, strict=True))
        nested = all(b * m == a for b, m, a in zip(self.before, more, self.after, strict=True))
        if nested and self.step == (1, 1):
            return _split(inputs, self.before, more)
        return _split(_every(_merge(inputs, self.before), self.step), (1, 1), self.after)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the output's shape and dtype; its sizes are unknown."""
        return self._spec(inputs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "before": self.before, "after": self.after, "step": self.step}


@keras.saving.register_keras_serializable(package="cnnapp")
class Windows(_Rearrangement):
    """Put fragments together, and keep one output for every window that lies wholly inside the image.

    Args:
        window: (height, width) in pixels.
        shift: (height, width), pixels between windows.
        fragments: int or (height, width), fragments of the input.
        step: int or (height, width), entries between those that are kept.
        **kwargs: `name`, `dtype`.

    Input shape:
        `(prod(fragments) * batch, height, width, channels)`, and the image `(batch, H, W, C)`.

    Output shape:
        `(batch, (H - window) // shift + 1, ..., channels)`.
    """

    def __init__(
        self, window: Pair, shift: Pair, fragments: int | Pair = 1, step: int | Pair = 1, **kwargs: Any
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        self.window = positive_ints(window, 2, "window")
        self.shift = positive_ints(shift, 2, "shift")
        self.fragments = positive_ints(fragments, 2, "fragments")
        self.step = positive_ints(step, 2, "step")

    def call(self, inputs: Sequence[Any]) -> Any:
        """Return an entry for every window."""
        x, image = inputs
        x = _every(_merge(x, self.fragments), self.step)
        images = zip(ops.shape(image)[1:3], self.window, self.shift, strict=True)
        return _crop(x, [(size - window) // shift + 1 for size, window, shift in images])

    def compute_output_spec(self, inputs: Sequence[Any]) -> Any:
        """Return the output's shape and dtype; its sizes are unknown."""
        return self._spec(inputs[0])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        names = ("window", "shift", "fragments", "step")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="cnnapp")
class Patches(_Rearrangement):
    """Write the entries of every window side by side into the channels: rows, then columns, then channels.

    Args:
        sizes: (height, width) of the windows, which are one entry apart.
        **kwargs: `name`, `dtype`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height - sizes[0] + 1, width - sizes[1] + 1, sizes[0] * sizes[1] * channels)`.
    """

    def __init__(self, sizes: Pair, **kwargs: Any) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        self.sizes = positive_ints(sizes, 2, "sizes")

    def call(self, inputs: Any) -> Any:
        """Return the patches of `inputs`."""
        batch, height, width, channels = ops.shape(inputs)
        lengths = (batch, height - self.sizes[0] + 1, width - self.sizes[1] + 1, channels)
        places = [(row, column) for row in range(self.sizes[0]) for column in range(self.sizes[1])]
        return ops.concatenate([ops.slice(inputs, (0, *place, 0), lengths) for place in places], axis=-1)

    def compute_output_spec(self, inputs: Any) -> Any:
        """Return the output's shape and dtype; its sizes are unknown."""
        return self._spec(inputs, self.sizes[0] * self.sizes[1] * inputs.shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "sizes": self.sizes}


@keras.saving.register_keras_serializable(package="cnnapp")
class Trim(_Rearrangement):
    """Cut the ends off several maps, so that all are as large as the smallest.

    Maps that agree in every window may differ at the end of the image, where one has an entry that no window reads.

    Input shape:
        A list of `(batch, height, width, channels)`, whose heights, widths and channels may differ.

    Output shape:
        The same with the smallest height and width.
    """

    def call(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the trimmed `inputs`."""
        return [_crop(x, [_smallest([ops.shape(y)[axis] for y in inputs]) for axis in (1, 2)]) for x in inputs]

    def compute_output_spec(self, inputs: Sequence[Any]) -> list[Any]:
        """Return the outputs' shapes and dtypes; their sizes are unknown."""
        return [self._spec(x) for x in inputs]


def _split(x: Any, before: Ints, more: Ints) -> Any:
    """Return each of `before` fragments as `more` of them, each of every `more`-th entry."""
    if more == (1, 1):
        return x
    missing = [-size % count for size, count in zip(ops.shape(x)[1:3], more, strict=True)]
    x = ops.pad(x, [(0, 0), (0, missing[0]), (0, missing[1]), (0, 0)])
    total, height, width, channels = ops.shape(x)
    height, width = height // more[0], width // more[1]
    images = total // (before[0] * before[1])
    x = ops.reshape(x, (before[0], before[1] * images, height, more[0], width, more[1], channels))
    if before[0] == 1:
        # One axis less; the new fragments of a row come before the old ones, which lie along the batch.
        x = ops.transpose(ops.squeeze(x, 0), (2, 4, 0, 1, 3, 5))
    else:
        x = ops.transpose(x, (3, 0, 5, 1, 2, 4, 6))
    return ops.reshape(x, (total * more[0] * more[1], height, width, channels))


def _merge(x: Any, fragments: Ints) -> Any:
    if fragments == (1, 1):
        return x
    total, height, width, channels = ops.shape(x)
    rows, columns = fragments
    images = total // (rows * columns)
    x = ops.transpose(ops.reshape(x, (rows, columns, images, height, width, channels)), (2, 3, 0, 4, 1, 5))
    return ops.reshape(x, (images, rows * height, columns * width, channels))


def _every(x: Any, step: Ints) -> Any:
    for axis, length in enumerate(step, start=1):
        x = every(x, axis, 0, length)
    return x


def _crop(x: Any, sizes: Sequence[Any]) -> Any:
    batch, _, _, channels = ops.shape(x)
    return ops.slice(x, (0, 0, 0, 0), (batch, *sizes, channels))


def _smallest(sizes: Sequence[Any]) -> Any:
    smallest = sizes[0]
    for size in sizes[1:]:
        known = isinstance(smallest, int) and isinstance(size, int)
        smallest = min(smallest, size) if known else ops.minimum(smallest, size)
    return smallest
