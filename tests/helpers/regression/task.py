"""A fourth task, as someone outside the project would write it: one number for each image."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.core.errors import DataError
from pipelines.data.splits import SPLIT_NAMES, Example, Item, Split, Splits, split_of
from pipelines.reporting.words import Words
from pipelines.training.config import Size, TrainingConfig
from pipelines.training.task import Choice, Prepared, Task

__all__ = ["Regression", "RegressionConfig"]


class RegressionConfig(TrainingConfig):
    """A regression run."""

    data: str = "numbers"
    image_size: Size = (16, 16)
    hidden: int = 32


class Regression(Task):
    """One number for each image: a folder of images, and `values.csv` with a file and a value a line."""

    name = "regression"
    summary = "one number for each image"
    labels = "numbers"
    config = RegressionConfig

    def load(self, config: RegressionConfig) -> Splits[float]:
        """Read `values.csv`; the part of an image is a hash of its name."""
        root = Path(config.data)
        if not (root / "values.csv").is_file():
            raise DataError(f"{root}: expected a folder of images with a values.csv; there is none")
        with (root / "values.csv").open(newline="") as file:
            rows = [(name, float(value)) for name, value in csv.reader(file)]
        parts: dict[str, list[tuple[str, float]]] = {name: [] for name in SPLIT_NAMES}
        for name, value in rows:
            parts[split_of(name, config.seed)].append((name, value))

        def split(part: str) -> Split[float]:
            def item(row: tuple[str, float]) -> Item[float]:
                name, value = row
                return Item(name, lambda: Example(name, (root / name).read_bytes(), value), files=(root / name,))

            return Split.of(part, len(parts[part]), lambda: map(item, parts[part]))

        fingerprint = hashlib.sha256(repr(rows).encode()).hexdigest()
        return Splits(root.name, (), *(split(part) for part in SPLIT_NAMES), mirrored=False, fingerprint=fingerprint)

    def recognises(self, data: str, data_dir: Path | None) -> bool:
        """Say whether there is a table of numbers."""
        return (Path(data) / "values.csv").is_file()

    def choose(self, config: RegressionConfig, splits: Splits[float]) -> Choice:
        """Choose batches and epochs."""
        from pipelines.images.preprocessing import ImageSpec

        chosen = {"batch_size": config.batch_size or 16, "epochs": config.epochs or 20}
        return Choice(config.model_copy(update=chosen), ImageSpec(*config.image_size, channels=1))

    def prepare(self, choice: Choice, splits: Splits[float], reporter: Any) -> Prepared:
        """Decode the images, and shuffle them anew each epoch."""
        import numpy as np
        import tensorflow as tf

        from pipelines.training.cached_dataset import mean_and_deviation, preparer
        from pipelines.training.loop import Plan

        decode, size, seed = preparer(choice.spec), choice.config.batch_size, choice.config.seed

        def pixels(split: Split[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            examples = list(split.examples())
            values = np.array([example.label for example in examples], np.float32)
            return decode(examples).astype(np.float32), values, np.ones_like(values)

        train, validation = pixels(splits.train), pixels(splits.validation)
        steps = max(1, len(train[0]) // size)

        def batches(start: int) -> tf.data.Dataset:
            def batch(step: np.ndarray) -> tuple[np.ndarray, ...]:
                epoch, number = divmod(int(step), steps)
                order = np.random.default_rng([seed, epoch]).permutation(len(train[0]))
                chosen = order[number * size : (number + 1) * size]
                return tuple(part[chosen] for part in train)

            def shaped(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
                found = tf.numpy_function(batch, [step], (tf.float32,) * 3)
                shapes = [(None, *part.shape[1:]) for part in train]
                return tuple(tf.ensure_shape(part, shape) for part, shape in zip(found, shapes, strict=True))

            return tf.data.Dataset.range(start, tf.int64.max).map(shaped)

        plan = Plan(
            batches, tf.data.Dataset.from_tensor_slices(validation).batch(64), steps, size, choice.config.epochs
        )
        return Prepared(plan, *mean_and_deviation(list(train[0].astype(np.uint8))))

    def build(self, config: RegressionConfig, spec: Any, classes: int, mean: float, deviation: float) -> Any:
        """Build a small network with one output."""
        import keras

        pixels = keras.Input(spec.shape, name="pixels")
        x = keras.layers.Rescaling(1.0 / deviation, -mean / deviation, name="standardise")(pixels)
        x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="conv")(x)
        x = keras.layers.Dense(config.hidden, activation="relu", name="hidden")(keras.layers.Flatten(name="flat")(x))
        return keras.Model(pixels, keras.layers.Dense(1, dtype="float32", name="number")(x), name="regression")

    def loss(self, choice: Choice, prepared: Prepared) -> Any:
        """Return the squared error."""
        import tensorflow as tf

        return lambda values, outputs: tf.square(tf.cast(outputs[:, 0], tf.float32) - values)

    def metrics(self, choice: Choice, classes: int) -> dict[str, Any]:
        """Return the mean absolute error, negative: larger is better."""
        import tensorflow as tf

        from pipelines.training.loop import Metric

        def error(values: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(tf.abs(tf.cast(outputs[:, 0], tf.float32) - values))

        return {"negative_error": Metric(error, lambda total, count: -float(total) / count)}

    def card_input(self, model: Any, choice: Choice, splits: Splits[float], reporter: Any) -> dict[str, Any]:
        """Return the size of the network's input."""
        return choice.spec.to_json()

    def description(self, choice: Choice, splits: Splits[float]) -> str:
        """Say what is estimated."""
        return f"Estimates a number for each image, as in {splits.source}."

    def serving(self, model: Any, classes: Sequence[str], card: dict[str, Any]) -> Callable[[Path], Any]:
        """Return the graphs from encoded images to numbers."""
        from pipelines.images.preprocessing import ImageSpec
        from regression.serving import NumberServing

        return lambda labels: NumberServing(model, labels, ImageSpec(**card["input"]))

    def rebuild(self, card: Any) -> Any:
        """Build the network again."""
        from pipelines.images.preprocessing import ImageSpec

        config = RegressionConfig.parse(**card.training)
        return self.build(config, ImageSpec(**card.input), 0, **card.standardisation)

    def evaluate(self, served: Any, split: Split[float], reporter: Any = None, **options: Any) -> Any:
        """Measure the mean absolute error."""
        import numpy as np

        from pipelines.reporting.report import Report

        examples = list(split.examples())
        found = served([example.image for example in examples])["values"]
        errors = np.abs(found - np.array([example.label for example in examples]))
        figures = {"images": len(examples), "mean_error": float(errors.mean()), "largest_error": float(errors.max())}
        rows = [["figure", "value"], *([name, f"{value:.4g}"] for name, value in figures.items())]
        title = f"{served.card.name}/{served.card.version} on the {split.name} images"
        return Report(title, figures, {"Overview": rows}, [])

    def plan_in_words(self, choice: Choice) -> str:
        """Say how long it trains."""
        return f"at most {choice.config.epochs} epochs of batches of {choice.config.batch_size}"

    def outcome_in_words(self, test: Mapping[str, Any]) -> str:
        """Say the error."""
        return f"test mean error {test['mean_error']:.4f}, {test['images']:,} images"

    @property
    def words(self) -> Words:
        """What any card can say."""
        return Words()
