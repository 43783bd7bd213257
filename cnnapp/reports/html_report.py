"""Write a report of an evaluation: one HTML file that needs nothing else, and the figures as JSON."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnnapp.prediction.predictor import Predictor
from pipelines.artifacts.model_card import ModelCard
from pipelines.core import extras
from pipelines.core.errors import ConfigError, DataError, unknown
from pipelines.core.progress import Reporter
from pipelines.reporting.report import Report
from pipelines.tasks.registry import find_task, task_names

if TYPE_CHECKING:
    from pipelines.data.splits import Splits
    from pipelines.training.task import Task

__all__ = ["Evaluated", "evaluate_to", "write"]

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


class Evaluated(NamedTuple):
    """What became of an evaluation.

    Args:
        folder: where the report was written.
        report: what was found.
        added: names of the figures that the model's card gained.
    """

    folder: Path
    report: Report
    added: tuple[str, ...] = ()


def evaluate_to(
    predictor: Predictor,
    data: str | None = None,
    data_dir: Path | None = None,
    split: str = "test",
    seed: int | None = None,
    folder: Path | None = None,
    protocol: str | None = None,
    test: str | None = None,
    on_card: bool = False,
    skip_bad_images: bool = False,
    **options: Any,
) -> Evaluated:
    """Evaluate a saved model on a part of a data set and write the report.

    Args:
        predictor: the model.
        data: the source, as for training; by default the one on the model's card, where its name says where it lies.
        data_dir: where prepared tensorflow-datasets lie.
        split: "train", "validation", "test" or "all".
        seed: of the split; by default the one the model was trained with, so that its test images are still unseen.
        folder: where the report goes; ``reports/<name>-<version>`` by default.
        protocol: for detection: "coco" (the usual one), or "uiuc" for the figures at equal error as well. Tasks that
            are measured in one way refuse it.
        test: another source that is the whole of the test part, as for training.
        on_card: whether figures that the model's card does not have are added to it; see
            :mod:`pipelines.artifacts.card_figures`.
        skip_bad_images: whether images that cannot be used are left out, and listed in the report, instead of being
            named in an error.
        **options: optional inputs of the model, such as a detector's ``scales``.

    Returns:
        The folder, the report, and what the card gained.

    Raises:
        ConfigError: if a package is not installed, there is no such split or protocol, no data is named, or something
            does not go with ``on_card``.
        DataError: if the data cannot be used, naming all images at fault, or its classes are not the model's; for the
            card, if it is not the data that is named there.
        ModelError: if a figure on the card came out otherwise; the card is left as it is then, the report written.
    """
    extras.need("an evaluation", "train")
    from pipelines.artifacts import card_figures
    from pipelines.data import proof
    from pipelines.data import splits as parts

    if split not in (*parts.SPLIT_NAMES, "all"):
        raise ConfigError(unknown("split", split, (*parts.SPLIT_NAMES, "all")))
    card, task = predictor.card, find_task(predictor.card.task)
    seed = int(card.training.get("seed", 0)) if seed is None else seed
    if on_card and options:
        raise ConfigError(f"--card: takes figures of the model as it is; leave out --{', --'.join(options)}")
    _refuse_what_is_not_taken(task, protocol, options)
    data = data or _named_on(card)
    splits = _load(task, card, data, data_dir, split, seed, test)
    if list(splits.classes) != card.classes:
        strange = sorted(set(splits.classes) ^ set(card.classes)) or ["their order"]
        raise DataError(
            f"{data}: its classes are not those of {card.name}/{card.version}; they differ in: {', '.join(strange[:8])}"
        )
    # The hash of a set is of all its parts, and tells which images were left out of each.
    needed = parts.SPLIT_NAMES if on_card or split == "all" else (split,)
    splits = proof.proven(splits, task, Reporter(), skip=skip_bad_images, parts=needed)
    if on_card:
        card_figures.refuse_other_data(card, splits, split)
    part = parts.everything(splits) if split == "all" else splits[split]
    taken = dict(options)
    if task.protocols:
        taken["protocol"] = protocol or task.protocols[0]
    report = _with_skipped(task.evaluate(predictor.served, part, **taken), splits, part.name)
    folder = folder or Path("reports") / f"{card.name}-{card.version}"
    write(report, folder)
    if not on_card:
        return Evaluated(folder, report)
    return Evaluated(folder, report, card_figures.add_figures(predictor.served.directory, split, report.figures))


def _refuse_what_is_not_taken(task: Task, protocol: str | None, options: Mapping[str, Any]) -> None:
    """Raise ``ConfigError`` for a protocol or an option of evaluation that a task does not have."""
    if protocol is not None and protocol not in task.protocols:
        if not task.protocols:
            raise ConfigError(f"--protocol: {task.name} is measured in one way; leave it out")
        raise ConfigError(unknown("protocol", protocol, task.protocols))
    for name in options:
        if name not in task.evaluation_options:
            given = " or ".join(f"--{each.replace('_', '-')}" for each in task.evaluation_options)
            takes = f"takes {given}" if given else "takes no such options"
            raise ConfigError(f"--{name.replace('_', '-')}: does not apply to {task.name}, which {takes}")


def _with_skipped(report: Report, splits: Splits[Any], part: str) -> Report:
    """Say in a report which images were not measured."""
    from pipelines.data import proof

    skipped = tuple(one for one in splits.skipped if part in (one.part, "all"))
    found = proof.on_card(replace(splits, skipped=skipped))
    if not found:
        return report
    rows = [["image", "reason"], *([one["image"], one["reason"]] for one in found["skipped"]["images"])]
    tables = {f"Skipped images: {len(skipped):,} that cannot be used": rows}
    if "Overview" in report.tables:
        tables = {"Overview": [*report.tables["Overview"], ["skipped images", f"{len(skipped):,}"]]} | tables
    return replace(report, figures=report.figures | found, tables=report.tables | tables)


def _named_on(card: ModelCard) -> str:
    """Return the data that a model was trained on, as it is given to ``--data``."""
    source = str(card.data["source"])
    if source in ("digits", "scenes") or (source.startswith("tfds:") and "," not in source):
        return source
    called = f"{card.name}/{card.version}"
    raise ConfigError(f"--data: {called} was trained on {source}, and its card does not say where that lies; name it")


def _load(
    task: Task, card: ModelCard, data: str, data_dir: Path | None, split: str, seed: int, test: str | None
) -> Splits[Any]:
    fields = task.config.model_fields
    if test is not None and "test" not in fields:
        others = [name for name in task_names() if "test" in find_task(name).config.model_fields]
        raise ConfigError(f"--test: is for {' and '.join(others)}; {card.name} is for {card.task}")
    given = {"data": data, "data_dir": data_dir, "seed": seed} | ({} if test is None else {"test": test})
    # What else of the training options says how data are read: a value of masks that is no class.
    kept = {name: card.training[name] for name in ("ignore",) if name in fields and name in card.training}
    config = task.config.parse(**given, **kept)
    # A set that is all test need not have anything to train on.
    return task.load_whole(config) if split == "all" and test is None else task.load(config)


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
            f"<h2>{html.escape(picture.title)}</h2>\n<figure><img alt='{html.escape(picture.alt)}' "
            f"src='data:image/png;base64,{source}'><figcaption>{html.escape(picture.caption)}</figcaption></figure>"
        )
    return _PAGE.format(title=html.escape(report.title), body="\n".join(parts))
