"""Write a report of an evaluation: one HTML file that needs nothing else, and the figures as JSON."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from cnnapp.predictor import Predictor
from pipelines.artifact import ModelCard
from pipelines.data import Splits
from pipelines.errors import ConfigError, DataError
from pipelines.evaluation import Report

__all__ = ["evaluate_to", "write"]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
  table {{ border-collapse: collapse; margin: 1rem 0; }}
  th, td {{ padding: .25rem .9rem .25rem 0; text-align: left; border-bottom: 1px solid #8884; }}
  td:not(:first-child) {{ font-variant-numeric: tabular-nums; }}
  figure {{ margin: 1.5rem 0; }}
  img {{ max-width: 100%; background: white; }}
  figcaption {{ opacity: .75; }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


def evaluate_to(
    predictor: Predictor,
    data: str,
    data_dir: Path | None = None,
    split: str = "test",
    seed: int | None = None,
    folder: Path | None = None,
    protocol: str = "coco",
    **options: Any,
) -> tuple[Path, Report]:
    """Evaluate a saved model on a part of a data set and write the report.

    Args:
        predictor: the model.
        data: the source, as for training.
        data_dir: where prepared tensorflow-datasets lie.
        split: "train", "validation", "test" or "all".
        seed: of the split; by default the one the model was trained with, so that its test images are still unseen.
        folder: where the report goes; ``reports/<name>-<version>`` by default.
        protocol: for detection: "coco", or "uiuc" for the figures at equal error as well.
        **options: optional inputs of the model, such as a detector's ``scales``.

    Returns:
        The folder, and the report.

    Raises:
        ConfigError: if there is no such split.
        DataError: if the data cannot be used, or its classes are not the model's.
    """
    from pipelines import classification, detection, segmentation
    from pipelines import data as sources
    from pipelines.errors import unknown

    if split not in (*sources.SPLIT_NAMES, "all"):
        raise ConfigError(unknown("split", split, (*sources.SPLIT_NAMES, "all")))
    card = predictor.card
    seed = int(card.training.get("seed", 0)) if seed is None else seed
    splits = _load(card, data, data_dir, split, seed)
    if list(splits.classes) != card.classes:
        strange = sorted(set(splits.classes) ^ set(card.classes)) or ["their order"]
        raise DataError(
            f"{data}: its classes are not those of {card.name}/{card.version}; they differ in: {', '.join(strange[:8])}"
        )
    part = sources.everything(splits) if split == "all" else splits[split]
    if card.task == "detection":
        report = detection.evaluate(predictor.served, part, protocol=protocol, **options)
    else:
        task = {"classification": classification, "segmentation": segmentation}[card.task]
        report = task.evaluate(predictor.served, part)
    folder = folder or Path("reports") / f"{card.name}-{card.version}"
    write(report, folder)
    return folder, report


def _load(card: ModelCard, data: str, data_dir: Path | None, split: str, seed: int) -> Splits:
    from pipelines import data as sources

    if card.task == "classification":
        return sources.load(data, data_dir, seed)
    source = {"detection": sources.detection, "segmentation": sources.segmentation}[card.task]
    further = {"ignore": card.training.get("ignore")} if card.task == "segmentation" else {}
    # A set that is all test need not have anything to train on.
    load = source.load_whole if split == "all" else source.load
    return load(data, data_dir, seed, **further)


def write(report: Report, folder: Path) -> None:
    """Write ``report.html`` and ``report.json``.

    Args:
        report: figures, tables and pictures.
        folder: is made where it is missing; older reports in it are replaced.

    Raises:
        DataError: if the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.html").write_text(to_html(report), encoding="utf-8")
        record = {"title": report.title} | report.figures
        (folder / "report.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror}") from None


def to_html(report: Report) -> str:
    """Return a report as one HTML page with its pictures inside."""
    parts = []
    for title, rows in report.tables.items():
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in rows[0])
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
        parts.append(
            f"<h2>{html.escape(title)}</h2>\n<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )
    for picture in report.pictures:
        source = base64.b64encode(picture.png).decode()
        parts.append(
            f"<h2>{html.escape(picture.title)}</h2>\n<figure><img alt='{html.escape(picture.title)}' "
            f"src='data:image/png;base64,{source}'><figcaption>{html.escape(picture.caption)}</figcaption></figure>"
        )
    return _PAGE.format(title=html.escape(report.title), body="\n".join(parts))
