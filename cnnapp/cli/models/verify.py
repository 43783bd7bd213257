"""The command ``cnnapp verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from cnnapp.cli.console import Model, out

__all__ = ["verify"]


def verify(
    model: Model,
    quick: Annotated[
        bool, typer.Option("--quick", help="Answer here alone, and not by every way in: seconds instead of a minute.")
    ] = False,
    tiling: Annotated[
        bool, typer.Option("--tiling", help="Answer for an image piece by piece, too, and compare with the whole.")
    ] = False,
    tile: Annotated[int, typer.Option(min=64, help="Side of those pieces, in pixels.")] = 128,
) -> None:
    """Check a saved model: its files have their hashes, golden inputs golden outputs; a detector's scan is exact.

    The golden examples are answered by every way in: Python, TensorFlow alone in a fresh process, TensorFlow's own
    saved_model_cli, the page, and the service over HTTP.
    """
    from cnnapp.cli.models import cross_check
    from cnnapp.prediction import predictor

    loaded = predictor.load(model)
    out.print(f"{len(loaded.card.files)} files have the hashes on the card")
    if quick:
        out.print(f"golden examples: largest difference {loaded.verify():.3g}")
    else:
        out.print("golden examples, by every way in:")
        for found in cross_check.replay(loaded.served):
            out.print(f"  {found}", markup=False, soft_wrap=True)
    if loaded.answer_type.unit == "window":
        out.print("all windows of an image at once, against each window alone:")
        out.print(str(loaded.certify()), markup=False, soft_wrap=True)
    if tiling:
        out.print(str(loaded.verify_tiling(tile)), markup=False, soft_wrap=True)
