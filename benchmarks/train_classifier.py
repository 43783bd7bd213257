"""Claim: our loop trains at least as many images a second as Keras ``fit`` with its defaults and a plain PyTorch loop.

The same network, optimizer and batch size (128 images of 28 x 28), in turn, several rounds in one run; the images lie
ready, so that the loops are compared and not their input. Prints images/s and the ratio of ours to each peer.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import project_first  # noqa: F401

from pipelines.core.tensorflow_import import import_tensorflow

tf = import_tensorflow()

import torch  # noqa: E402

from pipelines.classification import network as classifier  # noqa: E402
from pipelines.classification.config import ClassificationConfig  # noqa: E402
from pipelines.core.progress import Reporter  # noqa: E402
from pipelines.models import classifier as build_classifier  # noqa: E402
from pipelines.training import loop as training  # noqa: E402
from pipelines.training.optimizers import make_optimizer  # noqa: E402

BATCH, SIDE, CLASSES = 128, 28, 10
DICE = np.random.default_rng(0)


def data(batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random standardised images and labels."""
    images = DICE.normal(size=(batches * BATCH, SIDE, SIDE, 1)).astype("float32")
    return images, DICE.integers(0, CLASSES, batches * BATCH).astype("int32")


def ours(model: str, images: np.ndarray, labels: np.ndarray) -> Callable[[], None]:
    """Return one epoch of our loop."""
    config = ClassificationConfig.parse(model=model, learning_rate=1e-3)
    network = build_classifier(model, (SIDE, SIDE, 1), CLASSES, "standard", "max", mean=0.0, deviation=1.0)
    steps = len(images) // BATCH
    batches = tf.data.Dataset.from_tensor_slices((images, labels, np.ones(len(images), "float32"))).batch(BATCH, True)
    plan = training.Plan(lambda start: batches.repeat().skip(start).prefetch(2), batches.take(1), steps, BATCH, 1)
    optimizer = make_optimizer(config, 100_000)
    optimizer.build(network.trainable_variables)
    loss, metrics = classifier.loss(config), classifier.metrics(config)
    loop = training.Loop(network, optimizer, loss, metrics, plan, tf.distribute.get_strategy())
    meter = Reporter(quiet=True)

    def epoch() -> None:
        with meter.meter("", steps * BATCH) as bar:
            training.train_epoch(loop, plan, 1, bar)

    return epoch


def keras_fit(model: str, images: np.ndarray, labels: np.ndarray) -> Callable[[], None]:
    """Return one epoch of Keras's own loop with its defaults."""
    network = build_classifier(model, (SIDE, SIDE, 1), CLASSES, "standard", "max", mean=0.0, deviation=1.0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.AdamW(1e-3), loss, metrics=["accuracy"])
    return lambda: network.fit(images, labels, batch_size=BATCH, epochs=1, verbose=0) and None


def torch_loop(model: str, images: np.ndarray, labels: np.ndarray) -> Callable[[], None]:
    """Return one epoch of a plain PyTorch loop over the same network."""
    network = _torch_network(model)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    criterion = torch.nn.CrossEntropyLoss()
    x, y = torch.tensor(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels).long()

    def epoch() -> None:
        network.train()
        right, total = 0, 0.0
        for start in range(0, len(x), BATCH):
            inputs, targets = x[start : start + BATCH], y[start : start + BATCH]
            optimizer.zero_grad()
            outputs = network(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            right += int((outputs.argmax(1) == targets).sum())
            total += float(loss)

    return epoch


def _torch_network(model: str) -> torch.nn.Module:
    from torch import nn

    if model == "lenet5":
        tanh = nn.Tanh
        return nn.Sequential(
            nn.ZeroPad2d(2), nn.Conv2d(1, 6, 5), tanh(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), tanh(), nn.MaxPool2d(2),
            nn.Conv2d(16, 120, 5), tanh(), nn.Flatten(), nn.Linear(120, 84), tanh(), nn.Linear(84, CLASSES),
        )  # fmt: skip
    parts: list[nn.Module] = []
    before = 1
    for stage, width in enumerate((32, 64, 128)):
        if stage:
            parts.append(nn.MaxPool2d(2))
        for _ in range(2):
            parts += [nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(before, CLASSES))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of one epoch each, the first not counted")
    parser.add_argument("--batches", type=int, default=40, help="batches an epoch")
    options = parser.parse_args()
    images, labels = data(options.batches)
    for model in ("convnet", "lenet5"):
        runs = {name: make(model, images, labels) for name, make in PEERS.items()}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - started)
        speed = {name: len(images) / statistics.median(values[1:]) for name, values in times.items()}
        print(f"{model}: " + ", ".join(f"{name} {value:,.0f} images/s" for name, value in speed.items()))
        for name in list(PEERS)[1:]:
            ratios = np.array(times[name][1:]) / np.array(times["ours"][1:])
            print(f"  ours is {statistics.median(ratios):.2f} times as fast as {name} (claim: at least 1)")


PEERS = {"ours": ours, "Keras fit": keras_fit, "PyTorch": torch_loop}

if __name__ == "__main__":
    main()
