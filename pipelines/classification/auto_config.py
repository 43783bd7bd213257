"""What a classification run leaves open, chosen from the training images."""

from __future__ import annotations

from itertools import islice

import numpy as np

from pipelines.classification.config import ClassificationConfig
from pipelines.data import Example, Splits
from pipelines.images.decoding import decode
from pipelines.images.preprocessing import ImageSpec
from pipelines.models.backbones import find_backbone
from pipelines.training.task import Choice

__all__ = ["choose", "standardisation"]

_SAMPLE = 64
_STEPS = 5000


def choose(config: ClassificationConfig, splits: Splits[int]) -> Choice:
    """Fill in what the user left open, from the data.

    Args:
        config: as the user gave it.
        splits: the data.

    Returns:
        The configuration with nothing left open, and what the network sees: grey if all of some training
        images are; their median size, as far as the model's own default goes.
    """
    sample = list(islice(splits.train.examples(), _SAMPLE))
    heights, widths, grey = _look_at(sample)
    native = (int(np.median(heights)), int(np.median(widths)))
    backbone = find_backbone(config.model)
    size = config.image_size or backbone.default_size(native)
    channels = config.channels or (1 if grey else 3)
    batch_size = min(config.batch_size or (128 if splits.train.size >= 10_000 else 32), splits.train.size)
    steps = splits.train.size // batch_size
    chosen = {
        "image_size": size,
        "channels": channels,
        "batch_size": batch_size,
        "epochs": config.epochs or int(np.clip(round(_STEPS / steps), 12, 60)),
        "pool": config.pool or backbone.pool,
        "flip": splits.mirrored if config.flip is None else config.flip,
    }
    spec = ImageSpec(*size, channels=channels, resize=config.resize)
    return Choice(config.model_copy(update=chosen), spec)


def _look_at(sample: list[Example[int]]) -> tuple[list[int], list[int], bool]:
    arrays = [decode(example.image, example.id) for example in sample]
    grey = all(np.array_equal(array[..., 0], array[..., 1]) and np.array_equal(array[..., 0], array[..., 2])
               for array in arrays)  # fmt: skip
    return [len(array) for array in arrays], [array.shape[1] for array in arrays], grey


def standardisation(pixels: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of uint8 images (n, height, width, channels), as seen in up to 2,000."""
    sample = pixels[:: max(1, len(pixels) // 2000)].astype(np.float32)
    return float(sample.mean()), max(float(sample.std()), 1.0)
