"""What can be asked of a detection run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipelines.models.names import BACKBONE, kinds
from pipelines.training.config import Scale, Scales, Size, TrainingConfig

__all__ = ["DetectionConfig"]


class DetectionConfig(TrainingConfig):
    """A detection run: the window, how images are scaled for it, and what it is shown."""

    data: str = Field("scenes", description="Where the images with boxes are.")
    test: str | None = Field(
        None, description="Another set that is the whole of the test part; then none of the images are held out for it."
    )
    backbone: Annotated[str, BACKBONE] = Field("window", description="The network from the image to features.")
    conv: Annotated[str, kinds("conv", exact=True)] = Field(
        "standard", description="The kind of convolution that is plugged in."
    )
    pool: Annotated[str, kinds("pool", exact=True)] = Field("max", description="The kind of pooling.")
    norm: Annotated[str, kinds("norm", exact=True)] = Field("batch", description="The kind of normalization.")
    stride: Literal[4, 8] | None = Field(None, description="Pixels of the network between windows.")
    window: Size | None = Field(None, description="What the network judges: its pixels, or height x width.")
    scale: Scale | None = Field(None, description="What training images are scaled by for the network.")
    scales: Scales | None = Field(None, description="The pyramid: what images are scaled by, with commas between.")
    channels: Literal[1, 3] | None = Field(None, description="1 for grey, 3 for colour.")
    zoom: float | None = Field(None, ge=1, le=4, description="Training images are scaled by up to this at random.")
    flip: bool | None = Field(None, description="Mirror training images left to right.")
    turn: bool = Field(False, description="Turn training images by 90 degrees, for what has no upright.")
    light: float = Field(0.2, ge=0, lt=1, description="Change of brightness, contrast and colour.")
