"""What can be asked of a segmentation run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipelines.core.options import Joined, option
from pipelines.models.names import BACKBONE, SEGMENTER, kinds
from pipelines.training.config import Scale, Size, TrainingConfig

__all__ = ["SegmentationConfig", "Term"]


def _terms(value: object) -> object:
    """Take ``"cross_entropy+dice"`` for two terms."""
    return tuple(value.split("+")) if isinstance(value, str) else value


Term = Literal["cross_entropy", "focal", "dice"]


class SegmentationConfig(TrainingConfig):
    """A segmentation run: the network, how images are scaled for it, and what it is shown."""

    data: str = option(
        "scenes",
        "Data set: `scenes` (embedded), `tfds:NAME`, the path of a folder with `images/` and `masks/`, or of a set in "
        "Pascal VOC or COCO format.",
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
        None, "Peak learning rate.", group="training", common=True, otherwise="0.005, or 0.1 with sgd", gt=0
    )
    test: str | None = option(
        None,
        "Another data set to test on; then no images of --data are held out for the test.",
        group="data",
        otherwise="a part of --data",
    )
    ignore: int | None = option(
        None, "Mask value to ignore, besides 255.", group="data", otherwise="255 alone", ge=0, le=255
    )
    model: Annotated[str, SEGMENTER] = option("unet", "The network.", group="network", common=True)
    backbone: Annotated[str, BACKBONE] | None = option(
        None, "The network from the image to features.", group="network", otherwise="the network's own"
    )
    head: Literal[8, 16, 32] = option(8, "For fcn: the stride of the finest scores.", group="network")
    filters: int = option(
        16,
        "For unet: filters of the first stage; each stage below has twice as many.",
        group="network",
        ge=4,
        le=128,
    )
    depth: int = option(3, "For unet: number of pooling stages.", group="network", ge=1, le=6)
    stride: Literal[1, 2, 4] = option(
        1, "For unet: stride of the first convolution; above 1 for large images.", group="network"
    )
    upsampling: Literal["bilinear", "learned"] = option(
        "bilinear", "For unet with a stride: how scores are upsampled to the size of the image.", group="network"
    )
    image_pooling: bool = option(
        False,
        "For aspp: add the branch that pools the whole image; tiles can then only be blended.",
        group="network",
    )
    conv: Annotated[str, kinds("conv", exact=True)] = option(
        "standard", "The kind of convolution that is plugged in.", group="network"
    )
    pool: Annotated[str, kinds("pool", exact=True)] = option("max", "The kind of pooling.", group="network")
    norm: Annotated[str, kinds("norm", exact=True)] = option("batch", "The kind of normalization.", group="network")
    scale: Scale | None = option(
        None, "Factor by which images are resized for the network.", group="network", otherwise="by the images"
    )
    channels: Literal[1, 3] | None = option(
        None, "Input channels: 1 for greyscale, 3 for colour.", group="network", otherwise="by the images"
    )
    crop: Size | None = option(
        None,
        "Size of the training crops in pixels: one number for a square, or HEIGHTxWIDTH.",
        group="training",
        common=True,
        otherwise="by the images",
    )
    loss: Annotated[tuple[Term, ...], BeforeValidator(_terms), Joined("+", "TERMS"), Field(min_length=1)] = option(
        ("cross_entropy", "dice"),
        "Loss, or a sum of losses such as cross_entropy+dice.",
        group="training",
        common=True,
    )
    class_weights: Literal["auto", "median", "none"] = option(
        "auto",
        "Weights of the classes in the loss: median gives rare classes more weight, by the median frequency; auto uses "
        "the square root of that.",
        group="training",
    )
    zoom: float = option(
        1.5,
        "Random scaling: training images are enlarged or reduced by up to this factor.",
        group="augmentation",
        ge=1,
        le=4,
    )
    flip: bool | None = option(
        None,
        "Mirror training images left to right at random.",
        group="augmentation",
        otherwise="on, unless the classes are characters",
    )
    turn: bool = option(False, "Rotate by multiples of 90 degrees (orientation-free objects).", group="augmentation")
    light: float = option(0.2, "Colour jitter strength.", group="augmentation", ge=0, lt=1)
    elastic: float = option(0.0, "Elastic deformation in pixels.", group="augmentation", ge=0, le=100)
