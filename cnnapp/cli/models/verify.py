"""The command ``cnnapp verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cnnapp.cli.console import Model, say

__all__ = ["verify"]


def verify(
    model: Model,
    quick: Annotated[
        bool, typer.Option("--quick", help="Run in-process only; skip cross-checks: seconds instead of a minute.")
    ] = False,
    tiling: Annotated[
        bool, typer.Option("--tiling", help="Also process an image in tiles, and compare with the whole.")
    ] = False,
    tile: Annotated[int, typer.Option(min=64, help="Side of those tiles in pixels.")] = 128,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Also verify the signature, with this public key (PEM); see `cnnapp sign`."),
    ] = None,
) -> None:
    """Verify a saved model: file hashes, golden examples, and for a detector that its dense scan is exact.

    The golden examples, kept with the model, are run through every interface: Python, TensorFlow alone in a fresh
    process, TensorFlow's own saved_model_cli, the page, and the service over HTTP. All must give the same results.

    Example: `cnnapp verify digits --quick`
    """
    from cnnapp.cli.models import cross_check
    from cnnapp.prediction import model_paths, predictor

    if key is not None:  # before anything of the model is run
        from pipelines.artifacts.trust.signature import verify_signature

        count = verify_signature(model_paths.resolve(model), key)
        say(f"signed with the key that belongs to {key}: {count} files", markup=False, soft_wrap=True)
    loaded = predictor.load(model)
    say(f"{len(loaded.card.files)} files match the hashes on the card")
    if quick:
        say(f"golden examples: largest difference {loaded.verify():.3g}")
    else:
        say("golden examples, through every interface:")
        for found in cross_check.replay(loaded.served):
            say(f"  {found}", markup=False, soft_wrap=True)
    if loaded.answer_type.unit == "window":
        say("dense scan against per-window inference:")
        say(str(loaded.certify()), markup=False, soft_wrap=True)
    if tiling:
        say(str(loaded.verify_tiling(tile)), markup=False, soft_wrap=True)
