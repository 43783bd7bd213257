"""What can be asked of a segmentation run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pipelines.models.names import BACKBONE, SEGMENTER, kinds
from pipelines.training.config import Scale, Size, TrainingConfig

__all__ = ["SegmentationConfig", "Term"]


def _terms(value: object) -> object:
    """Take ``"cross_entropy+dice"`` for two terms."""
    return tuple(value.split("+")) if isinstance(value, str) else value


Term = Literal["cross_entropy", "focal", "dice"]


class SegmentationConfig(TrainingConfig):
    """A segmentation run: the network, how images are scaled for it, and what it is shown."""

    data: str = Field("scenes", description="Where the images with masks are.")
    test: str | None = Field(
        None, description="Another set that is the whole of the test part; then none of the images are held out for it."
    )
    ignore: int | None = Field(None, ge=0, le=255, description="A value of masks that is no class, besides 255.")
    model: Annotated[str, SEGMENTER] = Field("unet", description="The network.")
    backbone: Annotated[str, BACKBONE] | None = Field(
        None, description="The network from the image to features; None is the model's own."
    )
    head: Literal[8, 16, 32] = Field(8, description="For fcn: the stride of the finest scores.")
    filters: int = Field(16, ge=4, le=128, description="For unet: of the first stage; each one down has twice as many.")
    depth: int = Field(3, ge=1, le=6, description="For unet: number of poolings.")
    stride: Literal[1, 2, 4] = Field(1, description="For unet: of a first convolution, for large images.")
    upsampling: Literal["bilinear", "learned"] = Field(
        "bilinear", description="For unet with a stride: how scores come back to the size of the image."
    )
    image_pooling: bool = Field(
        False, description="For aspp: the branch of the whole image's mean; tiles can then only be blended."
    )
    conv: Annotated[str, kinds("conv", exact=True)] = Field(
        "standard", description="The kind of convolution that is plugged in."
    )
    pool: Annotated[str, kinds("pool", exact=True)] = Field("max", description="The kind of pooling.")
    norm: Annotated[str, kinds("norm", exact=True)] = Field("batch", description="The kind of normalization.")
    scale: Scale | None = Field(None, description="What images are scaled by for the network.")
    channels: Literal[1, 3] | None = Field(None, description="1 for grey, 3 for colour.")
    crop: Size | None = Field(None, description="What is trained on at once: pixels, or height x width.")
    loss: Annotated[tuple[Term, ...], BeforeValidator(_terms), Field(min_length=1)] = Field(
        ("cross_entropy", "dice"),
        description="cross_entropy, focal, dice, or a sum of them such as cross_entropy+dice.",
    )
    class_weights: Literal["auto", "median", "none"] = Field(
        "auto",
        description="Weigh rare classes up by the median frequency; auto takes the root of that.",
    )
    zoom: float = Field(1.5, ge=1, le=4, description="Training images are scaled by up to this at random.")
    flip: bool | None = Field(None, description="Mirror training images left to right.")
    turn: bool = Field(False, description="Turn training images by 90 degrees, for what has no upright.")
    light: float = Field(0.2, ge=0, lt=1, description="Change of brightness, contrast and colour.")
    elastic: float = Field(0.0, ge=0, le=100, description="Bend training images by about so many pixels.")
