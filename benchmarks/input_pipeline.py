"""Claim: once the images are cached, under 5 % of a training step is spent waiting for data.

For each data set the real training batches (shuffled, augmented) feed the real training step, one step a call. The
share is the time inside ``next(batches)`` over the whole time. Peer: the same steps on one batch that lies ready in
memory, interleaved, which also shows what the pipeline's own work takes from the processor that computes the step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import project_first  # noqa: F401
from network import step_of

from pipelines.core.tensorflow_import import import_tensorflow

import_tensorflow()

from pipelines import data  # noqa: E402
from pipelines.classification.auto_config import choose  # noqa: E402
from pipelines.classification.batches import plan  # noqa: E402
from pipelines.classification.config import ClassificationConfig  # noqa: E402
from pipelines.classification.network import build  # noqa: E402
from pipelines.core.progress import Reporter  # noqa: E402
from pipelines.training.cached_dataset import decode_split  # noqa: E402

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SOURCES = {
    "Fashion-MNIST": "tfds:fashion_mnist",
    "sign language": str(SHARED / "sign_language_digits"),
}


def measure(source: str, steps: int) -> tuple[float, float]:
    """Return the share of waiting, and the step's time over that of the same step on a batch at hand."""
    config = ClassificationConfig.parse(data=source, data_dir=SHARED / "tfds" if "tfds" in source else None)
    splits = data.load(config.data, config.data_dir)
    choice = choose(config, splits)
    config, spec = choice.config, choice.spec
    pixels = decode_split(splits.train, spec, Reporter())
    batches = iter(plan(config, len(splits.classes), pixels, pixels).train(0))
    step = step_of(build(config, spec, len(splits.classes)), config)
    ready = next(batches)
    for _ in range(5):
        step(*next(batches))
    waited, worked, peer = [], [], []
    for _ in range(steps):
        started = time.perf_counter()
        batch = next(batches)
        got = time.perf_counter()
        float(step(*batch))
        done = time.perf_counter()
        float(step(*ready))
        waited.append(got - started)
        worked.append(done - started)
        peer.append(time.perf_counter() - done)
    return sum(waited) / sum(worked), statistics.median(np.array(worked) / np.array(peer))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="steps measured for each data set")
    steps = parser.parse_args().steps
    for name, source in SOURCES.items():
        if not SHARED.is_dir():
            print(f"{name}: the data is not here; skipped")
            continue
        share, ratio = measure(source, steps)
        print(f"{name}: {share:.1%} of a step waits for data (claim: under 5 %)", end="; ")
        print(f"the step takes {ratio:.2f} times one on a ready batch")


if __name__ == "__main__":
    main()
