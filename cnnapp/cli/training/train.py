"""The commands that train, one a task; their options are the fields of the configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cnnapp.cli.console import DataDir, out
from pipelines.classification.config import ClassificationConfig
from pipelines.core import extras, workspace
from pipelines.detection.config import DetectionConfig
from pipelines.segmentation.config import SegmentationConfig
from pipelines.training.config import TrainingConfig

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
    resume: Annotated[bool, typer.Option("--resume", help=_field("resume"))] = False,
) -> None:
    """Train a classifier: one class for an image.

    What is left out is chosen from the data, and said. Ctrl-C ends the training and keeps what was learned.

    Example: `cnnapp train classification --data photos/ --name birds`
    """
    options = {key: value for key, value in locals().items() if key != "name"}
    _run("classification", ClassificationConfig, name, log_dir, options)


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
    resume: Annotated[bool, typer.Option("--resume", help=_detection("resume"))] = False,
) -> None:
    """Train a detector: boxes around objects.

    What is left out is chosen from the training boxes, and said. Ctrl-C ends the training and keeps what was learned.

    Example: `cnnapp train detection --data street-scenes/ --name cars`
    """
    options = {key: value for key, value in locals().items() if key != "name"}
    _run("detection", DetectionConfig, name, log_dir, options)


def _segmentation(name: str) -> str:
    return _field(name, SegmentationConfig)


@train_app.command("segmentation")
def train_segmentation(
    data: Annotated[
        str,
        typer.Option(
            help="`scenes` (embedded), `tfds:NAME`, or the path of a folder with `images/` and `masks/`, or of a "
            "set in Pascal VOC or COCO format."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the saved model.")],
    test: Annotated[str | None, typer.Option(help=_segmentation("test"))] = None,
    data_dir: DataDir = None,
    ignore: Annotated[int | None, typer.Option(help=_segmentation("ignore"))] = None,
    model: Annotated[str, typer.Option(help=_segmentation("model"))] = "unet",
    head: Annotated[int, typer.Option(help=_segmentation("head"))] = 8,
    filters: Annotated[int, typer.Option(help=_segmentation("filters"))] = 16,
    depth: Annotated[int, typer.Option(help=_segmentation("depth"))] = 3,
    stride: Annotated[int, typer.Option(help=_segmentation("stride"))] = 1,
    upsampling: Annotated[str, typer.Option(help=_segmentation("upsampling"))] = "bilinear",
    image_pooling: Annotated[bool, typer.Option("--image-pooling", help=_segmentation("image_pooling"))] = False,
    conv: Annotated[str, typer.Option(help=_segmentation("conv"))] = "standard",
    pool: Annotated[str, typer.Option(help=_segmentation("pool"))] = "max",
    scale: Annotated[float | None, typer.Option(help=_segmentation("scale"), show_default="by the images")] = None,
    channels: Annotated[int | None, typer.Option(help=_segmentation("channels"))] = None,
    crop: Annotated[str | None, typer.Option(help=_segmentation("crop"), show_default="by the images")] = None,
    loss: Annotated[str, typer.Option(help=_segmentation("loss"))] = "cross_entropy+dice",
    class_weights: Annotated[str, typer.Option(help=_segmentation("class_weights"))] = "auto",
    zoom: Annotated[float, typer.Option(help=_segmentation("zoom"))] = 1.5,
    flip: Annotated[
        bool | None, typer.Option(help=_segmentation("flip"), show_default="unless the classes are characters")
    ] = None,
    turn: Annotated[bool, typer.Option(help=_segmentation("turn"))] = False,
    light: Annotated[float, typer.Option(help=_segmentation("light"))] = 0.2,
    elastic: Annotated[float, typer.Option(help=_segmentation("elastic"))] = 0.0,
    epochs: Annotated[int | None, typer.Option(help=_segmentation("epochs"), show_default="8 to 150, by size")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Crops a step.", show_default="4 to 64, by size")] = None,
    optimizer: Annotated[str, typer.Option(help=_segmentation("optimizer"))] = "adamw",
    learning_rate: Annotated[
        float | None, typer.Option(help=_segmentation("learning_rate"), show_default="by optimizer")
    ] = None,
    schedule: Annotated[str, typer.Option(help=_segmentation("schedule"))] = "cosine",
    warmup: Annotated[float, typer.Option(help=_segmentation("warmup"))] = 0.05,
    weight_decay: Annotated[
        float | None, typer.Option(help=_segmentation("weight_decay"), show_default="by optimizer")
    ] = None,
    precision: Annotated[str, typer.Option(help=_segmentation("precision"))] = "float32",
    patience: Annotated[int, typer.Option(help=_segmentation("patience"))] = 20,
    seed: Annotated[int, typer.Option(help=_segmentation("seed"))] = 0,
    deterministic: Annotated[bool, typer.Option(help=_segmentation("deterministic"))] = False,
    log_dir: Annotated[Path | None, typer.Option(help=_segmentation("log_dir"), show_default="runs/NAME")] = None,
    resume: Annotated[bool, typer.Option("--resume", help=_segmentation("resume"))] = False,
) -> None:
    """Train a segmentation network: a class for every pixel.

    What is left out is chosen from the training images, and said. Ctrl-C ends the training and keeps what was learned.

    Example: `cnnapp train segmentation --data cells/ --name cells`
    """
    options = {key: value for key, value in locals().items() if key != "name"}
    _run("segmentation", SegmentationConfig, name, log_dir, options)


def _run(task: str, config: type[TrainingConfig], name: str, log_dir: Path | None, options: dict[str, Any]) -> None:
    """Train, and print the path of the saved model alone on standard output, for scripts."""
    options["log_dir"] = log_dir or workspace.runs() / name
    # Wrong options are said at once, before seconds go by importing TensorFlow.
    config.parse(**options)
    extras.need("training", "train")
    from importlib import import_module

    from cnnapp.prediction import model_paths
    from pipelines.core.tensorflow_import import import_tensorflow

    import_tensorflow()
    trained = import_module(f"pipelines.{task}").train(name, root=model_paths.root(), **options)
    out.print(trained.path, soft_wrap=True)
