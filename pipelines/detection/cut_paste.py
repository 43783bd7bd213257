"""Scenes put together from single windows, for those who have windows cut out around objects and no whole images.

A window says nothing of what lies around it, but a detector looks everywhere: at half an object with a piece of street
beside it, and at streets of every scale. So objects are laid on grounds made of many backgrounds. All pieces fade out
over a few pixels, backgrounds as well as objects, so that no edge of a piece tells that an object is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from pipelines.detection.crops import CropSpec, Scene
from pipelines.images.boxes import Objects

__all__ = ["Montage", "composer"]

_ZOOM = (0.6, 2.5)
"""What backgrounds are scaled by: pyramids look at streets and trees from near and from far."""
_FADE = 6.0
_ROOM = 12


class Montage:
    """Draws scenes of windows.

    Args:
        windows: each wholly an object (one box), or background (none).
        size: height and width of the scenes, in pixels.
        flip: whether backgrounds are mirrored left to right.

    Example:
        >>> from pipelines.images.boxes import Objects
        >>> car = Scene(np.full((40, 100, 1), 200, np.uint8), Objects.of([[0, 0, 100, 40]], [0]))
        >>> drawn = Montage([car], (80, 200), flip=True).draw(car, np.random.default_rng(0))
        >>> drawn.pixels.shape, len(drawn.objects) >= 1
        ((80, 200, 1), True)
    """

    def __init__(self, windows: Sequence[Scene], size: tuple[int, int], *, flip: bool) -> None:
        self._objects = [window for window in windows if len(window.objects)]
        self._backgrounds = [window.pixels for window in windows if not len(window.objects)]
        self._size, self._flip = size, flip

    def draw(self, window: Scene, dice: np.random.Generator) -> Scene:
        """Draw a scene in which a window is to be seen.

        Args:
            window: an object, or a background, which is then one of those that the ground is made of.
            dice: where chance comes from.

        Returns:
            The window and up to three more objects where there is room, none hiding another's middle.
        """
        canvas = self._ground(window, dice)
        wanted = [window] if len(window.objects) else []
        if self._objects:
            wanted += [self._objects[dice.integers(len(self._objects))] for _ in range(dice.integers(4))]
        boxes: list[np.ndarray] = []
        kept: list[Objects] = []
        for one in wanted:
            place = self._room(one.pixels.shape, boxes, dice)
            if place is None:
                continue
            _lay(canvas, one.pixels.astype(np.float32), *place, fade=dice.uniform(0, _FADE))
            offset = np.array([place[1], place[0]] * 2, np.float32)
            boxes.append(one.objects.boxes[0] + offset)
            kept.append(one.objects)
        objects = Objects.of(
            np.reshape(boxes, (-1, 4)),
            np.concatenate([[], *(one.class_ids for one in kept)]),
            np.concatenate([[], *(one.ignored for one in kept)]),
        )
        return Scene(np.clip(np.rint(canvas), 0, 255).astype(np.uint8), objects)

    def _ground(self, window: Scene, dice: np.random.Generator) -> np.ndarray:
        """Cover a scene with one background from near, and most of that with others in rows."""
        height, width = self._size
        if not self._backgrounds:
            return np.full((height, width, window.pixels.shape[2]), float(window.pixels.mean()), np.float32)
        canvas = _resized(self._background(dice), self._size)
        first = None if len(window.objects) else window.pixels
        top = -int(dice.integers(20))
        while top < height:
            left, tallest = -int(dice.integers(60)), 1
            while left < width:
                pixels = self._background(dice) if first is None else first
                first = None
                zoom = np.exp(dice.uniform(*np.log(_ZOOM)))
                piece = _resized(pixels, (round(pixels.shape[0] * zoom), round(pixels.shape[1] * zoom)))
                _lay(canvas, piece, top, left, fade=dice.uniform(0, _FADE))
                left += max(8, int(piece.shape[1] * dice.uniform(0.7, 1.0)))
                tallest = max(tallest, piece.shape[0])
            top += max(8, int(tallest * dice.uniform(0.5, 0.9)))
        return canvas

    def _background(self, dice: np.random.Generator) -> np.ndarray:
        pixels = self._backgrounds[dice.integers(len(self._backgrounds))]
        return pixels[:, ::-1] if self._flip and dice.random() < 0.5 else pixels

    def _room(
        self, shape: tuple[int, ...], taken: Sequence[np.ndarray], dice: np.random.Generator
    ) -> tuple[int, int] | None:
        """Find where an object neither hides much of those before nor leaves the scene by more than a fifth.

        Every second time that is close beside another, so that what two neighbours make up together is seen as well.
        """
        height, width = shape[:2]
        for attempt in range(_ROOM):
            if taken and attempt < _ROOM / 2 and dice.random() < 0.5:
                left, top = _beside(taken[int(dice.integers(len(taken)))], (height, width), dice)
                if not (-0.2 * height <= top <= self._size[0] - 0.8 * height):
                    continue
                if not (-0.2 * width <= left <= self._size[1] - 0.8 * width):
                    continue
            else:
                top, left = (
                    int(np.floor(dice.uniform(-0.2 * side, max(room - 0.8 * side, -0.2 * side + 1))))
                    for side, room in ((height, self._size[0]), (width, self._size[1]))
                )
            middles = [((box[0] + box[2]) / 2 - left, (box[1] + box[3]) / 2 - top) for box in taken]
            if all(abs(x - width / 2) > 0.8 * width or abs(y - height / 2) > 0.8 * height for x, y in middles):
                return top, left
        return None


def _beside(box: np.ndarray, size: tuple[int, int], dice: np.random.Generator) -> tuple[int, int]:
    """Return left and top of an object of (height, width) next to a box, on its left, right, top or bottom."""
    height, width = size
    gap, shift = dice.uniform(-0.1, 0.1, 2)
    side = dice.integers(6)  # things stand side by side more often than on top of each other
    if side < 4:
        left = box[2] + gap * width if side % 2 else box[0] - width - gap * width
        top = (box[1] + box[3] - height) / 2 + shift * height
    else:
        left = (box[0] + box[2] - width) / 2 + shift * width
        top = box[3] + gap * height if side % 2 else box[1] - height - gap * height
    return round(float(left)), round(float(top))


def _lay(canvas: np.ndarray, piece: np.ndarray, top: int, left: int, fade: float) -> None:
    """Lay a piece on a canvas where it is inside; its borders fade over some pixels."""
    height, width = piece.shape[:2]
    fade = min(fade, height / 4, width / 4)
    first, last = np.maximum([top, left], 0), np.minimum([top + height, left + width], canvas.shape[:2])
    if (first >= last).any():
        return
    rows, columns = (slice(*pair) for pair in zip(first, last, strict=True))
    y, x = (
        np.clip((np.minimum(np.arange(side), np.arange(side)[::-1]) + 1) / (fade + 1), 0, 1) for side in (height, width)
    )
    opaque = np.minimum(y[:, None], x)[first[0] - top : last[0] - top, first[1] - left : last[1] - left, None]
    part = piece[first[0] - top : last[0] - top, first[1] - left : last[1] - left]
    canvas[rows, columns] += opaque * (part - canvas[rows, columns])


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = (max(side, 8) for side in size)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    scaled = np.array(picture.resize((width, height), Image.Resampling.BILINEAR), np.float32)
    return scaled.reshape(height, width, pixels.shape[2])


def composer(scenes: list[Scene], crop: CropSpec) -> Callable[[Scene, np.random.Generator], Scene] | None:
    """Return what puts windows that were cut out on grounds together; None for whole images."""
    if not crop.montage:
        return None
    height, width = (round(side * 1.2) for side in crop.size)
    return Montage(scenes, (height, width), flip=crop.flip).draw
