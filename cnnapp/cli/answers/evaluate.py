"""The command ``cnnapp evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cnnapp.cli.answers.predict import model_options
from cnnapp.cli.console import DataDir, Model, ScalesOption, out, print_rows

__all__ = ["evaluate"]


def evaluate(
    model: Model,
    data: Annotated[
        str | None,
        typer.Option(
            help="Labelled images: a name or a path, as for training.", show_default="what is named on the card"
        ),
    ] = None,
    data_dir: DataDir = None,
    test: Annotated[
        str | None,
        typer.Option(help="For detection and segmentation: another set that is the test part."),
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation, test or all.")] = "test",
    seed: Annotated[int | None, typer.Option(help="Seed of the split.", show_default="the model's own")] = None,
    report: Annotated[Path | None, typer.Option(help="Folder of the report.", show_default="reports/MODEL")] = None,
    scales: ScalesOption = None,
    protocol: Annotated[
        str, typer.Option(help="For detection: coco, or uiuc for precision and recall where they are equal.")
    ] = "coco",
    card: Annotated[
        bool, typer.Option("--card", help="Add what was measured and is not on the model's card to it; see above.")
    ] = False,
) -> None:
    """Measure a saved model on labelled images and write a report (report.html, report.json).

    With --card, figures that the model's card lacks, because an earlier cnnapp saved it, are added to it: curves of
    precision and recall, or calibration. The data must be those that the card names, and every figure on the card must
    come out as it stands there (to a millionth; counts exactly); else the card is left as it is. Nothing on it is ever
    changed. The figures of test and of validation images (`--split validation`) are added by a command each.

    Example: `cnnapp evaluate digits --card`
    """
    from cnnapp.prediction import predictor
    from cnnapp.reports.html_report import evaluate_to

    loaded = predictor.load(model)
    done = evaluate_to(
        loaded, data, data_dir, split, seed, report, protocol, test, on_card=card, **model_options(scales=scales)
    )
    print_rows(done.report.title, done.report.tables["Overview"])
    out.print(f"report: {done.folder / 'report.html'}", soft_wrap=True)
    if card:
        gained = f"gained {', '.join(done.added)}" if done.added else "had all of it already"
        out.print(f"card: the figures on it came out as they stand there; it {gained}", markup=False, soft_wrap=True)
