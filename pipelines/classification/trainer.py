"""Classification: one class for an image.

::

    from pipelines import classification

    trained = classification.train(data="digits", model="convnet", name="digits")
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines import data, models
from pipelines.artifacts import writer
from pipelines.artifacts.served_model import ModelCard, ServedModel
from pipelines.artifacts.serving_module import ImageServing, ServingModule
from pipelines.classification.metrics import calibration, classification_figures
from pipelines.core import devices
from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.data import Example, Split, Splits
from pipelines.images import image_io
from pipelines.images.preprocessing import ImageSpec
from pipelines.reporting.report import Mistake, Report, confusion_picture, mistakes_picture, reliability_picture
from pipelines.training import augmentation, loop
from pipelines.training.cached_dataset import Pixels, decode_split, in_order, shuffled
from pipelines.training.config import ClassificationConfig
from pipelines.training.loop import History, Loss, Metric, Plan
from pipelines.training.session import Trained, check_name, ended, settings

__all__ = [
    "Trained",
    "build",
    "choose",
    "decode",
    "evaluate",
    "load",
    "loss",
    "metrics",
    "name",
    "plan",
    "rebuild",
    "serving",
    "train",
]

name = "classification"

_SAMPLE = 64
_STEPS = 5000
_UNBALANCED = 1.5
_WORST = 24


# === Hooks ===


def load(config: ClassificationConfig) -> Splits:
    """Load the labelled images that a configuration names."""
    return data.load(config.data, config.data_dir, config.seed)


def build(
    config: ClassificationConfig, spec: ImageSpec, classes: int, mean: float = 0.0, deviation: float = 255.0
) -> keras.Model:
    """Build the network of a configuration, with the standardisation of its input inside.

    Args:
        config: the model, its kind of convolution and of pooling.
        spec: what the network sees.
        classes: number of classes.
        mean: of the training pixels, 0 to 255.
        deviation: standard deviation of the training pixels.

    Returns:
        A model from float32 images (batch, height, width, channels), 0 to 255, to logits (batch, classes).
    """
    pool = config.pool or models.default_pool(config.model)
    network = models.build_classifier(config.model, spec.shape, classes, config.conv, pool)
    pixels = keras.Input(spec.shape, name="pixels")
    standard = keras.layers.Rescaling(1.0 / deviation, -mean / deviation, name="standardise")(pixels)
    return keras.Model(pixels, network(standard), name=f"{config.model}_classifier")


def loss(config: ClassificationConfig) -> Loss:
    """Return the cross-entropy, with the configured label smoothing."""
    smoothing = config.label_smoothing

    def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        logits = tf.cast(logits, tf.float32)
        if not smoothing:
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        classes = logits.shape[-1]
        targets = tf.one_hot(labels, classes, 1.0 - smoothing + smoothing / classes, smoothing / classes)
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)

    return cross_entropy


def metrics(config: ClassificationConfig) -> dict[str, Metric]:
    """Return the accuracy."""

    def right(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        chosen = tf.argmax(logits, axis=-1, output_type=labels.dtype)
        return tf.reduce_sum(tf.cast(tf.equal(chosen, labels), tf.float32))

    return {"accuracy": Metric(right, lambda total, count: float(total) / count)}


def decode(logits: tf.Tensor, classes: tuple[str, ...]) -> dict[str, tf.Tensor]:
    """Turn logits into the answer, in the graph.

    Args:
        logits: float32 of shape (batch, classes).
        classes: names.

    Returns:
        ``scores`` float32 (batch, classes), which sum to 1; ``class_ids`` int64 (batch,); ``class_names`` string
        (batch,).
    """
    scores = tf.nn.softmax(logits)
    class_ids = tf.argmax(scores, axis=-1)
    return {"scores": scores, "class_ids": class_ids, "class_names": tf.gather(tf.constant(classes), class_ids)}


def rebuild(card: ModelCard) -> keras.Model:
    """Build the network of a saved model again; its weights are not those of the saved model yet."""
    config, spec = ClassificationConfig.parse(**card.training), ImageSpec(**card.input)
    return build(config, spec, len(card.classes), **card.standardisation)


def serving(model: keras.Model, classes: Sequence[str], card: dict[str, Any]) -> Callable[[Path], ServingModule]:
    """Return what makes the graphs of a saved model, from the file of its labels.

    Args:
        model: the network.
        classes: names.
        card: holds ``input``, as on the card of a saved model.
    """
    names = tuple(classes)
    return lambda labels: ImageServing(model, labels, ImageSpec(**card["input"]), lambda logits: decode(logits, names))


def evaluate(served: ServedModel, split: Split, reporter: Reporter | None = None) -> Report:
    """Measure a saved model on a split, through its own signature, from the encoded bytes on.

    Args:
        served: the model.
        split: its labels are indices into the model's classes.
        reporter: where progress is shown.

    Returns:
        Accuracy with its 95 % interval, precision, recall and F1 a class, confusion matrix, calibration, the worst
        mistakes.

    Raises:
        DataError: if the split is empty, or an image cannot be decoded.
    """
    classes = tuple(served.card.classes)
    labels, scores, worst = _answers(served, split, reporter or Reporter())
    figures = classification_figures(labels, scores, classes)
    low, high = figures["accuracy_95"]
    overview = [
        ["figure", "value"],
        ["images", f"{len(labels):,}"],
        ["accuracy", f"{figures['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%})"],
        ["macro F1", f"{figures['macro_f1']:.4f}"],
        ["log loss", f"{figures['log_loss']:.4f}"],
        ["expected calibration error", f"{figures['expected_calibration_error']:.4f}"],
    ]
    per_class = [["class", "precision", "recall", "F1", "images"]]
    per_class += [
        [label, f"{row['precision']:.4f}", f"{row['recall']:.4f}", f"{row['f1']:.4f}", str(row["support"])]
        for label, row in figures["classes"].items()
    ]
    pictures = [
        confusion_picture(np.array(figures["confusion"]), classes),
        reliability_picture(calibration(labels, scores)),
    ]
    if worst:
        pictures.append(mistakes_picture(worst))
    title = f"{served.card.name}/{served.card.version} on the {split.name} images"
    return Report(title, figures, {"Overview": overview, "Classes": per_class}, pictures)


def _answers(served: ServedModel, split: Split, reporter: Reporter) -> tuple[np.ndarray, np.ndarray, list[Mistake]]:
    if not split.size:
        raise DataError(f"the {split.name} part holds no image")
    classes = served.card.classes
    labels: list[int] = []
    scores: list[np.ndarray] = []
    wrong: list[tuple[float, Mistake]] = []
    with reporter.meter(f"answering {split.name} images", split.size) as meter:
        examples = split.examples()
        while chunk := list(islice(examples, 128)):
            found = served_scores(served, chunk)
            labels += [example.label for example in chunk]
            scores.append(found)
            for example, row in zip(chunk, found, strict=True):
                answer = int(row.argmax())
                if answer != example.label:
                    text = f"{classes[example.label]}\ntaken for {classes[answer]} ({row[answer]:.0%})"
                    wrong.append((float(row[answer]), Mistake(example.image, text)))
            wrong = sorted(wrong, key=lambda pair: -pair[0])[:_WORST]
            meter.advance(len(chunk))
    return np.array(labels), np.concatenate(scores), [mistake for _, mistake in wrong]


def served_scores(served: ServedModel, examples: list[Example]) -> np.ndarray:
    """Return the scores of a saved model for examples; a ``DataError`` names the one that is no image."""
    try:
        return served([example.image for example in examples])["scores"]
    except tf.errors.InvalidArgumentError:
        if len(examples) == 1:
            raise DataError(f"{examples[0].id}: is not an image that can be decoded") from None
        return np.concatenate([served_scores(served, [example]) for example in examples])


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
        **options: the fields of :class:`pipelines.training.config.ClassificationConfig`, such as ``data``, ``model``, ``conv``,
            ``pool``, ``epochs``. What is left out is chosen from the data.

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
        sample = list(islice(splits.train.examples(), _SAMPLE))
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


def choose(
    config: ClassificationConfig, splits: Splits, sample: list[Example]
) -> tuple[ClassificationConfig, ImageSpec]:
    """Fill in what the user left open, from the data.

    Args:
        config: as the user gave it.
        splits: the data.
        sample: some training examples.

    Returns:
        The configuration with nothing left open, and what the network sees: grey if all of the sample is; the median
        size of the sample, as far as the model's own default goes.
    """
    heights, widths, grey = _look_at(sample)
    native = (int(np.median(heights)), int(np.median(widths)))
    size = config.image_size or models.default_size(config.model, native)
    channels = config.channels or (1 if grey else 3)
    batch_size = min(config.batch_size or (128 if splits.train.size >= 10_000 else 32), splits.train.size)
    steps = splits.train.size // batch_size
    chosen = {
        "image_size": size,
        "channels": channels,
        "batch_size": batch_size,
        "epochs": config.epochs or int(np.clip(round(_STEPS / steps), 12, 60)),
        "pool": config.pool or models.default_pool(config.model),
        "flip": splits.mirrored if config.flip is None else config.flip,
    }
    spec = ImageSpec(*size, channels=channels, resize=config.resize)
    return config.model_copy(update=chosen), spec


def _look_at(sample: list[Example]) -> tuple[list[int], list[int], bool]:
    pictures = [image_io.open_rgb(example.image, name=example.id) for example in sample]
    arrays = [np.asarray(picture) for picture in pictures]
    grey = all(np.array_equal(array[..., 0], array[..., 1]) and np.array_equal(array[..., 0], array[..., 2])
               for array in arrays)  # fmt: skip
    return [picture.height for picture in pictures], [picture.width for picture in pictures], grey


def standardisation(pixels: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation of uint8 images (n, height, width, channels), as seen in up to 2,000."""
    sample = pixels[:: max(1, len(pixels) // 2000)].astype(np.float32)
    return float(sample.mean()), max(float(sample.std()), 1.0)


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
