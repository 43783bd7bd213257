"""Detection: boxes around objects, found by looking at every window of an image.

::

    from pipelines import detection

    trained = detection.train("digit-scenes", data="scenes")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines import data
from pipelines.artifacts import writer
from pipelines.artifacts.memory import bytes_per_pixel
from pipelines.artifacts.served_model import ServedModel
from pipelines.core import devices
from pipelines.core.progress import Reporter
from pipelines.data import Example, Split, Splits
from pipelines.detection.auto_config import choose
from pipelines.detection.config import DetectionConfig
from pipelines.detection.crops import CropSpec, Scene, crops, decode_scenes
from pipelines.detection.cut_paste import Montage
from pipelines.detection.evaluation.average_precision import precision_recall, voc_area
from pipelines.detection.evaluation.metrics import best_point
from pipelines.detection.evaluator import WEAK, evaluate
from pipelines.detection.sliding_window import ScanSpec, Thresholds, scan, suppress
from pipelines.detection.task import build, load, loss, metrics, serving
from pipelines.images import preprocessing as images
from pipelines.images.boxes import Detected, Objects
from pipelines.training import loop
from pipelines.training.cached_dataset import mean_and_deviation
from pipelines.training.loop import History, Plan
from pipelines.training.session import Trained, check_name, ended, settings

__all__ = ["Trained", "choose", "train"]


_OVERLAPS = (0.3, 0.4, 0.5, 0.6)
_APART = 0.3
"""The overlap from which on the weaker of two boxes is dropped, and what it is chosen from where images tell."""


# === Hooks ===


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
        **options: the fields of ``DetectionConfig``. What is left out is chosen from the data.

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
        return scan(images.decode(data), network, spec, tf.constant(spec.scales), tf.constant(WEAK))

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
