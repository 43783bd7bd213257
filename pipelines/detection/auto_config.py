"""What a detection run leaves open, chosen from the training images: scales, window, stride, crops, steps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

import numpy as np

from pipelines.data import Split, Splits
from pipelines.data.object_sizes import SPREAD, choose_scales
from pipelines.detection.config import DetectionConfig
from pipelines.detection.crops import CropSpec
from pipelines.detection.sliding_window import ScanSpec
from pipelines.images.boxes import Objects
from pipelines.images.decoding import decode
from pipelines.models.detectors.window_detector import window_for
from pipelines.training.task import Choice

__all__ = ["choose"]

_SAMPLE = 200
_STEPS = 6000
_STEP_PIXELS = 1.0e5  # of the crops of a step; many small steps learn more than few large ones
_LEARNING_RATE = 8e-3  # of AdamW; the normalised network stands it, and learns more in the same time
_PYRAMID_OF_WINDOWS = tuple(1.25**k for k in range(1, -6, -1))


def choose(config: DetectionConfig, splits: Splits[Objects]) -> Choice:
    """Fill in what the user left open, from the training boxes.

    Scales and stride are those of :func:`pipelines.data.object_sizes.choose_scales`. The window holds 95 of 100 objects
    of the largest class, with a tenth more around them, or is as large as the windows that were cut out. These say
    nothing of sizes, so that their pyramid goes from 1.25 down to a third.

    Args:
        config: as the user gave it.
        splits: the data.

    Returns:
        The configuration with nothing left open, how the detector looks, and what crops it is trained on.
    """
    seen = _look_at(splits.train)
    scales = choose_scales(
        seen.sizes, seen.class_ids, windows=seen.are_windows, scale=config.scale, stride=config.stride
    )
    scale, stride = scales.scale, scales.stride
    around = 1.0 if seen.are_windows else 1.1
    wanted = config.window or (around * scales.largest[0], around * scales.largest[1])
    window = window_for(wanted, stride, config.conv, config.pool, config.norm, config.backbone)
    factors = _PYRAMID_OF_WINDOWS if seen.are_windows else scales.levels
    pyramid = config.scales or tuple(round(scale * factor, 4) for factor in factors)
    channels = config.channels or (1 if seen.grey else 3)
    height, width = (float(side) * scale for side in np.median(seen.sizes, 0))
    spec = ScanSpec(window, stride, channels, (height, width), pyramid, seen.inside)
    field = 2 * np.array(window) if seen.are_windows else np.median(seen.images, 0) * scale - window
    rows, columns = np.clip(field // stride + 1, 7, 320 // stride).astype(int).tolist()
    crop = CropSpec(
        spec,
        (rows, columns),
        zoom=config.zoom or (1.15 if seen.are_windows else 1.25),
        flip=splits.mirrored if config.flip is None else config.flip,
        turn=config.turn,
        light=config.light,
        montage=seen.are_windows,
        levels=(1.0,) if config.scales else scales.levels,
        largest=1.5 * SPREAD * scales.small,
    )
    batch_size = min(config.batch_size or int(np.clip(_STEP_PIXELS // np.prod(crop.size), 4, 64)), splits.train.size)
    chosen = {
        "scale": scale,
        "window": window,
        "stride": stride,
        "channels": channels,
        "scales": pyramid,
        "zoom": crop.zoom,
        "flip": crop.flip,
        "batch_size": batch_size,
        "learning_rate": config.learning_rate or (_LEARNING_RATE if config.optimizer != "sgd" else None),
        "epochs": config.epochs or int(np.clip(round(_STEPS * batch_size / splits.train.size), 8, 150)),
    }
    return Choice(config.model_copy(update=chosen), spec, crop)


@dataclass(frozen=True)
class _Seen:
    """What the training images are like: heights and widths of objects and images, the objects' classes, whether all is
    grey, whether an image is all object or all background, and whether all boxes are known to end with the image.
    """

    sizes: np.ndarray
    class_ids: np.ndarray
    images: np.ndarray
    grey: bool
    are_windows: bool
    inside: bool


def _look_at(split: Split[Objects]) -> _Seen:
    sample = list(islice(split.examples(), 2000))
    truths = [example.label for example in sample]
    boxes = np.concatenate([truth.boxes[~truth.ignored] for truth in truths])
    class_ids = np.concatenate([truth.class_ids[~truth.ignored] for truth in truths])
    some = sample[:: max(1, len(sample) // _SAMPLE)]
    pictures = [decode(example.image, example.id) for example in some]
    shapes = np.array([picture.shape[:2] for picture in pictures], float)
    grey = all((picture[..., :1] == picture).all() for picture in pictures)
    filled = [
        len(example.label) == 1 and np.allclose(example.label.boxes[0], [0, 0, shape[1], shape[0]])
        for example, shape in zip(some, shapes, strict=True)
        if len(example.label)
    ]
    sizes = np.stack([boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], axis=1)
    inside = all(
        (example.label.boxes >= 0).all() and (example.label.boxes <= [*shape[::-1], *shape[::-1]]).all()
        for example, shape in zip(some, shapes, strict=True)
    )
    are_windows = bool(filled) and all(filled)
    return _Seen(sizes, class_ids, shapes, grey, are_windows, inside and not are_windows)
