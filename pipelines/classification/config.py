"""What can be asked of a classification run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

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

    model: Backbone = Field("convnet", description="The network.")
    conv: ConvolutionKind = Field("standard", description="The kind of convolution that is plugged in.")
    pool: PoolingKind | None = Field(None, description="The kind of pooling; None is the model's own.")
    norm: NormalizationKind | None = Field(None, description="The kind of normalization; None is the model's own.")
    head: HeadKind | None = Field(None, description="What makes one vector of the last maps; None is the model's own.")
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
