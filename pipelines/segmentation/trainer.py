"""Segmentation: the class of every pixel of an image of any size.

::

    from pipelines import segmentation

    trained = segmentation.train("digit-segmentation", data="scenes")
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines import data
from pipelines.artifacts import writer
from pipelines.artifacts.memory import bytes_per_pixel
from pipelines.artifacts.served_model import ModelCard, ServedModel
from pipelines.artifacts.serving_module import MaskServing, ServingModule
from pipelines.core import devices
from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.data import Example, Split, Splits
from pipelines.data import segmentation as sources
from pipelines.images import image_io
from pipelines.models import SEGMENTERS
from pipelines.reporting.report import Report
from pipelines.segmentation.crops import MaskCropSpec, MaskScene, decode_masks, mask_crops, whole
from pipelines.segmentation.dense_prediction import LabelSpec
from pipelines.segmentation.evaluation.report import AnsweredMask, report
from pipelines.segmentation.loss import mask_loss, mask_metrics, median_frequency_weights
from pipelines.segmentation.tiling import halo_of
from pipelines.training import loop
from pipelines.training.cached_dataset import mean_and_deviation
from pipelines.training.config import SegmentationConfig
from pipelines.training.loop import History, Loss, Metric, Plan
from pipelines.training.session import Trained, check_name, ended, settings

__all__ = [
    "Trained",
    "build",
    "choose",
    "evaluate",
    "load",
    "loss",
    "metrics",
    "name",
    "rebuild",
    "serving",
    "train",
]

name = "segmentation"

_LOOKED_AT, _SAMPLE = 2000, 200
_STEPS = 4000
_STEP_PIXELS = 1.0e5
_LEARNING_RATE = 5e-3  # of AdamW
_LONGEST = 512
"""The longer side that images are scaled down to, where they are larger: they are cut into crops of half that."""
_CROP = 256
_EVEN = 1024
"""A size that all strides divide, where the padding of a strided convolution is the same as for any such size."""


# === Hooks ===


def load(config: SegmentationConfig) -> Splits[np.ndarray]:
    """Load the images with masks that a configuration names."""
    return sources.load(config.data, config.data_dir, config.seed, config.test, config.ignore)


def build(
    config: SegmentationConfig, spec: LabelSpec, classes: int, mean: float = 127.5, deviation: float = 64.0
) -> keras.Model:
    """Build the network of a configuration; see :mod:`pipelines.models`."""
    own = {"fcn": ("head",), "unet": ("filters", "depth", "stride", "upsampling"), "aspp": ("image_pooling",)}
    further = {option: getattr(config, option) for option in own.get(config.model, ())}
    return SEGMENTERS[config.model](spec.channels, classes, config.conv, config.pool, mean, deviation, **further)


def loss(config: SegmentationConfig, spec: LabelSpec, weights: np.ndarray) -> Loss:
    """Return the loss; see :func:`pipelines.segmentation.loss.mask_loss`."""
    return mask_loss(config.loss, weights, spec.stride)


def metrics(config: SegmentationConfig, spec: LabelSpec, classes: int) -> dict[str, Metric]:
    """Return what is followed in training; see :func:`pipelines.segmentation.loss.mask_metrics`."""
    return mask_metrics(classes, spec.stride)


def rebuild(card: ModelCard) -> keras.Model:
    """Build the network of a saved model again; its weights are not those of the saved model yet."""
    config, spec = SegmentationConfig.parse(**card.training), LabelSpec.from_json(card.input)
    return build(config, spec, len(card.classes), **card.standardisation)


def serving(model: keras.Model, classes: Sequence[str], card: dict[str, Any]) -> Callable[[Path], ServingModule]:
    """Return what makes the graphs of a saved model, from the file of its labels.

    Args:
        model: the network.
        classes: names.
        card: holds ``input``, as on the card of a saved model.
    """
    return lambda labels: MaskServing(model, labels, LabelSpec.from_json(card["input"]))


def evaluate(served: ServedModel, split: Split[np.ndarray], reporter: Reporter | None = None) -> Report:
    """Measure a saved model on a split, through its own signature, from the encoded bytes on.

    Args:
        served: the model.
        split: its class ids are indices into the model's classes.
        reporter: where progress is shown.

    Returns:
        Mean intersection over union and more, with pictures.

    Raises:
        DataError: if the split is empty, or an image cannot be decoded.
    """
    if not split.size:
        raise DataError(f"the {split.name} part holds no image")
    card = served.card
    title = f"{card.name}/{card.version} on the {split.name} images"
    with (reporter or Reporter()).meter(f"answering {split.name} images", split.size) as meter:

        def answered() -> Iterator[AnsweredMask]:
            for example in split.examples():
                try:
                    found = served([example.image])
                except tf.errors.InvalidArgumentError:
                    raise DataError(f"{example.id}: is not an image that can be decoded") from None
                yield AnsweredMask(
                    example.id, example.image, example.label, found["class_map"][0], found["confidence"][0]
                )
                meter.advance()

        return report(title, answered(), card.classes)


# === Training ===


def train(
    name: str,
    *,
    root: Path | str = "saved_models",
    reporter: Reporter | None = None,
    **options: Any,
) -> Trained:
    """Train a segmentation network and export it as the next version of a saved model.

    Args:
        name: of the saved model; its directory under ``root`` is made, or gets another version.
        root: the folder of all saved models.
        reporter: where progress is shown; standard error by default.
        **options: the fields of :class:`pipelines.training.config.SegmentationConfig`. What is left out is chosen from the data.

    Returns:
        Where the saved model is, its card, and how training went.

    Raises:
        ConfigError: for an option that does not exist or does not fit.
        DataError: for data that cannot be used, naming the file.
    """
    check_name(name)
    config = SegmentationConfig.parse(**options)
    reporter = reporter or Reporter()
    strategy = devices.strategy()
    with settings(config):
        splits = load(config)
        config, spec, crop = choose(config, splits)
        reporter.say(_plan_in_words(config, splits, spec, devices.describe(strategy)))
        scenes = decode_masks(splits.train, spec.scale, spec.channels, reporter)
        held_out = decode_masks(splits.validation, spec.scale, spec.channels, reporter)
        mean, deviation = mean_and_deviation([scene.pixels for scene in scenes])
        weights = _weights(config, scenes, len(splits.classes))
        with strategy.scope():
            model = build(config, spec, len(splits.classes), mean, deviation)
        size = config.batch_size
        assert size is not None
        assert config.epochs is not None
        plan = Plan(
            train=lambda start: mask_crops(scenes, crop, size, config.seed, start=start),
            validation=whole(held_out, spec.multiple, size),
            steps_per_epoch=max(1, len(scenes) // size),
            batch_size=size,
            epochs=config.epochs,
        )
        history = loop.fit(
            model,
            loss(config, spec, weights),
            metrics(config, spec, len(splits.classes)),
            plan,
            config,
            strategy=strategy,
            reporter=reporter,
            identity=config.identity() | {"data": splits.fingerprint},
        )
    # The saved model computes in float32 and on whatever device serves it, however it was trained.
    final = build(config, spec, len(splits.classes), mean, deviation)
    final.set_weights(model.get_weights())
    served = _export(final, spec, config, splits, history, name, Path(root), reporter)
    reporter.say(_outcome_in_words(served, history))
    return Trained(served.directory, served.card, history)


def choose(
    config: SegmentationConfig, splits: Splits[np.ndarray]
) -> tuple[SegmentationConfig, LabelSpec, MaskCropSpec]:
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
    return config.model_copy(update=chosen), spec, crop


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
        picture = np.asarray(image_io.open_rgb(example.image, name=example.id))
        shapes.append(picture.shape[:2])
        grey = grey and bool((picture[..., :1] == picture).all())
    return np.array(shapes, float), grey


def _weights(config: SegmentationConfig, scenes: list[MaskScene], classes: int) -> np.ndarray:
    weights = median_frequency_weights([scene.mask for scene in scenes], classes)
    return {"median": weights, "auto": np.sqrt(weights), "none": np.ones_like(weights)}[config.class_weights]


def _export(
    model: keras.Model,
    spec: LabelSpec,
    config: SegmentationConfig,
    splits: Splits[np.ndarray],
    history: History,
    name: str,
    root: Path,
    reporter: Reporter,
) -> ServedModel:
    def measure(served: ServedModel) -> dict[str, Any]:
        return {part: evaluate(served, splits[part], reporter).figures for part in ("validation", "test")}

    kind = "grey" if spec.channels == 1 else "colour"
    card = {
        "task": "segmentation",
        "name": name,
        "input": spec.to_json()
        | {"halo": halo_of(model, spec.multiple).to_json(), "bytes_per_pixel": bytes_per_pixel(model)},
        "description": f"Tells {', '.join(splits.classes[:12])} apart in {kind} images like those of {splits.source}.",
        # The name of the data, not where it lay on one machine.
        "training": config.identity() | {"data": splits.source},
        "history": dataclasses.asdict(history),
        "data": {
            "source": splits.source,
            "fingerprint": splits.fingerprint,
            "images": {part: splits[part].size for part in data.SPLIT_NAMES},
        },
    }
    golden = [example.image for example in _first(splits.validation, 2)]
    return writer.export(serving(model, splits.classes, card), model, splits.classes, golden, card, root, measure)


def _first(split: Split[np.ndarray], count: int) -> list[Example[np.ndarray]]:
    return list(islice(split.examples(), count))


def _plan_in_words(config: SegmentationConfig, splits: Splits[np.ndarray], spec: LabelSpec, device: str) -> str:
    counts = ", ".join(f"{splits[part].size:,} {part}" for part in data.SPLIT_NAMES)
    height, width = config.crop or (0, 0)
    return (
        f"{splits.source}: {counts} images, {len(splits.classes)} classes\n"
        f"{config.model} (conv {config.conv}, pool {config.pool}, loss {'+'.join(config.loss)}) on images scaled by "
        f"{spec.scale:.3g}, in {'grey' if spec.channels == 1 else 'colour'}; an answer at every "
        f"{'pixel' if spec.stride == 1 else f'{spec.stride} pixels'}\n"
        f"at most {config.epochs} epochs of batches of {config.batch_size} crops of {height} x {width}, on {device}"
    )


def _outcome_in_words(served: ServedModel, history: History) -> str:
    test = served.card.metrics["test"]
    return (
        f"{ended(history)}\n"
        f"test mean IoU {test['mean_iou']:.4f}, pixel accuracy {test['pixel_accuracy']:.2%}, "
        f"{test['images']:,} images\n"
        f"saved model: {served.directory}"
    )
