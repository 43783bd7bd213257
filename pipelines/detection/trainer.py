"""Detection: boxes around objects, found by looking at every window of an image.

::

    from pipelines import detection

    trained = detection.train("digit-scenes", data="scenes")
"""

from __future__ import annotations

import dataclasses
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
from pipelines.artifacts.serving_module import ScanServing, ServingModule
from pipelines.core import devices
from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.data import Example, Split, Splits
from pipelines.data import detection as sources
from pipelines.detection.auto_config import choose
from pipelines.detection.crops import CropSpec, Scene, crops, decode_scenes
from pipelines.detection.cut_paste import Montage
from pipelines.detection.evaluation.average_precision import precision_recall, voc_area
from pipelines.detection.evaluation.metrics import best_point
from pipelines.detection.evaluation.report import Answered, report
from pipelines.detection.loss import detection_loss, detection_metrics
from pipelines.detection.sliding_window import ScanSpec, Thresholds, scan, suppress
from pipelines.images import preprocessing as images
from pipelines.images.boxes import Detected, Objects
from pipelines.models.detectors.window_detector import detector
from pipelines.reporting.report import Report
from pipelines.training import loop
from pipelines.training.cached_dataset import mean_and_deviation
from pipelines.training.config import DetectionConfig
from pipelines.training.loop import History, Loss, Metric, Plan
from pipelines.training.session import Trained, check_name, ended, settings

__all__ = [
    "Trained",
    "answers",
    "build",
    "choose",
    "evaluate",
    "load",
    "loss",
    "metrics",
    "name",
    "rebuild",
    "records",
    "serving",
    "train",
]

name = "detection"

_OVERLAPS = (0.3, 0.4, 0.5, 0.6)
_APART = 0.3
"""The overlap from which on the weaker of two boxes is dropped, and what it is chosen from where images tell."""
_WEAK = 0.02
"""The smallest score of what is measured: a curve of precision and recall ends where detections do."""


# === Hooks ===


def load(config: DetectionConfig) -> Splits[Objects]:
    """Load the images with boxes that a configuration names."""
    return sources.load(config.data, config.data_dir, config.seed, config.test)


def build(
    config: DetectionConfig, spec: ScanSpec, classes: int, mean: float = 127.5, deviation: float = 64.0
) -> keras.Model:
    """Build the network of a configuration; see :func:`pipelines.models.detectors.window_detector.detector`."""
    return detector(spec.window, spec.channels, classes, spec.stride, config.conv, config.pool, mean, deviation)


def loss(config: DetectionConfig, spec: ScanSpec) -> Loss:
    """Return the loss; see :func:`pipelines.detection.loss.detection_loss`."""
    return detection_loss(spec)


def metrics(config: DetectionConfig, spec: ScanSpec) -> dict[str, Metric]:
    """Return what is followed in training; see :func:`pipelines.detection.loss.detection_metrics`."""
    return detection_metrics(spec)


def rebuild(card: ModelCard) -> keras.Model:
    """Build the network of a saved model again; its weights are not those of the saved model yet."""
    config, spec = DetectionConfig.parse(**card.training), ScanSpec.from_json(card.input)
    return build(config, spec, len(card.classes), **card.standardisation)


def serving(model: keras.Model, classes: Sequence[str], card: dict[str, Any]) -> Callable[[Path], ServingModule]:
    """Return what makes the graphs of a saved model, from the file of its labels.

    Args:
        model: the network.
        classes: names.
        card: holds ``input`` and ``training``, as on the card of a saved model.
    """
    options = card["input"]["options"]
    thresholds = Thresholds(
        score=float(options["score_threshold"]),
        overlap=float(options["overlap_threshold"]),
        softness=float(options["soft_nms_sigma"]),
    )
    spec, scale = ScanSpec.from_json(card["input"]), float(card["training"]["scale"])
    return lambda labels: ScanServing(model, labels, spec, thresholds, tuple(classes), scale)


def evaluate(
    served: ServedModel,
    split: Split[Objects],
    reporter: Reporter | None = None,
    protocol: str = "coco",
    **options: float | tuple[float, ...],
) -> Report:
    """Measure a saved model on a split, through its own signature, from the encoded bytes on.

    Args:
        served: the model.
        split: its class ids are indices into the model's classes.
        reporter: where progress is shown.
        protocol: "coco", or "uiuc" for the figures at equal error as well.
        **options: optional inputs of the signature, such as ``scales`` or ``overlap_threshold``.

    Returns:
        Average precision by several definitions, the best threshold, kinds of errors, with pictures.

    Raises:
        DataError: if the split is empty, or an image cannot be decoded.
    """
    if not split.size:
        raise DataError(f"the {split.name} part holds no image")
    card = served.card
    title = f"{card.name}/{card.version} on the {split.name} images"
    with (reporter or Reporter()).meter(f"answering {split.name} images", split.size) as meter:

        def answered() -> Iterator[Answered]:
            for example in split.examples():
                found = answers(served, [example.image], [example.id], score_threshold=_WEAK, **options)[0]
                yield Answered(example.id, example.image, example.label, found)
                meter.advance()

        return report(title, answered(), card.classes, protocol)


def answers(
    served: ServedModel, images: list[bytes], names: list[str], **options: float | tuple[float, ...]
) -> list[Detected]:
    """Return what a saved model finds in encoded images.

    Raises:
        DataError: naming the first image that cannot be decoded.
    """
    try:
        return records(served(images, **options))
    except tf.errors.InvalidArgumentError:
        if len(images) == 1:
            raise DataError(f"{names[0]}: is not an image that can be decoded") from None
        pairs = zip(images, names, strict=True)
        return [found for image, name in pairs for found in answers(served, [image], [name], **options)]


def records(outputs: dict[str, np.ndarray]) -> list[Detected]:
    """Turn the arrays of a signature, filled up to the same length, into one record an image."""
    parts = zip(*(outputs[key] for key in ("boxes", "scores", "class_ids", "num_detections")), strict=True)
    return [Detected(boxes[:n], scores[:n], class_ids[:n].astype(np.int32)) for boxes, scores, class_ids, n in parts]


# === Training ===


def train(
    name: str,
    *,
    root: Path | str = "saved_models",
    reporter: Reporter | None = None,
    **options: Any,
) -> Trained:
    """Train a detector and export it as the next version of a saved model.

    Args:
        name: of the saved model; its directory under ``root`` is made, or gets another version.
        root: the folder of all saved models.
        reporter: where progress is shown; standard error by default.
        **options: the fields of :class:`pipelines.training.config.DetectionConfig`. What is left out is chosen from the data.

    Returns:
        Where the saved model is, its card, and how training went.

    Raises:
        ConfigError: for an option that does not exist or does not fit.
        DataError: for data that cannot be used, naming the file.
    """
    check_name(name)
    config = DetectionConfig.parse(**options)
    reporter = reporter or Reporter()
    strategy = devices.strategy()
    with settings(config):
        splits = load(config)
        config, spec, crop = choose(config, splits)
        reporter.say(_plan_in_words(config, splits, spec, crop, devices.describe(strategy)))
        scale = float(config.scale or 1.0)
        scenes = decode_scenes(splits.train, scale, spec.channels, reporter)
        held_out = decode_scenes(splits.validation, scale, spec.channels, reporter)
        mean, deviation = mean_and_deviation([scene.pixels for scene in scenes])
        with strategy.scope():
            model = build(config, spec, len(splits.classes), mean, deviation)
        size = config.batch_size
        assert size is not None
        assert config.epochs is not None
        composed = [_compose(part, crop) for part in (scenes, held_out)]
        plan = Plan(
            train=lambda start: crops(scenes, crop, size, config.seed, training=True, compose=composed[0], start=start),
            validation=crops(held_out, crop, size, config.seed, training=False, compose=composed[1]),
            steps_per_epoch=max(1, len(scenes) // size),
            batch_size=size,
            epochs=config.epochs,
        )
        history = loop.fit(
            model,
            loss(config, spec),
            metrics(config, spec),
            plan,
            config,
            strategy=strategy,
            reporter=reporter,
            identity=config.identity() | {"data": splits.fingerprint},
        )
    # The saved model computes in float32 and on whatever device serves it, however it was trained.
    final = build(config, spec, len(splits.classes), mean, deviation)
    final.set_weights(model.get_weights())
    served = _export(final, spec, crop, config, splits, history, name, Path(root), reporter)
    reporter.say(_outcome_in_words(served, history))
    return Trained(served.directory, served.card, history)


def _compose(scenes: list[Scene], crop: CropSpec) -> Callable[[Scene, np.random.Generator], Scene] | None:
    """Return what puts windows together; None for whole images."""
    if not crop.montage:
        return None
    height, width = (round(side * 1.2) for side in crop.size)
    return Montage(scenes, (height, width), flip=crop.flip).draw


def _export(
    model: keras.Model,
    spec: ScanSpec,
    crop: CropSpec,
    config: DetectionConfig,
    splits: Splits[Objects],
    history: History,
    name: str,
    root: Path,
    reporter: Reporter,
) -> ServedModel:
    def measure(served: ServedModel) -> dict[str, Any]:
        return {part: evaluate(served, splits[part], reporter).figures for part in ("validation", "test")}

    # Windows that were cut out do not show how near to each other objects may be.
    overlaps = (_APART,) if crop.montage else _OVERLAPS
    thresholds = _best_thresholds(model, spec, splits.validation, overlaps, reporter)
    options = {
        "score_threshold": thresholds.score,
        "overlap_threshold": thresholds.overlap,
        "soft_nms_sigma": thresholds.softness,
        "scales": spec.scales,
    }
    classes = splits.classes
    kind = "grey" if spec.channels == 1 else "colour"
    card = {
        "task": "detection",
        "name": name,
        "input": spec.to_json() | {"options": options, "bytes_per_pixel": bytes_per_pixel(model)},
        "description": f"Finds {', '.join(classes[:12])} in {kind} images like those of {splits.source}.",
        # The name of the data, not where it lay on one machine.
        "training": config.identity() | {"data": splits.source},
        "history": dataclasses.asdict(history),
        "data": {
            "source": splits.source,
            "fingerprint": splits.fingerprint,
            "images": {part: splits[part].size for part in data.SPLIT_NAMES},
        },
    }
    golden = [example.image for example in _with_objects(splits.validation, 4)]
    return writer.export(serving(model, classes, card), model, classes, golden, card, root, measure)


def _best_thresholds(
    model: keras.Model, spec: ScanSpec, split: Split[Objects], overlaps: Sequence[float], reporter: Reporter
) -> Thresholds:
    """Choose on validation images: the overlap of the best average precision, and the score where precision and recall
    are best with it.
    """
    defaults = Thresholds()

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def look(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        network = lambda pixels: model(pixels, training=False)  # noqa: E731
        return scan(images.decode(data), network, spec, tf.constant(spec.scales), tf.constant(_WEAK))

    @tf.function(reduce_retracing=True)
    def kept(boxes: tf.Tensor, scores: tf.Tensor, class_ids: tf.Tensor, overlap: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return suppress(boxes, scores, class_ids, overlap, tf.constant(defaults.softness), defaults.count)

    truths: list[Objects] = []
    found: dict[float, list[Detected]] = {overlap: [] for overlap in overlaps}
    with reporter.meter("choosing the smallest score", split.size) as meter:
        for example in split.examples():
            truths.append(example.label)
            seen = look(example.image)
            for overlap, images_ in found.items():
                images_.append(Detected(*(part.numpy() for part in kept(*seen, tf.constant(overlap)))))
            meter.advance()
    curves = {overlap: precision_recall(truths, images_) for overlap, images_ in found.items()}
    # Among equals, the one nearest to the usual choice.
    overlap = max(curves, key=lambda one: (round(voc_area(curves[one]) or 0.0, 4), -abs(one - defaults.overlap)))
    best = best_point(curves[overlap]).threshold
    return Thresholds(score=defaults.score if best is None else round(best, 3), overlap=overlap)


def _with_objects(split: Split[Objects], count: int) -> list[Example[Objects]]:
    return list(islice((example for example in split.examples() if len(example.label)), count))


def _plan_in_words(
    config: DetectionConfig, splits: Splits[Objects], spec: ScanSpec, crop: CropSpec, device: str
) -> str:
    counts = ", ".join(f"{splits[part].size:,} {part}" for part in data.SPLIT_NAMES)
    return (
        f"{splits.source}: {counts} images, {len(splits.classes)} classes\n"
        f"images are scaled by {config.scale:.3g}; a window of {spec.window[0]} x {spec.window[1]} pixels in "
        f"{'grey' if spec.channels == 1 else 'colour'} every {spec.stride} pixels (conv {config.conv}, pool "
        f"{config.pool}); pyramid of {', '.join(f'{scale:.3g}' for scale in spec.scales)}\n"
        f"at most {config.epochs} epochs of batches of {config.batch_size} crops of {crop.size[0]} x {crop.size[1]}, "
        f"on {device}"
    )


def _outcome_in_words(served: ServedModel, history: History) -> str:
    test = served.card.metrics["test"]
    return (
        f"{ended(history)}\n"
        f"test AP {_share(test['ap'])}, AP at IoU 0.5 {_share(test['ap50'])}, {test['images']:,} images\n"
        f"saved model: {served.directory}"
    )


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
