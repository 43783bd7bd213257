"""Classification: one class for an image.

::

    from pipelines import classification

    trained = classification.train(data="digits", model="convnet", name="digits")
"""

from __future__ import annotations

import dataclasses
import functools
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines import data
from pipelines.artifacts import writer
from pipelines.artifacts.served_model import ServedModel
from pipelines.classification.auto_config import SAMPLE, choose, standardisation
from pipelines.classification.config import ClassificationConfig
from pipelines.classification.evaluator import evaluate
from pipelines.classification.task import build, load, loss, metrics, serving
from pipelines.core import devices
from pipelines.core.progress import Reporter
from pipelines.data import Splits
from pipelines.images.preprocessing import ImageSpec
from pipelines.training import augmentation, loop
from pipelines.training.cached_dataset import Pixels, decode_split, in_order, shuffled
from pipelines.training.loop import History, Plan
from pipelines.training.session import Trained, check_name, ended, settings

__all__ = ["Trained", "plan", "train"]


_UNBALANCED = 1.5


# === Hooks ===


# === Training ===


def train(
    name: str,
    *,
    root: Path | str = "saved_models",
    reporter: Reporter | None = None,
    **options: Any,
) -> Trained:
    """Train a classifier and export it as the next version of a saved model.

    Args:
        name: of the saved model; its directory under ``root`` is made, or gets another version.
        root: the folder of all saved models.
        reporter: where progress is shown; standard error by default.
        **options: the fields of ``ClassificationConfig``, such as ``data``, ``model``, ``conv``, ``pool``, ``epochs``.
            What is left out is chosen from the data.

    Returns:
        Where the saved model is, its card, and how training went.

    Raises:
        ConfigError: for an option that does not exist or does not fit.
        DataError: for data that cannot be used, naming the file.

    Example:
        trained = train("digits", data="digits", model="convnet")
        print(trained.path, trained.card.metrics["test"]["accuracy"])
    """
    check_name(name)
    config = ClassificationConfig.parse(**options)
    reporter = reporter or Reporter()
    strategy = devices.strategy()
    with settings(config):
        splits = load(config)
        sample = list(islice(splits.train.examples(), SAMPLE))
        config, spec = choose(config, splits, sample)
        reporter.say(_plan_in_words(config, splits, spec, devices.describe(strategy)))
        train_pixels = decode_split(splits.train, spec, reporter)
        validation_pixels = decode_split(splits.validation, spec, reporter)
        mean, deviation = standardisation(train_pixels.images)
        with strategy.scope():
            model = build(config, spec, len(splits.classes), mean, deviation)
        schedule = plan(config, len(splits.classes), train_pixels, validation_pixels)
        history = loop.fit(
            model,
            loss(config),
            metrics(config),
            schedule,
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


def plan(config: ClassificationConfig, classes: int, train_pixels: Pixels, validation_pixels: Pixels) -> Plan:
    """Plan a run: the batches, augmented and weighed, and how often to go through them.

    Args:
        config: with nothing left open, as :func:`choose` returns it.
        classes: number of classes.
        train_pixels: the training images.
        validation_pixels: the validation images.

    Returns:
        What :func:`pipelines.training.loop.fit` goes through.
    """
    assert config.batch_size is not None
    assert config.epochs is not None
    policy = dataclasses.replace(augmentation.POLICIES[config.augment], flip=bool(config.flip))

    def change(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return augmentation.augment(images, seed, policy)

    weights = class_weights(train_pixels.labels, classes, config.class_weights)
    return Plan(
        train=functools.partial(shuffled, train_pixels, config.batch_size, config.seed, change, weights),
        validation=in_order(validation_pixels, 256),
        steps_per_epoch=len(train_pixels) // config.batch_size,
        batch_size=config.batch_size,
        epochs=config.epochs,
    )


def class_weights(labels: np.ndarray, classes: int, how: str) -> np.ndarray:
    """Weigh classes so that rare ones count as much as common ones.

    Args:
        labels: int32 of shape (n,).
        classes: number of classes.
        how: "balanced": n / (classes * images of the class); "none": all 1; "auto": balanced where the largest class
            has at least 1.5 times the images of the smallest.

    Returns:
        float32 of shape (classes,), whose mean over the images is 1.
    """
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    if how == "none" or (how == "auto" and counts.max() < _UNBALANCED * counts.min()):
        return np.ones(classes, np.float32)
    return (len(labels) / (classes * counts)).astype(np.float32)


def _export(
    model: keras.Model,
    spec: ImageSpec,
    config: ClassificationConfig,
    splits: Splits,
    history: History,
    name: str,
    root: Path,
    reporter: Reporter,
) -> ServedModel:
    def measure(served: ServedModel) -> dict[str, Any]:
        return {part: evaluate(served, splits[part], reporter).figures for part in ("validation", "test")}

    kind = "grey" if spec.channels == 1 else "colour"
    card = {
        "task": "classification",
        "name": name,
        "input": spec.to_json(),
        "description": f"Tells apart {len(splits.classes)} classes in {kind} images like those of {splits.source}.",
        # The name of the data, not where it lay on one machine.
        "training": config.identity() | {"data": splits.source},
        "history": dataclasses.asdict(history),
        "data": {
            "source": splits.source,
            "fingerprint": splits.fingerprint,
            "images": {part: splits[part].size for part in data.SPLIT_NAMES},
        },
    }
    golden = writer.choose_golden([(example.label, example.image) for example in splits.validation.examples()])
    return writer.export(serving(model, splits.classes, card), model, splits.classes, golden, card, root, measure)


def _plan_in_words(config: ClassificationConfig, splits: Splits, spec: ImageSpec, device: str) -> str:
    counts = ", ".join(f"{splits[part].size:,} {part}" for part in data.SPLIT_NAMES)
    sees = f"{spec.height} x {spec.width} pixels in {'grey' if spec.channels == 1 else 'colour'}"
    return (
        f"{splits.source}: {counts} images, {len(splits.classes)} classes\n"
        f"{config.model} (conv {config.conv}, pool {config.pool}) sees {sees}; "
        f"at most {config.epochs} epochs of batches of {config.batch_size}, on {device}"
    )


def _outcome_in_words(served: ServedModel, history: History) -> str:
    test = served.card.metrics["test"]
    low, high = test["accuracy_95"]
    return (
        f"{ended(history)}\n"
        f"test accuracy {test['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}, {test['images']:,} images)\n"
        f"saved model: {served.directory}"
    )
