"""The command ``cnnapp evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cnnapp.cli.answers.predict import model_options
from cnnapp.cli.console import DataDir, Model, ScalesOption, out, print_rows, settings

__all__ = ["evaluate"]


def evaluate(
    model: Model,
    data: Annotated[
        str | None,
        typer.Option(help="Data set: a name or a path, as for training.", show_default="the one on the model's card"),
    ] = None,
    data_dir: DataDir = None,
    test: Annotated[
        str | None,
        typer.Option(help="For detection and segmentation: another data set to test on."),
    ] = None,
    split: Annotated[str, typer.Option(help="Part of the data set: train, validation, test or all.")] = "test",
    seed: Annotated[int | None, typer.Option(help="Random seed of the split.", show_default="the model's own")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder to write the report to.", show_default="reports/MODEL")
    ] = None,
    scales: ScalesOption = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="For detection: coco, or uiuc for the equal error rate as well.", show_default="coco"),
    ] = None,
    skip_bad_images: Annotated[
        bool,
        typer.Option("--skip-bad-images", help="Leave out images that cannot be decoded, and list them in the report."),
    ] = False,
    card: Annotated[
        bool, typer.Option("--card", help="Add figures that the model's card lacks to it; see above.")
    ] = False,
) -> None:
    """Evaluate a saved model on labelled images and write a report (report.html, report.json).

    With --card, figures that the model's card lacks, because an earlier version of cnnapp saved it, are added to it:
    precision-recall curves, or calibration. The data must be those that the card names, and every figure on the card
    must be reproduced (to a millionth; counts exactly); otherwise the card is left as it is. Figures that are on it are
    never changed. Test and validation images (`--split validation`) take one command each.

    Example: `cnnapp evaluate digits --card`
    """
    from cnnapp.prediction import predictor
    from cnnapp.reports.html_report import evaluate_to

    loaded = predictor.load(model)
    done = evaluate_to(
        loaded,
        data,
        data_dir,
        split,
        seed,
        report,
        protocol,
        test,
        on_card=card,
        skip_bad_images=skip_bad_images,
        **model_options(scales=scales),
    )
    page = done.folder / "report.html"
    if settings.quiet:
        out.print(page, soft_wrap=True)
        return
    print_rows(done.report.title, done.report.tables["Overview"])
    out.print(f"report: {page}", soft_wrap=True)
    if card:
        gained = f"added {', '.join(done.added)}" if done.added else "nothing to add"
        out.print(f"card: its figures were reproduced; {gained}", markup=False, soft_wrap=True)
