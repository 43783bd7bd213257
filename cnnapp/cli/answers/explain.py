"""The command that shows why an answer was given."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from cnnapp.cli.answers.batch_predict import find_images, write_file
from cnnapp.cli.console import Model, err, out
from cnnapp.results.writers import numbered_stem
from pipelines.core.errors import ConfigError, DataError, unknown

if TYPE_CHECKING:
    from cnnapp.explain.downscale import Reduced
    from cnnapp.explain.evidence import Explanation
    from cnnapp.prediction.predictor import Predictor

__all__ = ["explain"]

_PART = 0.8


def explain(
    model: Model,
    paths: Annotated[list[str], typer.Argument(help="Image files, folders, or globs such as 'photos/**/*.jpg'.")],
    class_name: Annotated[
        str | None, typer.Option("--class", help="Class to explain.", show_default="the predicted class")
    ] = None,
    draw: Annotated[Path | None, typer.Option(help="Draw the evidence over each image, into this folder.")] = None,
    features: Annotated[
        str | None, typer.Option(metavar="LAYER", help="With --draw: the feature maps of this layer as well.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the evidence to this file, as JSON.")] = None,
) -> None:
    """Explain predictions: show where in an image the evidence for a class is.

    A file that cannot be read is reported with its reason; the exit status is then 1. An image that would not fit into
    memory is reduced first, with a note. `cnnapp inspect MODEL` lists the layers for --features.

    Example: `cnnapp explain digits photos/ --draw why/`
    """
    if features is not None and draw is None:
        raise ConfigError("--features requires --draw, the folder for its pictures, such as --draw why/")
    from cnnapp.prediction import predictor
    from pipelines.core import extras

    if draw is not None:
        extras.need("--draw", "ui", "matplotlib")
    files = list(find_images(paths))
    loaded = predictor.load(model)
    if features is not None and features not in loaded.inside.layers:
        raise ConfigError(unknown("layer", features, loaded.inside.layers))
    records: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for number, name in enumerate(files, start=1):
        try:
            found = _explained(loaded, name, class_name)
            out.print(str(found), markup=False, soft_wrap=True)
            records.append(found.to_json())
            if draw is not None:
                _draw(loaded, found, draw / numbered_stem(number, name), features)
        except DataError as error:
            failures.append({"source": name, "error": str(error)})
            err.print(f"[red]failed[/red] {escape(str(error))}", soft_wrap=True)
    if json_file is not None:
        card = loaded.card
        content = {"model": f"{card.name}/{card.version}", "explanations": records, "failed": failures}
        write_file(json_file, json.dumps(content, indent=1))
    if failures:
        err.print(f"{len(failures)} of {len(files)} images could not be explained")
        raise typer.Exit(1)


def _explained(loaded: Predictor, name: str, class_name: str | None) -> Explanation:
    """Explain an image, made smaller where it would not fit into memory."""
    from cnnapp.explain.evidence import most_pixels

    smaller = _smaller(name, most_pixels(loaded.card))
    found = loaded.explain(smaller.data, class_name, name=name)
    return dataclasses.replace(found, region=smaller.before(found.region)) if smaller else found


def _smaller(name: str, most: float) -> Reduced:
    """Return an image as it is, or made smaller, which is then said."""
    from cnnapp.explain.downscale import reduced

    # Some of it is left, since how much memory is free changes from call to call.
    found = reduced(name, _PART * most)
    if found:
        err.print(f"{name}: {found}, which fit into memory", markup=False, soft_wrap=True)
    return found


def _draw(loaded: Predictor, found: Explanation, path: Path, layer: str | None) -> None:
    """Draw an explanation, and the maps of a layer beside it."""
    from pipelines.images import image_io

    write_file(path.with_name(f"{path.name}.png"), image_io.encode(found.draw()))
    if layer is not None:
        smaller = _smaller(found.source, loaded.inside.most_pixels())
        shown = loaded.inside.shown(smaller.data, found.source)
        sheet = loaded.inside.maps_of(shown, layer, found.source).draw(layer)
        write_file(path.with_name(f"{path.name}.{layer}.png"), image_io.encode(sheet))
