"""What any model answers: what can be asked of an answer and of its type, whatever the task."""

from __future__ import annotations

import html
import json
from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from PIL import Image, ImageDraw

from cnnapp.results.tiles import Tiles
from pipelines.core.errors import ConfigError
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput

__all__ = ["Answer", "Difference", "Unit"]

Unit = Literal["image", "window", "pixel"]
"""What a decision of a network is for."""

_SIDE, _LETTER = 320, 14


class Answer(ABC):
    """What a model says of one image.

    A subclass has the fields ``source``, then one for each of ``outputs``, then ``class_names``, and is a row of
    :data:`cnnapp.results.table.ANSWERS`. Nothing else has to be written: what stands here does for any numbers; what
    can be said better is overridden.

    Attributes:
        source: how the image was named: its path, or what it is.
        class_names: the names of all classes, in the order of the class ids.

    Example:
        >>> @dataclass(frozen=True, eq=False)
        ... class Number(Answer):
        ...     outputs = ("value",)
        ...     source: str
        ...     value: np.ndarray
        ...     class_names: tuple[str, ...]
        >>> answer = next(Number.from_outputs({"value": np.array([2.5])}, ["a.png"], ["number"]))
        >>> print(answer)
        a.png: value 2.5
        >>> answer.to_json()
        {'source': 'a.png', 'value': 2.5}
    """

    outputs: ClassVar[tuple[str, ...]]
    """The outputs of ``serving_default`` that it is made of."""
    unit: ClassVar[Unit] = "image"
    """What a unit at the end of the network decides for. A network that decides for windows scans the image, and can be
    shown to give what each window gives alone.
    """
    together: ClassVar[int] = 1
    """How many images are asked at once where answers are to come soon; more only where that is quicker."""
    one_class: ClassVar[bool] = False
    """Whether it names one class for the image (``class_name``), so that a label says whether it is right."""
    coco: ClassVar[bool] = False
    """Whether it can be written in COCO's results format (:meth:`to_coco`)."""
    masks: ClassVar[bool] = False
    """Whether it can be written as a mask (:meth:`mask_png`): a class for every pixel."""
    tiled: ClassVar[bool] = False
    """Whether large images can be answered in tiles (:meth:`in_tiles`)."""
    counted_by: ClassVar[tuple[str, str] | None] = None
    """Signature and output whose last axis has an entry for each class, where there is one."""

    source: str
    class_names: tuple[str, ...]

    # === From and to the outputs of a model ===

    @classmethod
    def from_outputs(
        cls, outputs: Mapping[str, np.ndarray], names: Sequence[str], classes: Sequence[str]
    ) -> Iterator[Self]:
        """Give an answer for each image of one call.

        Args:
            outputs: of ``serving_default``, by name, for ``len(names)`` images.
            names: how the answers call the images.
            classes: the names of all classes.
        """
        for name, *values in zip(names, *(outputs[key] for key in cls.outputs), strict=True):
            yield cls.from_one(name, values, tuple(classes))

    @classmethod
    def from_one(cls, name: str, values: Sequence[np.ndarray], class_names: tuple[str, ...]) -> Self:
        """Return the answer for one image from what each of ``outputs`` has for it."""
        return cls(name, *values, class_names)  # type: ignore[call-arg]

    @classmethod
    def to_outputs(cls, answers: Sequence[Self], limit: int = 100) -> dict[str, np.ndarray]:
        """Turn answers back into the outputs of one call, the reverse of :meth:`from_outputs`.

        Args:
            answers: for images in order.
            limit: how many things an image has room for, where an answer lists things.
        """
        return {key: np.stack([np.asarray(getattr(one, key)) for one in answers]) for key in cls.outputs}

    @classmethod
    def highest_class_id(cls, outputs: Mapping[str, np.ndarray]) -> int:
        """Return the highest class id among the outputs of a call, -1 where there is none."""
        return int(outputs.get("class_ids", np.zeros(0, int)).astype(int).max(initial=-1))

    # === In words and tables ===

    def __str__(self) -> str:
        """Return one line: the image, and what is said of it."""
        return f"{self.source}: " + ", ".join(f"{key} {_short(getattr(self, key))}" for key in self.outputs)

    def line(self, top: int) -> str:
        """Return one line for the terminal.

        Args:
            top: how many classes it names, where it ranks them.
        """
        return str(self)

    @classmethod
    def columns(cls, classes: Sequence[str]) -> list[str]:
        """Return the columns of a table of such answers, between ``source`` and ``error``.

        Args:
            classes: the names of all classes.
        """
        return list(cls.outputs)

    def rows(self) -> list[list[str]]:
        """Return its rows in that table, under :meth:`columns`."""
        return [[_short(getattr(self, key)) for key in self.outputs]]

    def to_json(self) -> dict[str, Any]:
        """Return the answer as plain values, for ``json.dumps``."""
        return {"source": self.source} | {key: np.asarray(getattr(self, key)).tolist() for key in self.outputs}

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>"

    # === As pictures and other files ===

    def draw(self, image: ImageInput | None = None) -> Image.Image:
        """Draw the image with the answer below it.

        Args:
            image: the image; by default it is read again from ``source``.

        Returns:
            A picture of mode RGB.

        Raises:
            DataError: if the image cannot be read.
        """
        picture = image_io.open_rgb(self.source if image is None else image)
        scale = _SIDE / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        # Small images are shown by their pixels; a smooth enlargement would hide what the network sees.
        how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
        canvas = Image.new("RGB", (_SIDE, size[1] + 2 * _LETTER), "white")
        canvas.paste(picture.resize(size, how), ((_SIDE - size[0]) // 2, 0))
        text = str(self).removeprefix(f"{self.source}: ")
        ImageDraw.Draw(canvas).text((8, size[1] + _LETTER // 3), text, fill="#222222", font_size=_LETTER)
        return canvas

    def to_coco(self) -> list[dict[str, Any]]:
        """Return records in COCO's results format.

        Raises:
            ConfigError: if it is no answer of boxes or masks.
        """
        raise ConfigError(f"{self.source}: an answer such as {self} has no boxes or masks for COCO's results format")

    def mask_png(self) -> bytes:
        """Return a palette PNG whose values are the class ids.

        Raises:
            ConfigError: if it is no answer of masks.
        """
        raise ConfigError(f"{self.source}: an answer such as {self} has no mask")

    # === Of large images ===

    @classmethod
    def in_tiles(cls, tiles: Tiles) -> Answer:
        """Answer for a large image in tiles; the answer is that for the whole image.

        Args:
            tiles: the image and the model.

        Raises:
            ConfigError: if the answer is for the whole image, or the network cannot be exact in tiles.
        """
        card = tiles.served.card
        raise ConfigError(f"tile: {card.name} is for {card.task}, whose answer is for the whole image")

    # === Beside another ===

    def compare(self, other: Self) -> Difference:
        """Say how this answer and another model's for the same image differ.

        Args:
            other: of the same type.
        """
        first, second = (json.dumps(one.to_json() | {"source": ""}, sort_keys=True) for one in (self, other))
        return Difference(self.source, float(first != second), first == second, self, other)


@dataclass(frozen=True, eq=False)
class Difference:
    """What two answers for one image have in common, and what not; subclasses define it for a type of answer.

    Args:
        source: how the image is called.
        amount: how far they differ, 0 to 1.
        agrees: whether they say the same.
        first: the answer of the first model.
        second: that of the second.
    """

    source: str
    amount: float
    agrees: bool
    first: Answer
    second: Answer

    def right(self, label: str) -> tuple[bool, bool] | None:
        """Return which of the two is right about an image of a class; None where a class does not tell.

        Args:
            label: the name of the true class.
        """
        return None


def _short(value: Any) -> str:
    """Return numbers in few digits."""
    return " ".join(f"{number:.6g}" for number in np.ravel(np.asarray(value)).tolist())
