"""Answers as contents of files, the same for the command line and the page: CSV, JSON, COCO, masks, pictures."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from cnnapp.results.answer import Answer
from cnnapp.results.model_info import Facts
from cnnapp.results.table import answer_type
from pipelines.core.errors import DataError

__all__ = ["coco_text", "csv_text", "json_text", "masks_zip", "numbered_stem", "pictures_zip", "to_coco", "to_rows"]

_SAID = "not-drawn.txt"


def csv_text(answers: Sequence[Answer], failures: list[dict[str, str]], card: Facts) -> str:
    """Return answers as a table with commas; see :func:`cnnapp.results.writers.to_rows`.

    Args:
        answers: of one model.
        failures: records with ``source`` and ``error``.
        card: of the model.
    """
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(to_rows(answers, failures, card.classes, card.task))
    return buffer.getvalue()


def json_text(answers: Sequence[Answer], failures: list[dict[str, str]], card: Facts, mask_paths: bool = True) -> str:
    """Return answers with everything that is known of them.

    Args:
        answers: of one model.
        failures: records with ``source`` and ``error``.
        card: of the model.
        mask_paths: say where masks that were written to files are.
    """
    records = [answer.to_json() for answer in answers]
    if not mask_paths:
        records = [{key: value for key, value in record.items() if key != "mask"} for record in records]
    content = {"model": f"{card.name}/{card.version}", "answers": records, "failed": failures}
    return json.dumps(content, indent=1)


def coco_text(answers: Sequence[Answer]) -> str:
    """Return boxes or masks in COCO's results format; see :func:`cnnapp.results.writers.to_coco`."""
    return json.dumps(to_coco(answers))


def numbered_stem(number: int, name: str) -> str:
    """Return the name of a file that is made for an image: its number, and its own name without folder and ending.

    Example:
        >>> numbered_stem(7, "street/left.jpg")
        '0007-left'
    """
    return f"{number:04d}-{Path(name).stem}"


def masks_zip(answers: Iterable[Answer]) -> bytes:
    """Return a zip of the masks, each a palette PNG whose values are the class ids.

    Args:
        answers: of masks, one an image.
    """
    return _zip(
        (f"{numbered_stem(number, each.source)}.png", each.mask_png()) for number, each in enumerate(answers, start=1)
    )


def pictures_zip(answers: Iterable[Answer], draw: Callable[[Answer], Image.Image]) -> bytes:
    """Return a zip of drawn answers as PNGs.

    Args:
        answers: one an image.
        draw: draws one; where it refuses, the file ``not-drawn.txt`` says why.
    """
    refused: list[str] = []

    def drawn() -> Iterable[tuple[str, bytes]]:
        for number, each in enumerate(answers, start=1):
            buffer = io.BytesIO()
            try:
                draw(each).save(buffer, "PNG")
            except DataError as error:
                refused.append(f"{each.source}: {error}\n")
                continue
            yield f"{numbered_stem(number, each.source)}.png", buffer.getvalue()
        if refused:
            yield _SAID, "".join(refused).encode()

    return _zip(drawn())


def _zip(files: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    # What goes in is PNG, which is compressed already.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def to_rows(
    answers: Sequence[Answer], failures: list[dict[str, str]], classes: Sequence[str], task: str
) -> list[list[str]]:
    """Return answers as the rows of a table, the first of which names the columns.

    Args:
        answers: one row each; of detections one row an object, of segmentation one a class that occurs.
        failures: records with ``source`` and ``error``; one row each, behind the answers.
        classes: names; each has a column with its score.
        task: of the model.

    Returns:
        Columns ``source``, those of the type of answer (``class_name``, ``score``, and one a class; for detection the
        box: ``left``, ``top``, ``right``, ``bottom``; for segmentation ``pixels`` and ``share``), and ``error``.
    """
    columns = answer_type(task).columns(classes)
    rows = [["source", *columns, "error"]]
    rows += [[answer.source, *row, ""] for answer in answers for row in answer.rows()]
    return rows + [[failure["source"], *[""] * len(columns), failure["error"]] for failure in failures]


def to_coco(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return boxes, or masks as run lengths, in COCO's results format.

    Args:
        answers: one an image.

    Returns:
        The records of all of them, as ``to_coco`` of the type of answer has it.
    """
    return [record for answer in answers for record in answer.to_coco()]
