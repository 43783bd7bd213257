"""The embedded source of detection and segmentation: scenes of several real handwritten digits among clutter.

They are made as they are asked for.

A scene is a pure function of (seed, part, number). Its digits come from the part of the digits' own split that has the
scene's name, so that no digit image of a test scene is in a training scene. All drawing is arithmetic on NumPy's and
Pillow's integers, so that every machine draws the same scene.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from PIL import Image, ImageDraw

from pipelines.data.embedded import digits
from pipelines.data.splits import SPLIT_NAMES, Example, Item, Label, Split, Splits
from pipelines.images import image_io
from pipelines.images.boxes import Objects

__all__ = ["CLASSES", "MASK_SIZES", "SIZES", "Scene", "load", "load_masks", "scene"]

CLASSES = tuple("0123456789")
SIZES = {"train": 2000, "validation": 300, "test": 300}
"""The number of scenes in each part."""
MASK_SIZES = SIZES | {"train": 8000}
"""The same of scenes with masks. They cost nothing, and at equal steps more of them teach more than the same again."""

_RECIPE = 1  # Goes into the fingerprint: to be raised with every change to what a scene looks like.
_HEIGHT, _WIDTH = 96, 128
_MOST_DIGITS = 6
# Each octave of size is equally frequent, as it is for things seen from different distances.
_DIGIT_HEIGHTS = np.geomspace(16, 48, 33).round().astype(int)
_MARGIN = 2  # Pixels of nothing around the 8 x 8 of a digit, so that its strokes fade out when it is enlarged.
_VISIBLE = 88  # Of 255: how opaque a pixel has to be to count as a pixel of the digit.


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene and the truth about it.

    Args:
        image: uint8 of shape (96, 128), grey.
        objects: the boxes, tight around the visible strokes, in the order in which they were drawn.
        mask: uint8 of shape (96, 128); 0 for the background, otherwise the digit plus one.
    """

    image: np.ndarray
    objects: Objects
    mask: np.ndarray


def load(seed: int, sizes: Mapping[str, int] = SIZES) -> Splits[Objects]:
    """Load the scenes with the boxes of their digits.

    Args:
        seed: another seed gives other scenes, of digits split otherwise.
        sizes: the number of scenes in each part.

    Returns:
        Grey PNG images of 96 x 128 pixels, ten classes "0" to "9", drawn when they are asked for.
    """
    return _load("scenes", seed, sizes, CLASSES, lambda drawn: drawn.objects)


def load_masks(seed: int, sizes: Mapping[str, int] = MASK_SIZES) -> Splits[np.ndarray]:
    """Load the same scenes, and more, with their masks.

    Args:
        seed: as for :func:`load`.
        sizes: likewise.

    Returns:
        The images of :func:`load`, and further training images; eleven classes "background" and "0" to "9".
    """
    return _load("scene masks", seed, sizes, ("background", *CLASSES), lambda drawn: drawn.mask)


def _load(
    what: str, seed: int, sizes: Mapping[str, int], classes: tuple[str, ...], label_of: Callable[[Scene], Label]
) -> Splits[Label]:
    def part(name: str) -> Split[Label]:
        def item(number: int) -> Item[Label]:
            key = f"scenes/{name}/{number}"

            def read() -> Example[Label]:
                drawn = scene(seed, name, number)
                return Example(key, image_io.read(drawn.image, key), label_of(drawn))

            return Item(key, read)

        return Split.of(name, sizes[name], lambda: map(item, range(sizes[name])))

    content = f"{what}:{_RECIPE}:{seed}:{[sizes[name] for name in SPLIT_NAMES]}"
    return Splits(
        source="scenes",
        classes=classes,
        train=part("train"),
        validation=part("validation"),
        test=part("test"),
        mirrored=False,
        fingerprint=hashlib.sha256(content.encode()).hexdigest(),
    )


def scene(seed: int, part: str, number: int) -> Scene:
    """Draw a scene; the same arguments always give the same one.

    Args:
        seed: of the scenes, and of the split of the digits; not negative.
        part: "train", "validation" or "test".
        number: which scene; not negative, and without an upper end.

    Returns:
        One to six digits of 16 to 48 pixels' height, wholly inside the image and all but apart from each other.

    Raises:
        ValueError: if there is no such part, or a number is negative.

    Example:
        >>> drawn = scene(0, "train", 7)
        >>> drawn.image.shape, set(drawn.mask[drawn.mask > 0].tolist()) == set((drawn.objects.class_ids + 1).tolist())
        ((96, 128), True)
    """
    if part not in SPLIT_NAMES or seed < 0 or number < 0:
        raise ValueError(f"received seed {seed}, part {part!r}, number {number}; expected a part of {SPLIT_NAMES} and "
                         "numbers that are not negative")  # fmt: skip
    pixels, labels = _digits(seed)[part]
    dice = np.random.default_rng([seed, SPLIT_NAMES.index(part), number])
    canvas = _background(dice)
    _add_clutter(canvas, dice, pixels)
    mask = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    boxes: list[tuple[int, int, int, int]] = []
    class_ids: list[int] = []
    for _ in range(dice.integers(1, _MOST_DIGITS + 1)):
        label = int(dice.integers(len(CLASSES)))  # Equally often, which the parts of the digits are not quite.
        chosen = int(dice.choice(np.flatnonzero(labels == label)))
        opacity = _enlarge(pixels[chosen], dice)
        box = _place(opacity.shape, boxes, dice)
        if box is None:
            continue
        left, top, right, bottom = box
        _blend(canvas[top:bottom, left:right], opacity, dice, least=65, most=150)
        mask[top:bottom, left:right][opacity >= _VISIBLE] = label + 1
        boxes.append(box)
        class_ids.append(label)
    noise = int(dice.integers(1, 9))
    canvas += dice.integers(-noise, noise + 1, canvas.shape, dtype=np.int32)
    return Scene(np.clip(canvas, 0, 255).astype(np.uint8), Objects.of(boxes, class_ids), mask)


@lru_cache(maxsize=4)
def _digits(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Give the digit images of each part, uint8 with a margin around them, and what they are."""
    splits = digits.load(seed)
    parts = {}
    for name in SPLIT_NAMES:
        examples = list(splits[name].examples())
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(example.image))) for example in examples])
        around = ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN))
        parts[name] = np.pad(pixels, around), np.array([example.label for example in examples])
    return parts


# === The ground ===


def _background(dice: np.random.Generator) -> np.ndarray:
    """Give a slope of light and a texture of one grain or two; int32 of shape (96, 128)."""
    canvas = np.full((_HEIGHT, _WIDTH), int(dice.integers(60, 196)), np.int32)
    for rows, columns, most in ((2, 2, 60), (4, 5, 50), (12, 16, 36), (32, 43, 30)):
        strength = int(dice.integers(0, most))
        canvas += (_cloud(dice, rows, columns) - 128) * strength // 128
    return canvas


def _cloud(dice: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    grid = Image.fromarray(dice.integers(0, 256, (rows, columns), dtype=np.uint8))
    return np.asarray(grid.resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC)).astype(np.int32)


def _add_clutter(canvas: np.ndarray, dice: np.random.Generator, pixels: np.ndarray) -> None:
    """Draw things that are no digits, as soft and as bright as digits are.

    Lines are much longer or much shorter than a digit, since one of its size would be a "1", and outlines are open.
    """
    things = [_long_line] * 2 + [_short_line] * 4 + [_blob] * 3
    for chosen in dice.permutation(len(things)):
        if dice.integers(2):
            _blend(canvas, _soft(partial(things[chosen], dice)), dice, least=15, most=90)
    for _ in range(dice.integers(0, 5)):
        row, column = dice.integers(_MARGIN, _MARGIN + 5, 2)
        piece = np.pad(pixels[dice.integers(len(pixels)), row : row + 3, column : column + 3], 1)
        side = int(dice.integers(7, 13))
        enlarged = _sharpen(Image.fromarray(piece).resize((side, side), Image.Resampling.BICUBIC))
        top, left = dice.integers(0, _HEIGHT - side), dice.integers(0, _WIDTH - side)
        _blend(canvas[top : top + side, left : left + side], enlarged, dice, least=30, most=110)


def _soft(draw: partial[None]) -> np.ndarray:
    """Draw at half the size and enlarge, which blurs about as much as enlarging the digits does."""
    stencil = Image.new("L", (_WIDTH // 2, _HEIGHT // 2))
    draw(ImageDraw.Draw(stencil))
    return np.asarray(stencil.resize((_WIDTH, _HEIGHT), Image.Resampling.BILINEAR)).astype(np.int32)


def _long_line(dice: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    x, y = _point(dice)
    run, rise = 64, int(dice.integers(-40, 41))
    ends = ((x - run, y - rise), (x + run, y + rise))
    if dice.integers(2):
        ends = ((x - rise, y - run), (x + rise, y + run))
    pen.line(ends, fill=255, width=int(dice.integers(1, 4)))


def _short_line(dice: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    x, y = _point(dice)
    run, rise = (int(step) for step in dice.integers(-3, 4, 2))
    pen.line(((x - run, y - rise), (x + run, y + rise)), fill=255, width=int(dice.integers(1, 3)))


def _blob(dice: np.random.Generator, pen: ImageDraw.ImageDraw) -> None:
    x, y = _point(dice)
    if dice.integers(2):  # An upright ellipse would be a fat "1".
        height, width = sorted(int(side) for side in dice.integers(2, 12, 2))
        pen.ellipse((x - width, y - height, x + width, y + height), fill=255)
    else:
        corners = [(x + int(across), y + int(down)) for across, down in dice.integers(-12, 13, (4, 2))]
        pen.polygon(corners, fill=255)


def _point(dice: np.random.Generator) -> tuple[int, int]:
    return int(dice.integers(_WIDTH // 2)), int(dice.integers(_HEIGHT // 2))


# === The digits ===


def _enlarge(digit: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """Bring a digit to a random size; its opacity, 0 to 255, cropped to what is visible."""
    height = int(dice.choice(_DIGIT_HEIGHTS))
    tall = height * digit.shape[0] // (digit.shape[0] - 2 * _MARGIN)
    wide = tall * int(dice.integers(85, 121)) // 100
    opacity = _sharpen(Image.fromarray(digit).resize((wide, tall), Image.Resampling.BICUBIC))
    rows, columns = (np.flatnonzero((opacity >= _VISIBLE).any(axis=axis)) for axis in (1, 0))
    return opacity[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _sharpen(picture: Image.Image) -> np.ndarray:
    """Cut off the foot of the hills that enlarging makes of strokes; steeper, and the eye of a "4" would fill up."""
    return np.clip((np.asarray(picture).astype(np.int32) - 48) * 5 // 4, 0, 255)


def _place(
    shape: tuple[int, ...], others: list[tuple[int, int, int, int]], dice: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Find a place that covers at most a tenth of any digit already there, or that of itself; none after 20 tries."""
    height, width = shape
    for _ in range(20):
        top, left = int(dice.integers(_HEIGHT - height + 1)), int(dice.integers(_WIDTH - width + 1))
        box = (left, top, left + width, top + height)
        if all(_shared(box, other) * 10 <= min(_area(box), _area(other)) for other in others):
            return box
    return None


def _area(box: tuple[int, int, int, int]) -> int:
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def _shared(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> int:
    left, top = max(box[0], other[0]), max(box[1], other[1])
    width, height = min(box[2], other[2]) - left, min(box[3], other[3]) - top
    return max(0, width) * max(0, height)


def _blend(canvas: np.ndarray, opacity: np.ndarray, dice: np.random.Generator, least: int, most: int) -> None:
    """Paint through a stencil, lighter or darker than what is there by a random contrast, where that has room."""
    ground = int(canvas.sum()) // canvas.size
    contrast = int(dice.integers(least, most + 1))
    room_above, room_below = 255 - ground, ground
    lighter = bool(dice.integers(2)) if min(room_above, room_below) >= contrast else room_above > room_below
    ink = ground + contrast if lighter else ground - contrast
    canvas += (ink - canvas) * opacity // 255
