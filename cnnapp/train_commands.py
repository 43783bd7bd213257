"""The commands that train, one a task; their options are the fields of the configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cnnapp.consoles import DataDir, out
from pipelines.config import ClassificationConfig, DetectionConfig, TrainingConfig

__all__ = ["train_app"]

train_app = typer.Typer(no_args_is_help=True, help="Train a model and export it as the next version of its name.")


def _field(name: str, config: type[TrainingConfig] = ClassificationConfig) -> str:
    """Return the help of an option from the configuration it fills, with the choices it has."""
    field = config.model_fields[name]
    choices = config.choices(name)
    return f"{field.description}" + (f" One of: {', '.join(choices)}." if choices else "")


@train_app.command("classification")
def train_classification(
    data: Annotated[
        str, typer.Option(help="`digits` (embedded), `tfds:NAME`, or a directory with a folder per class.")
    ],
    name: Annotated[str, typer.Option(help="Name of the saved model.")],
    data_dir: DataDir = None,
    model: Annotated[str, typer.Option(help=_field("model"))] = "convnet",
    conv: Annotated[str, typer.Option(help=_field("conv"))] = "standard",
    pool: Annotated[str | None, typer.Option(help=_field("pool"))] = None,
    image_size: Annotated[str | None, typer.Option(help=_field("image_size"))] = None,
    channels: Annotated[int | None, typer.Option(help=_field("channels"))] = None,
    resize: Annotated[str, typer.Option(help=_field("resize"))] = "stretch",
    augment: Annotated[str, typer.Option(help=_field("augment"))] = "light",
    flip: Annotated[
        bool | None, typer.Option(help=_field("flip"), show_default="unless the classes are characters")
    ] = None,
    label_smoothing: Annotated[float, typer.Option(help=_field("label_smoothing"))] = 0.0,
    class_weights: Annotated[str, typer.Option(help=_field("class_weights"))] = "auto",
    epochs: Annotated[int | None, typer.Option(help=_field("epochs"), show_default="12 to 60, by size")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help=_field("batch_size"), show_default="128, or 32 under 10,000")
    ] = None,
    optimizer: Annotated[str, typer.Option(help=_field("optimizer"))] = "adamw",
    learning_rate: Annotated[
        float | None, typer.Option(help=_field("learning_rate"), show_default="by optimizer")
    ] = None,
    schedule: Annotated[str, typer.Option(help=_field("schedule"))] = "cosine",
    warmup: Annotated[float, typer.Option(help=_field("warmup"))] = 0.05,
    weight_decay: Annotated[
        float | None, typer.Option(help=_field("weight_decay"), show_default="by optimizer")
    ] = None,
    precision: Annotated[str, typer.Option(help=_field("precision"))] = "float32",
    patience: Annotated[int, typer.Option(help=_field("patience"))] = 20,
    seed: Annotated[int, typer.Option(help=_field("seed"))] = 0,
    deterministic: Annotated[bool, typer.Option(help=_field("deterministic"))] = False,
    log_dir: Annotated[Path | None, typer.Option(help=_field("log_dir"), show_default="runs/NAME")] = None,
) -> None:
    """Train a classifier: one class for an image.

    What is left out is chosen from the data, and said. Ctrl-C ends the training and keeps what was learned.

    Example: `cnnapp train classification --data photos/ --name birds`
    """
    options = {key: value for key, value in locals().items() if key != "name"}
    options["log_dir"] = log_dir or Path("runs") / name
    # Wrong options are said at once, before seconds go by importing TensorFlow.
    ClassificationConfig.parse(**options)
    from cnnapp import saved_models
    from pipelines.quiet import import_tensorflow

    import_tensorflow()
    from pipelines import classification

    trained = classification.train(name, root=saved_models.root(), **options)
    # The full name and the path alone on standard output, for scripts.
    out.print(trained.path, soft_wrap=True)


def _detection(name: str) -> str:
    return _field(name, DetectionConfig)


@train_app.command("detection")
def train_detection(
    data: Annotated[
        str,
        typer.Option(
            help="`scenes` (embedded), `tfds:NAME`, or the path of a set in Pascal VOC, COCO or YOLO format, or of a "
            "folder of windows: a folder per class, and one named `background`."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the saved model.")],
    test: Annotated[str | None, typer.Option(help=_detection("test"))] = None,
    data_dir: DataDir = None,
    conv: Annotated[str, typer.Option(help=_detection("conv"))] = "standard",
    pool: Annotated[str, typer.Option(help=_detection("pool"))] = "max",
    stride: Annotated[int | None, typer.Option(help=_detection("stride"), show_default="by the boxes")] = None,
    window: Annotated[str | None, typer.Option(help=_detection("window"), show_default="by the boxes")] = None,
    scale: Annotated[float | None, typer.Option(help=_detection("scale"), show_default="by the boxes")] = None,
    scales: Annotated[str | None, typer.Option(help=_detection("scales"), show_default="by the boxes")] = None,
    channels: Annotated[int | None, typer.Option(help=_detection("channels"))] = None,
    zoom: Annotated[float | None, typer.Option(help=_detection("zoom"), show_default="1.15 or 1.25")] = None,
    flip: Annotated[
        bool | None, typer.Option(help=_detection("flip"), show_default="unless the classes are characters")
    ] = None,
    turn: Annotated[bool, typer.Option(help=_detection("turn"))] = False,
    light: Annotated[float, typer.Option(help=_detection("light"))] = 0.2,
    epochs: Annotated[int | None, typer.Option(help=_detection("epochs"), show_default="8 to 100, by size")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Crops a step.", show_default="4 to 64, by size")] = None,
    optimizer: Annotated[str, typer.Option(help=_detection("optimizer"))] = "adamw",
    learning_rate: Annotated[
        float | None, typer.Option(help=_detection("learning_rate"), show_default="by optimizer")
    ] = None,
    schedule: Annotated[str, typer.Option(help=_detection("schedule"))] = "cosine",
    warmup: Annotated[float, typer.Option(help=_detection("warmup"))] = 0.05,
    weight_decay: Annotated[
        float | None, typer.Option(help=_detection("weight_decay"), show_default="by optimizer")
    ] = None,
    precision: Annotated[str, typer.Option(help=_detection("precision"))] = "float32",
    patience: Annotated[int, typer.Option(help=_detection("patience"))] = 20,
    seed: Annotated[int, typer.Option(help=_detection("seed"))] = 0,
    deterministic: Annotated[bool, typer.Option(help=_detection("deterministic"))] = False,
    log_dir: Annotated[Path | None, typer.Option(help=_detection("log_dir"), show_default="runs/NAME")] = None,
) -> None:
    """Train a detector: boxes around objects.

    What is left out is chosen from the training boxes, and said. Ctrl-C ends the training and keeps what was learned.

    Example: `cnnapp train detection --data street-scenes/ --name cars`
    """
    options = {key: value for key, value in locals().items() if key != "name"}
    options["log_dir"] = log_dir or Path("runs") / name
    DetectionConfig.parse(**options)
    from cnnapp import saved_models
    from pipelines.quiet import import_tensorflow

    import_tensorflow()
    from pipelines import detection

    trained = detection.train(name, root=saved_models.root(), **options)
    out.print(trained.path, soft_wrap=True)
