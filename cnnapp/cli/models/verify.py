"""The command ``cnnapp verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cnnapp.cli.console import Model, err, say

__all__ = ["NOT_VERIFIED", "verify"]

NOT_VERIFIED = 3
"""The exit status where nothing is wrong, but not everything can be told."""


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

    The exit status is 1 if something is wrong, and 3 if nothing is, but the model was saved without a manifest by an
    earlier version or its card names other classes than its graph, so that it does not count as verified.

    The golden examples, kept with the model, are run through every interface: Python, TensorFlow alone in a fresh
    process, TensorFlow's own saved_model_cli, the page, and the service over HTTP. All must give the same results.

    Example: `cnnapp verify digits --quick`
    """
    from cnnapp.cli.models import cross_check
    from cnnapp.prediction import model_paths, predictor
    from pipelines.artifacts import manifest
    from pipelines.artifacts.model_card import doubts

    if key is not None:  # before anything of the model is run
        from pipelines.artifacts.trust.signature import verify_signature

        count = verify_signature(model_paths.resolve(model), key)
        say(f"signed with the key that belongs to {key}: {count} files", markup=False, soft_wrap=True)
    loaded = predictor.load(model)
    listed = manifest.read_manifest(loaded.served.directory)
    if listed is None:
        say(f"{len(loaded.card.files)} files match the hashes on the card, which nothing proves itself")
    else:
        say(f"{len(listed.files)} files match the hashes of the manifest, and there are no others")
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
    left = doubts(loaded.served.directory)
    for text in left:
        err.print(f"[yellow]not verified[/yellow] {escape(text)}", soft_wrap=True)
    if left:
        raise typer.Exit(NOT_VERIFIED)
