"""What can be asked of a detection run."""

from __future__ import annotations

from typing import Annotated, Literal

from pipelines.core.options import option
from pipelines.models.names import BACKBONE, kinds
from pipelines.training.config import Scale, Scales, Size, TrainingConfig

__all__ = ["DetectionConfig"]


class DetectionConfig(TrainingConfig):
    """A detection run: the window, how images are scaled for it, and what it is shown."""

    data: str = option(
        "scenes",
        "Data set: `scenes` (embedded), `tfds:NAME`, the path of a set in Pascal VOC, COCO or YOLO format, or a folder "
        "of image windows: one sub-folder for each class, and one named `background`.",
        group="data",
        common=True,
        required=True,
    )
    epochs: int | None = option(
        None,
        "Maximum number of passes over the training images.",
        group="training",
        common=True,
        otherwise="8 to 150, by the number of images",
        ge=1,
    )
    batch_size: int | None = option(
        None,
        "Global batch size: crops in a training step, over all devices together.",
        group="training",
        common=True,
        otherwise="4 to 64, by the size of the crops",
        ge=1,
    )
    learning_rate: float | None = option(
        None, "Peak learning rate.", group="training", common=True, otherwise="0.008, or 0.1 with sgd", gt=0
    )
    test: str | None = option(
        None,
        "Another data set to test on; then no images of --data are held out for the test.",
        group="data",
        otherwise="a part of --data",
    )
    backbone: Annotated[str, BACKBONE] = option("window", "The network from the image to features.", group="network")
    conv: Annotated[str, kinds("conv", exact=True)] = option(
        "standard", "The kind of convolution that is plugged in.", group="network"
    )
    pool: Annotated[str, kinds("pool", exact=True)] = option("max", "The kind of pooling.", group="network")
    norm: Annotated[str, kinds("norm", exact=True)] = option("batch", "The kind of normalization.", group="network")
    stride: Literal[4, 8] | None = option(
        None, "Distance of neighbouring windows, in pixels of the network.", group="network", otherwise="by the boxes"
    )
    window: Size | None = option(
        None,
        "Window that the network classifies, in pixels of the network: one number for a square, or HEIGHTxWIDTH.",
        group="network",
        common=True,
        otherwise="by the boxes",
    )
    scale: Scale | None = option(
        None, "Factor by which training images are resized for the network.", group="network", otherwise="by the boxes"
    )
    scales: Scales | None = option(
        None,
        "Image pyramid: factors by which an image is resized at inference, separated by commas.",
        group="network",
        common=True,
        otherwise="by the boxes",
    )
    channels: Literal[1, 3] | None = option(
        None, "Input channels: 1 for greyscale, 3 for colour.", group="network", otherwise="by the images"
    )
    zoom: float | None = option(
        None,
        "Random scaling: training images are enlarged or reduced by up to this factor.",
        group="augmentation",
        otherwise="1.25, or 1.15 for a folder of windows",
        ge=1,
        le=4,
    )
    flip: bool | None = option(
        None,
        "Mirror training images left to right at random.",
        group="augmentation",
        common=True,
        otherwise="on, unless the classes are characters",
    )
    turn: bool = option(False, "Rotate by multiples of 90 degrees (orientation-free objects).", group="augmentation")
    light: float = option(0.2, "Colour jitter strength.", group="augmentation", ge=0, lt=1)
