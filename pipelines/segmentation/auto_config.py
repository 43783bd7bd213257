"""What a segmentation run leaves open, chosen from the training images."""

from __future__ import annotations

import math
from itertools import islice

import keras
import numpy as np

from pipelines.data import Split, Splits
from pipelines.images.decoding import decode
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.crops import MaskCropSpec
from pipelines.segmentation.dense_prediction import LabelSpec
from pipelines.segmentation.network import build
from pipelines.training.task import Choice

__all__ = ["choose"]

_LOOKED_AT = 2000
_SAMPLE = 200
_STEPS = 4000
_STEP_PIXELS = 1.0e5
_LEARNING_RATE = 5e-3  # of AdamW
_LONGEST = 512
"""The longer side that images are scaled down to, where they are larger: they are cut into crops of half that."""
_CROP = 256
_EVEN = 1024
"""A size that all strides divide, where the padding of a strided convolution is the same as for any such size."""


def choose(config: SegmentationConfig, splits: Splits[np.ndarray]) -> Choice:
    """Fill in what the user left open, from the training images.

    Images of more than 512 pixels on their longer side are scaled down to that. A crop is an image, or 256 x 256 pixels
    of it where it is larger.

    Args:
        config: as the user gave it.
        splits: the data.

    Returns:
        The configuration with nothing left open, how the network looks, and what crops it is trained on.
    """
    shapes, grey = _look_at(splits.train)
    height, width = np.median(shapes, axis=0)
    scale = config.scale or min(1.0, _LONGEST / float(max(height, width)))
    channels = config.channels or (1 if grey else 3)
    multiple, stride = _geometry(build(config, LabelSpec(scale, channels, 1, 1), len(splits.classes)))
    spec = LabelSpec(scale, channels, multiple, stride)
    sides = config.crop or tuple(min(round(float(side) * scale), _CROP) for side in (height, width))
    size = tuple(multiple * math.ceil(side / multiple) for side in sides)
    crop = MaskCropSpec(
        size,  # type: ignore[arg-type]
        channels,
        zoom=config.zoom,
        flip=splits.mirrored if config.flip is None else config.flip,
        turn=config.turn,
        light=config.light,
        elastic=config.elastic,
    )
    batch_size = min(config.batch_size or int(np.clip(_STEP_PIXELS // np.prod(size), 4, 64)), splits.train.size)
    chosen = {
        "scale": scale,
        "channels": channels,
        "crop": size,
        "flip": crop.flip,
        "batch_size": batch_size,
        "learning_rate": config.learning_rate or (_LEARNING_RATE if config.optimizer != "sgd" else None),
        "epochs": config.epochs or int(np.clip(round(_STEPS * batch_size / splits.train.size), 8, 150)),
    }
    return Choice(config.model_copy(update=chosen), spec, crop)


def _geometry(model: keras.Model) -> tuple[int, int]:
    """Return what heights and widths must be multiples of, and the stride of the output, in pixels."""
    from layers import receptive_fields

    jumps = [field.axes[0].jump for field in receptive_fields(model, input_sizes=(_EVEN, _EVEN)) if field.axes]
    multiple = math.ceil(max(jumps))
    side = 2 * multiple
    rows = model.compute_output_shape((1, side, side, model.input_shape[-1]))[1]
    return multiple, side // rows


def _look_at(split: Split[np.ndarray]) -> tuple[np.ndarray, bool]:
    """Return heights and widths of some images, and whether all are grey."""
    count = min(split.size, _LOOKED_AT)
    shapes, grey = [], True
    for example in islice(split.examples(), 0, count, max(1, count // _SAMPLE)):
        picture = decode(example.image, example.id)
        shapes.append(picture.shape[:2])
        grey = grey and bool((picture[..., :1] == picture).all())
    return np.array(shapes, float), grey
