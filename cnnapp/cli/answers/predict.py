"""The command ``cnnapp predict``."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from cnnapp.cli.answers.batch_predict import find_images, write_file
from cnnapp.cli.console import Model, ScalesOption, err, out, settings
from cnnapp.results.writers import coco_text, csv_text, json_text
from cnnapp.service.front import tokens
from pipelines.core.errors import ConfigError, DataError
from pipelines.detection.config import DetectionConfig

__all__ = ["model_options", "predict"]


def model_options(**given: Any) -> dict[str, Any]:
    """Return the optional inputs of a model that were given on the command line."""
    if given.get("scales") is not None:
        given["scales"] = DetectionConfig.parse(scales=given["scales"]).scales
    return {name: value for name, value in given.items() if value is not None}


def predict(
    model: Model,
    paths: Annotated[list[str], typer.Argument(help="Image files, folders, or globs such as 'photos/**/*.jpg'.")],
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all results to this file, as JSON.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a table to this file, as CSV.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to print for an image, best first.")] = 3,
    batch_size: Annotated[int, typer.Option(min=1, help="Batch size: images in one call of the model.")] = 32,
    draw: Annotated[Path | None, typer.Option(help="Draw the result over each image, into this folder.")] = None,
    score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="For detection: minimum confidence.", show_default="the model's own"),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="For detection: maximum overlap (IoU) of boxes of a class.",
            show_default="the model's own",
        ),
    ] = None,
    scales: ScalesOption = None,
    coco: Annotated[
        Path | None, typer.Option(help="For detection and segmentation: write results in COCO format to this file.")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="For segmentation: write each mask as a palette PNG (TIFF with --tile) into this folder."),
    ] = None,
    tile: Annotated[
        int | None,
        typer.Option(
            min=64,
            help="For large images: process in tiles of this side in pixels, such as 1024; the result is the same.",
        ),
    ] = None,
    blend: Annotated[
        bool,
        typer.Option("--blend", help="With --tile, for networks that see the whole image: blend the tiles."),
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(
            help="Send images to the service at this URL (`cnnapp serve`, TensorFlow Serving).", metavar="URL"
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            envvar=tokens.VARIABLE,
            help="With --server: send the first token of this file, for a service that requires one.",
            show_default="no token",
        ),
    ] = None,
) -> None:
    """Run prediction on images. A file that cannot be read is reported with its reason; the exit status is then 1.

    With --tile, masks are written tile by tile; the same command resumes one that was stopped.

    With --quiet, the paths of the files that were written are printed alone; predictions where no file is asked for.

    Example: `cnnapp predict digits photos/ --csv digits.csv`
    """
    import cnnapp
    from cnnapp.cli.answers.batch_predict import Answering
    from pipelines.core.progress import Reporter

    files = list(find_images(paths))
    if server is not None and tile is not None:
        raise ConfigError("--tile: does not go with --server; a service takes whole images only")
    token = tokens.read_tokens(token_file)[0] if server is not None and token_file is not None else None
    loaded = cnnapp.load(model) if server is None else cnnapp.connect(server, model, token=token)
    task, kind = loaded.card.task, loaded.answer_type
    if coco is not None and not kind.coco:
        raise ConfigError(f"--coco: {loaded.card.name} is for {task}; COCO's results are boxes and masks")
    if masks is not None and not kind.masks:
        raise ConfigError(f"--masks: {loaded.card.name} is for {task}; only segmentation gives masks")
    options = model_options(score_threshold=score, overlap_threshold=overlap, scales=scales)
    if blend and tile is None:
        raise ConfigError("--blend requires --tile, such as --tile 1024")
    answers: list[Any] = []
    failures = []
    answering = Answering(loaded, files, masks, draw, Reporter(err))
    written = [path for path in (json_file, csv_file, coco, masks, draw) if path is not None]
    with contextlib.ExitStack() as stack:
        if tile is None:
            found = answering.whole(batch_size, options)
        else:
            # Kept until all outputs are written: answers of segmentation read their masks for them.
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            found = answering.by_pieces(tile, blend, options, scratch)
        for name, answer in found:
            if isinstance(answer, DataError):
                failures.append({"source": name, "error": str(answer)})
                err.print(f"[red]failed[/red] {escape(str(answer))}", soft_wrap=True)
            else:
                answers.append(answer)
                if not (settings.quiet and written):
                    out.print(answer.line(top), markup=False, soft_wrap=True)
        if json_file is not None:
            # Where masks went to no folder of the user's, they are about to be removed.
            write_file(json_file, json_text(answers, failures, loaded.card, mask_paths=masks is not None))
        if csv_file is not None:
            write_file(csv_file, csv_text(answers, failures, loaded.card).removesuffix("\n"))
        if coco is not None:
            write_file(coco, coco_text(answers))
    if settings.quiet:
        for path in written:
            out.print(path, markup=False, soft_wrap=True)
    if answering.undrawn:
        more = f" (and {len(answering.undrawn) - 1} more)" if len(answering.undrawn) > 1 else ""
        err.print(f"[red]failed[/red] {escape(answering.undrawn[0] + more)}", soft_wrap=True)
    if failures:
        err.print(f"{len(failures)} of {len(files)} images could not be read")
    if failures or answering.undrawn:
        raise typer.Exit(1)
