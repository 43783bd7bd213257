"""Images with the masks that were to be found and that were found, for people to look at."""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from pipelines.core.errors import DataError
from pipelines.images import image_io
from pipelines.images.masks import IGNORED, colours
from pipelines.reporting.report import INK, RED, Picture, png, shortened

__all__ = ["Case", "Gallery", "cases_picture", "shrink"]

_SIDE = 400
_SAMPLE = 36
_MOST_NAMES = 24


@dataclass(frozen=True, eq=False)
class Case:
    """An answered image, small enough to be kept.

    Args:
        id: what the image is called.
        score: its own mean intersection over union, 0 to 1.
        image: uint8 of shape (height, width, 3), RGB; None if it cannot be shown.
        truth: uint8 of shape (height, width), at most 400 pixels a side.
        found: uint8 of the same shape.
    """

    id: str
    score: float
    image: np.ndarray | None
    truth: np.ndarray
    found: np.ndarray


def shrink(id: str, score: float, image: bytes, truth: np.ndarray, found: np.ndarray) -> Case:
    """Make a case of an answered image.

    Args:
        id: what the image is called.
        score: its mean intersection over union.
        image: encoded bytes.
        truth: uint8 of shape (height, width).
        found: integers of the same shape, 0 to 255.

    Returns:
        All of it shrunk until no side is longer than 400 pixels; masks by their nearest pixels.

    Raises:
        ValueError: if the masks have no pixels.
    """
    height, width = truth.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    nearest = Image.Resampling.NEAREST
    masks = (np.array(Image.fromarray(mask.astype(np.uint8)).resize(size, nearest)) for mask in (truth, found))
    try:
        seen = np.array(image_io.open_rgb(image, max_side=_SIDE, name=id).resize(size))
    except DataError:
        seen = None
    return Case(id, score, seen, *masks)


class Gallery:
    """The worst, the best and some ordinary ones of many images, in bounded memory.

    Which images are near the median is known at the end alone. So 36 are kept that are drawn by chance, and shown are
    those of them nearest the median of all; of no more than 36 images, these are the very median ones. The draw is by
    the names of the images, so that their order changes nothing.

    Args:
        shown: how many of each.
    """

    def __init__(self, shown: int = 3):
        self._shown = shown
        self._scores: list[float] = []
        # Each has the least keys, in order; a case is made once and shared.
        self._worst: list[tuple[Any, Case]] = []
        self._best: list[tuple[Any, Case]] = []
        self._drawn: list[tuple[Any, Case]] = []

    def offer(self, id: str, score: float, image: bytes, truth: np.ndarray, found: np.ndarray) -> None:
        """Look at an image, and keep it if it may be shown.

        Args:
            id: what the image is called.
            score: its mean intersection over union.
            image: encoded bytes.
            truth: uint8 of shape (height, width), with at least one pixel.
            found: integers of the same shape, 0 to 255.
        """
        self._scores.append(score)
        lot = int.from_bytes(hashlib.blake2b(id.encode(errors="surrogatepass"), digest_size=8).digest())
        # The lot settles ties, of the best the other way round, so that the best of equals are not the worst again.
        places = (
            (self._worst, (score, lot), self._shown),
            (self._best, (-score, -lot), self._shown),
            (self._drawn, (lot,), _SAMPLE),
        )
        wanted = [place for place in places if len(place[0]) < place[2] or place[1] < place[0][-1][0]]
        if not wanted:
            return
        case = shrink(id, score, image, truth, found)
        for kept, key, most in wanted:
            insort(kept, (key, case), key=lambda entry: entry[0])
            del kept[most:]

    def groups(self) -> tuple[list[Case], list[Case], list[Case]]:
        """Return the worst, those near the median, and the best; each from the worst to the best, and none twice."""
        worst = [case for _, case in self._worst]
        best = [case for _, case in reversed(self._best) if case not in worst]
        others = [case for _, case in self._drawn if case not in worst and case not in best]
        median = float(np.median(self._scores)) if self._scores else 0.0
        ordinary = sorted(others, key=lambda case: abs(case.score - median))[: self._shown]
        return worst, sorted(ordinary, key=lambda case: case.score), best


def cases_picture(title: str, caption: str, cases: Sequence[Case], classes: Sequence[str]) -> Picture:
    """Draw images with their masks and errors, with a legend of the classes in them.

    Args:
        title: of the picture.
        caption: the sentence under it.
        cases: one or more, in the order to show them.
        classes: names.

    Returns:
        A row for each image: itself, the truth, the answer, and where the two differ.
    """
    heights = [float(np.clip(len(case.truth) / case.truth.shape[1], 0.2, 2)) for case in cases]
    figure = Figure(figsize=(10, 2.5 * sum(heights) + 0.35 * len(cases)), layout="constrained")
    grid = figure.subplots(len(cases), 4, squeeze=False, height_ratios=heights)
    for row, case in zip(grid, cases, strict=True):
        _draw_case(row, case)
    figure.legend(
        handles=_legend(cases, classes), loc="outside lower center", ncols=6, fontsize=8, frameon=False, handleheight=1
    )
    return Picture(title, caption, png(figure))


def _draw_case(row: Sequence[Axes], case: Case) -> None:
    table = colours(256)
    table[IGNORED] = 255
    texts = (shortened(case.id, 34), "truth", f"answer (mean IoU {case.score:.3f})", "errors")
    for axes, text, pixels in zip(
        row, texts, (case.image, table[case.truth], table[case.found], _errors(case)), strict=True
    ):
        axes.set_title(text, fontsize=8, color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
        if pixels is None:
            axes.text(0.5, 0.5, "cannot be displayed", ha="center", va="center", transform=axes.transAxes, fontsize=8)
        else:
            axes.imshow(pixels, interpolation="nearest" if max(case.truth.shape) < 150 else None)


def _errors(case: Case) -> np.ndarray:
    """Return a pale grey image, with what is wrong in red and what is ignored in white."""
    grey = np.full(case.truth.shape, 128.0) if case.image is None else case.image.mean(axis=2)
    pixels = np.repeat((255 - 0.35 * (255 - grey))[..., np.newaxis], 3, axis=2).astype(np.uint8)
    known = case.truth != IGNORED
    pixels[known & (case.truth != case.found)] = _rgb(RED)
    pixels[~known] = 255
    return pixels


def _rgb(colour: str) -> np.ndarray:
    return np.round(np.array(to_rgb(colour)) * 255).astype(np.uint8)


def _legend(cases: Sequence[Case], classes: Sequence[str]) -> list[Patch]:
    count = np.zeros(256, np.int64)
    for case in cases:
        count += np.bincount(case.truth.ravel(), minlength=256) + np.bincount(case.found.ravel(), minlength=256)
    ignored, count[IGNORED] = count[IGNORED], 0
    # Of many classes, those of which there is most to see.
    seen = np.count_nonzero(count)
    named = np.sort(np.argsort(-count, kind="stable")[: min(_MOST_NAMES, seen)])
    table = colours(256) / 255
    entries = [(shortened(classes[number]), tuple(table[number])) for number in named]
    entries += [("ignored", (1.0, 1.0, 1.0))] if ignored else []
    entries += [("wrong", to_rgb(RED))]
    patches = [Patch(facecolor=colour, edgecolor=INK, linewidth=0.5, label=name) for name, colour in entries]
    return [*patches, Patch(alpha=0, label=f"and {seen - len(named)} more")] if seen > len(named) else patches
