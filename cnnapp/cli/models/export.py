"""The command that writes a saved model in another format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnapp.cli.console import Model, out, say, settings
from pipelines.core.errors import ConfigError, unknown

if TYPE_CHECKING:
    from pipelines.artifacts.served_model import ServedModel
    from pipelines.export.exported_file import ExportedFile

__all__ = ["export"]

_FOLDER = Path("exports")
_MIB = 2**20
_RENEWED = "saved_model"


def export(
    model: Model,
    format_: Annotated[str, typer.Option("--format", help="File format: onnx, litert or saved_model.")],
    to: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="exports/NAME-VERSION.onnx, or .tflite")
    ] = None,
    float16: Annotated[
        bool | None,
        typer.Option("--float16/--float32", help="For litert: number format of the weights.", show_default="float16"),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="For litert: store the large weights in 8 bits.")] = False,
) -> None:
    """Export a saved model to ONNX or LiteRT; the file is written only if it gives the same results.

    The exported signature is `pixels`: it takes upright uint8 images, any number of any size, and returns the named
    outputs of the task. Resizing, a detector's image pyramid and non-maximum suppression, and class names are inside.

    `saved_model` writes a model of an earlier cnnapp again, as its next version with the signatures of this one.

    Example: `cnnapp export digits --format onnx`
    """
    if format_ not in (*_FORMATS, _RENEWED):
        raise ConfigError(unknown("format", format_, (*_FORMATS, _RENEWED)))
    if format_ == _RENEWED:
        if to is not None or int8 or float16 is not None:
            raise ConfigError(
                "--format saved_model: is written beside the other versions, in float32; leave out the other options"
            )
        _renew(model)
        return
    if int8 and float16 is not None:
        raise ConfigError("--int8: cannot be combined with --float16 or --float32; choose one")
    if format_ == "onnx" and (int8 or float16):
        raise ConfigError("--format onnx: is written in float32; --float16 and --int8 are for litert")
    weights = "int8" if int8 else "float32" if float16 is False or format_ == "onnx" else "float16"
    from cnnapp.prediction import model_paths
    from pipelines.artifacts.served_model import ServedModel

    served = ServedModel(model_paths.resolve(model))
    written = _FORMATS[format_](served, to, weights)
    if settings.quiet:
        out.print(written.path, markup=False, soft_wrap=True)
        return
    out.print(
        f"{written.path}: {written.size / _MIB:.2f} MiB, weights in {written.weights}; "
        f"the saved model has {written.before / _MIB:.2f} MiB",
        markup=False,
        soft_wrap=True,
    )
    out.print(f"against the saved model: {written.agreement}", markup=False, soft_wrap=True)


def _renew(model: str) -> None:
    from cnnapp.prediction import model_paths
    from pipelines.artifacts.served_model import ServedModel
    from pipelines.tasks.rebuild import renew

    directory = model_paths.resolve(model)
    # Beside the other versions, where the model lies among them; an installed one is not written beside.
    home = directory.resolve().parent
    beside = directory.name.isdecimal() and home.parent not in model_paths.places()[1:]
    root = home.parent if beside else model_paths.root()
    renewed = renew(ServedModel(directory), root)
    out.print(renewed.directory, markup=False, soft_wrap=True)
    say(f"its results on the golden examples are those of {directory}", markup=False, soft_wrap=True)


def _onnx(served: ServedModel, to: Path | None, weights: str) -> ExportedFile:
    from pipelines.export.onnx import write_onnx

    return write_onnx(served, to or _FOLDER / f"{served.card.name}-{served.card.version}.onnx")


def _litert(served: ServedModel, to: Path | None, weights: str) -> ExportedFile:
    from pipelines.export.litert import write_litert

    path = to or _FOLDER / f"{served.card.name}-{served.card.version}-{weights}.tflite"
    return write_litert(served, path, weights)


_FORMATS: dict[str, Callable[..., ExportedFile]] = {"litert": _litert, "onnx": _onnx}
