"""The command that writes a saved model in another format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnapp.cli.console import out
from pipelines.core.errors import ConfigError, unknown

if TYPE_CHECKING:
    from pipelines.artifacts.served_model import ServedModel
    from pipelines.export.exported_file import ExportedFile

__all__ = ["export"]

_FOLDER = Path("exports")
_MIB = 2**20
_RENEWED = "saved_model"


def export(
    model: Annotated[str, typer.Argument(help="A name under saved_models/, name/version, or a path.", metavar="MODEL")],
    format_: Annotated[str, typer.Option("--format", help="onnx, litert or saved_model.")],
    to: Annotated[
        Path | None, typer.Option(help="The file.", show_default="exports/NAME-VERSION.onnx, or .tflite")
    ] = None,
    float16: Annotated[
        bool | None,
        typer.Option("--float16/--float32", help="What LiteRT stores weights as.", show_default="float16"),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Store the large weights for LiteRT in 8 bits.")] = False,
) -> None:
    """Write a saved model as ONNX or for LiteRT, once the file is shown to give the same answers.

    What is written is the signature `pixels`: from upright images, uint8 of any number and size, to the named outputs
    of the task. Resizing, the pyramid and suppression of a detector, and class names are inside.

    `saved_model` writes the next version of a model that an earlier cnnapp saved, with the signatures of this one.
    """
    if format_ not in (*_FORMATS, _RENEWED):
        raise ConfigError(unknown("format", format_, (*_FORMATS, _RENEWED)))
    if format_ == _RENEWED:
        if to is not None or int8 or float16 is not None:
            raise ConfigError(
                "--format saved_model: is written beside the other versions, in float32; leave the rest out"
            )
        _renew(model)
        return
    if int8 and float16 is not None:
        raise ConfigError("--int8: does not go with --float16 or --float32; choose one")
    if format_ == "onnx" and (int8 or float16):
        raise ConfigError("--format onnx: is written in float32; --float16 and --int8 are for litert")
    weights = "int8" if int8 else "float32" if float16 is False or format_ == "onnx" else "float16"
    from cnnapp.prediction import model_paths
    from pipelines.artifacts.served_model import ServedModel

    served = ServedModel(model_paths.resolve(model))
    written = _FORMATS[format_](served, to, weights)
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
    out.print(
        f"{renewed.directory}: the answers to the golden examples are those of {directory}",
        markup=False,
        soft_wrap=True,
    )


def _onnx(served: ServedModel, to: Path | None, weights: str) -> ExportedFile:
    from pipelines.export.onnx import write_onnx

    return write_onnx(served, to or _FOLDER / f"{served.card.name}-{served.card.version}.onnx")


def _litert(served: ServedModel, to: Path | None, weights: str) -> ExportedFile:
    from pipelines.export.litert import write_litert

    path = to or _FOLDER / f"{served.card.name}-{served.card.version}-{weights}.tflite"
    return write_litert(served, path, weights)


_FORMATS: dict[str, Callable[..., ExportedFile]] = {"litert": _litert, "onnx": _onnx}
