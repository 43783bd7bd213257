"""The README's table: every kind of convolution and of pooling on Fashion-MNIST.

LeNet-5, in which each kind replaces all three convolutions (or both poolings). Every kind is trained with the same
options, seed and number of epochs; the seconds an epoch are measured apart from that, all kinds in turn, and given
relative to the standard one. Prints a Markdown table. Peer: the standard convolution with max pooling.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import keras
import numpy as np
import project_first  # noqa: F401

from pipelines.core.tensorflow_import import import_tensorflow

import_tensorflow()

import tensorflow as tf  # noqa: E402

from pipelines import data  # noqa: E402
from pipelines.classification import network  # noqa: E402
from pipelines.classification.auto_config import choose, standardisation  # noqa: E402
from pipelines.classification.batches import plan  # noqa: E402
from pipelines.classification.config import ClassificationConfig  # noqa: E402
from pipelines.core.progress import Reporter  # noqa: E402
from pipelines.training import loop as training  # noqa: E402
from pipelines.training.cached_dataset import Pixels, decode_split, in_order  # noqa: E402
from pipelines.training.optimizers import make_optimizer  # noqa: E402

DATA_DIR = Path(__file__).resolve().parents[2] / "shared" / "data" / "tfds"
KINDS = [
    ("standard", "max"), ("dilated", "max"), ("tiled", "max"), ("unshared", "max"),
    ("standard", "average"), ("standard", "l2"), ("standard", "subsampling"),
]  # fmt: skip


class Run:
    """One row of the table: a network of one kind, with its loop."""

    def __init__(self, config: ClassificationConfig, spec, classes: int, train: Pixels, validation: Pixels) -> None:
        keras.utils.set_random_seed(config.seed)
        self.config = config
        self.model = network.build(config, spec, classes, *standardisation(train.images))
        self.plan = plan(config, classes, train, validation)

    def timed(self, steps: int):
        """Return a function that takes some steps of a copy of the run and gives the seconds a step."""
        model = keras.models.clone_model(self.model)
        optimizer = make_optimizer(self.config, 100_000)
        optimizer.build(model.trainable_variables)
        loss, metrics = network.loss(self.config), network.metrics(self.config)
        loop = training.Loop(model, optimizer, loss, metrics, self.plan, tf.distribute.get_strategy())

        def run() -> float:
            started = time.perf_counter()
            loop.train(steps)
            return (time.perf_counter() - started) / steps

        return run


def accuracy(model: keras.Model, pixels: Pixels) -> float:
    """Return the share of right answers."""
    right = 0
    for images, labels, _ in in_order(pixels, 500):
        right += int((np.asarray(model(images)).argmax(axis=1) == labels.numpy()).sum())
    return right / len(pixels)


def main() -> None:
    """Measure, train and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help="where the prepared fashion_mnist lies")
    options = parser.parse_args()
    reporter = Reporter()
    splits = data.load("tfds:fashion_mnist", options.data_dir)
    base = ClassificationConfig.parse(data="tfds:fashion_mnist", model="lenet5", pool="max", epochs=options.epochs)
    choice = choose(base, splits)
    base, spec = choice.config, choice.spec
    train, validation, test = (decode_split(splits[part], spec, reporter) for part in ("train", "validation", "test"))
    runs = [
        Run(base.model_copy(update={"conv": conv, "pool": pool}), spec, len(splits.classes), train, validation)
        for conv, pool in KINDS
    ]
    timers = [run.timed(steps=40) for run in runs]
    seconds = np.array([[timer() for timer in timers] for _ in range(8)])[2:]
    relative = [statistics.median(column) for column in (seconds / seconds[:, :1]).T]
    print("| convolution | pooling | parameters | seconds an epoch, relative | test accuracy |")
    print("|---|---|---:|---:|---:|")
    for run, (conv, pool), ratio in zip(runs, KINDS, relative, strict=True):
        loss, metrics = network.loss(run.config), network.metrics(run.config)
        training.fit(run.model, loss, metrics, run.plan, run.config, reporter=reporter)
        count = run.model.count_params()
        print(f"| {conv} | {pool} | {count:,} | {ratio:.2f} x | {accuracy(run.model, test):.2%} |", flush=True)


if __name__ == "__main__":
    main()
