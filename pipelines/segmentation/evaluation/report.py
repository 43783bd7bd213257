"""The report of a segmentation model: figures, tables and pictures, from images as they are answered one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.core.percent import percent
from pipelines.reporting.report import Picture, Report, reliability_picture
from pipelines.segmentation.evaluation.examples import Gallery, cases_picture
from pipelines.segmentation.evaluation.metrics import PixelCounts, mean_iou, segmentation_figures
from pipelines.segmentation.evaluation.plots import iou_picture, shares_picture

__all__ = ["AnsweredMask", "report"]


@dataclass(frozen=True, eq=False)
class AnsweredMask:
    """An image of which every pixel has been answered.

    Args:
        id: what the image is called.
        image: encoded bytes.
        truth: uint8 of shape (height, width): classes, or 255 where nothing is said.
        class_map: integers of the same shape: the classes that were answered.
        confidence: floats of the same shape, 0 to 1: their scores.
    """

    id: str
    image: bytes
    truth: np.ndarray
    class_map: np.ndarray
    confidence: np.ndarray


def report(title: str, answered: Iterable[AnsweredMask], classes: Sequence[str]) -> Report:
    """Measure a segmentation model.

    The images are read once and let go at once; a few dozen are kept small.

    Args:
        title: what was evaluated on what.
        answered: the images, in any order.
        classes: names.

    Returns:
        The figures of :func:`pipelines.segmentation.evaluation.metrics.segmentation_figures`, two tables, and pictures
        where a pixel was counted: three of the figures, and up to three of the worst, ordinary and best images.

    Raises:
        ValueError: naming the image whose arrays are of a wrong shape, type or range.
    """
    counts, gallery = PixelCounts(len(classes)), Gallery()
    for each in answered:
        try:
            own = mean_iou(counts.add(each.truth, each.class_map, each.confidence))
        except ValueError as error:
            raise ValueError(f"{each.id}: {error}") from None
        if own is not None:
            gallery.offer(each.id, own, each.image, each.truth, each.class_map)
    figures = segmentation_figures(counts, classes)
    tables = {"Overview": _overview(figures), "Classes": _class_table(figures["classes"])}
    return Report(title, figures, tables, _pictures(figures, counts, gallery, tuple(classes)) if counts.pixels else [])


def _pictures(
    figures: dict[str, Any], counts: PixelCounts, gallery: Gallery, classes: tuple[str, ...]
) -> list[Picture]:
    worst, ordinary, best = gallery.groups()
    galleries = [
        ("The worst images", "The images with the lowest mean intersection over union.", worst),
        ("Typical images", "Images whose mean intersection over union is near the median of all images.", ordinary),
        ("The best images", "The images with the highest mean intersection over union.", best),
    ]
    return [
        iou_picture(figures["classes"], figures["mean_iou"]),
        shares_picture(counts.confusion, classes),
        reliability_picture(counts.calibration()),
        *(cases_picture(title, caption, cases, classes) for title, caption, cases in galleries if cases),
    ]


def _show(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _overview(figures: dict[str, Any]) -> list[list[str]]:
    ignored = f" and {figures['ignored_pixels']:,} ignored" if figures["ignored_pixels"] else ""
    return [
        ["figure", "value"],
        ["images", f"{figures['images']:,}"],
        ["pixels", f"{figures['pixels']:,}{ignored}"],
        ["mean intersection over union (IoU)", _show(figures["mean_iou"])],
        ["IoU weighted by frequency", _show(figures["frequency_weighted_iou"])],
        ["pixel accuracy", _show(figures["pixel_accuracy"])],
        ["mean accuracy of the classes", _show(figures["mean_accuracy"])],
        ["boundary F1", _show(figures["boundary_f1"])],
        ["expected calibration error", _show(figures["expected_calibration_error"])],
    ]


def _class_table(classes: dict[str, dict[str, Any]]) -> list[list[str]]:
    columns = ("iou", "precision", "recall", "f1", "boundary_f1")
    total = max(sum(row["pixels"] for row in classes.values()), 1)
    return [["class", "IoU", "precision", "recall", "F1 (Dice)", "boundary F1", "pixels", "share"]] + [
        [name, *(_show(row[column]) for column in columns), f"{row['pixels']:,}", f"{percent(row['pixels'] / total)}"]
        for name, row in classes.items()
    ]
