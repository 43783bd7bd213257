"""What can be asked of a classification run."""

from __future__ import annotations

from typing import Annotated, Literal

from pipelines.core.options import option
from pipelines.models.names import BACKBONE, kinds
from pipelines.training.config import Size, TrainingConfig

__all__ = ["ClassificationConfig"]

Backbone = Annotated[str, BACKBONE]
ConvolutionKind = Annotated[str, kinds("conv")]
PoolingKind = Annotated[str, kinds("pool")]
NormalizationKind = Annotated[str, kinds("norm")]
HeadKind = Annotated[str, kinds("head")]


class ClassificationConfig(TrainingConfig):
    """A classification run: the network and what it is shown."""

    data: str = option(
        "digits",
        "Data set: `digits` (embedded), `tfds:NAME`, or a folder with one sub-folder for each class.",
        group="data",
        common=True,
        required=True,
    )
    epochs: int | None = option(
        None,
        "Maximum number of passes over the training images.",
        group="training",
        common=True,
        otherwise="12 to 60, by the number of images",
        ge=1,
    )
    batch_size: int | None = option(
        None,
        "Global batch size: images in a training step, over all devices together.",
        group="training",
        common=True,
        otherwise="128, or 32 below 10,000 images",
        ge=1,
    )
    model: Backbone = option("convnet", "The network.", group="network", common=True)
    conv: ConvolutionKind = option("standard", "The kind of convolution that is plugged in.", group="network")
    pool: PoolingKind | None = option(None, "The kind of pooling.", group="network", otherwise="the network's own")
    norm: NormalizationKind | None = option(
        None, "The kind of normalization.", group="network", otherwise="the network's own"
    )
    head: HeadKind | None = option(
        None, "What makes one vector of the last maps.", group="network", otherwise="the network's own"
    )
    image_size: Size | None = option(
        None,
        "Input size of the network in pixels: one number for a square, or HEIGHTxWIDTH.",
        group="network",
        common=True,
        otherwise="by the images",
    )
    channels: Literal[1, 3] | None = option(
        None, "Input channels: 1 for greyscale, 3 for colour.", group="network", otherwise="by the images"
    )
    resize: Literal["stretch", "pad", "crop"] = option(
        "stretch", "How images of another aspect ratio are resized to the input size.", group="network"
    )
    augment: Literal["none", "light", "strong"] = option(
        "light", "Strength of the data augmentation.", group="augmentation", common=True
    )
    flip: bool | None = option(
        None,
        "Mirror training images left to right at random.",
        group="augmentation",
        otherwise="on, unless the classes are characters",
    )
    label_smoothing: float = option(
        0.0, "Label smoothing: share of each target spread over all classes.", group="training", ge=0, lt=1
    )
    class_weights: Literal["auto", "balanced", "none"] = option(
        "auto",
        "Weights of the classes in the loss: balanced gives rare classes more weight; auto does so where the largest "
        "class has at least 1.5 times the images of the smallest.",
        group="training",
    )
