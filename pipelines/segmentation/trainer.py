"""Segmentation: the class of every pixel of an image of any size.

::

    from pipelines import segmentation

    trained = segmentation.train("digit-segmentation", data="scenes")
"""

from __future__ import annotations

import dataclasses
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipelines import data
from pipelines.artifacts import writer
from pipelines.artifacts.memory import bytes_per_pixel
from pipelines.artifacts.served_model import ServedModel
from pipelines.core import devices
from pipelines.core.progress import Reporter
from pipelines.data import Example, Split, Splits
from pipelines.segmentation.auto_config import choose
from pipelines.segmentation.config import SegmentationConfig
from pipelines.segmentation.crops import MaskScene, decode_masks, mask_crops, whole
from pipelines.segmentation.dense_prediction import LabelSpec
from pipelines.segmentation.evaluator import evaluate
from pipelines.segmentation.loss import median_frequency_weights
from pipelines.segmentation.task import build, load, loss, metrics, serving
from pipelines.segmentation.tiling import halo_of
from pipelines.training import loop
from pipelines.training.cached_dataset import mean_and_deviation
from pipelines.training.loop import History, Plan
from pipelines.training.session import Trained, check_name, ended, settings

__all__ = ["Trained", "train"]


# === Hooks ===


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
        **options: the fields of ``SegmentationConfig``. What is left out is chosen from the data.

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
