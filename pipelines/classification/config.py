"""What can be asked of a classification run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipelines.training.config import Size, TrainingConfig

__all__ = ["ClassificationConfig"]

ConvolutionKind = Literal["standard", "dilated", "tiled", "unshared"]
PoolingKind = Literal["max", "average", "l2", "subsampling"]


class ClassificationConfig(TrainingConfig):
    """A classification run: the network and what it is shown."""

    model: Literal["convnet", "lenet5"] = Field("convnet", description="The network.")
    conv: ConvolutionKind = Field("standard", description="The kind of convolution that is plugged in.")
    pool: PoolingKind | None = Field(None, description="The kind of pooling; None is the model's own.")
    image_size: Size | None = Field(None, description="What the network sees: pixels, or height x width.")
    channels: Literal[1, 3] | None = Field(None, description="1 for grey, 3 for colour.")
    resize: Literal["stretch", "pad", "crop"] = Field(
        "stretch", description="How an image of another shape is brought to size."
    )
    augment: Literal["none", "light", "strong"] = Field("light", description="Random changes to training images.")
    flip: bool | None = Field(None, description="Mirror training images left to right.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of each target spread over all classes.")
    class_weights: Literal["auto", "balanced", "none"] = Field(
        "auto", description="Weigh rare classes up; auto does so where the largest class is 1.5 times the smallest."
    )
