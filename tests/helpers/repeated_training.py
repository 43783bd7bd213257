"""A few training steps of many configurations, as digests of everything that must be the same bits.

Run as a program, it reads `[[name, task, options, calls, times], ...]` from standard input and writes a line for each:
`calls` are the numbers of steps that are taken in one call each, and `times` is how often all is done anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from places import ROOT

Request = tuple[str, str, dict[str, Any], list[int], int]


def start(requests: list[Request], threads: int | None = None) -> subprocess.Popen[str]:
    """Start a process that takes the steps; :func:`finish` waits for it."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if threads is not None:
        environment |= {"TF_NUM_INTRAOP_THREADS": str(threads), "TF_NUM_INTEROP_THREADS": str(threads)}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps(requests))
    process.stdin.close()
    process.stdin = None
    return process


def finish(process: subprocess.Popen[str]) -> dict[str, list[dict[str, str]]]:
    """Return the digests of each repetition, by the names of the configurations."""
    out, said = process.communicate()
    assert process.returncode == 0, said[-3000:]
    return dict(json.loads(line) for line in out.splitlines())


def digest(arrays: Iterable[Any]) -> str:
    """Return a digest of the bits of arrays."""
    import numpy as np

    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(np.asarray(array)).tobytes())
    return found.hexdigest()[:16]


def take_steps(task_name: str, options: dict[str, Any], calls: list[int]) -> dict[str, str]:
    """Prepare a run as training does, take its first steps, and go over the validation images."""
    import numpy as np
    import tensorflow as tf

    from pipelines.core import devices
    from pipelines.core.progress import Reporter
    from pipelines.tasks.registry import find_task
    from pipelines.training.loop import Loop
    from pipelines.training.optimizers import make_optimizer
    from pipelines.training.session import settings

    task = find_task(task_name)
    config = task.config.parse(deterministic=True, epochs=3, **options)
    strategy = devices.strategy()
    with settings(config):
        splits = task.load(config)
        choice = task.choose(config, splits)
        prepared = task.prepare(choice, splits, Reporter(quiet=True))
        classes, standard = len(splits.classes), (prepared.mean, prepared.deviation)
        model = task.build(choice.config, choice.spec, classes, *standard)
        initial = digest(model.variables)
        optimizer = make_optimizer(choice.config, 10)
        optimizer.build(model.trainable_variables)
        metrics = task.metrics(choice, classes)
        loop = Loop(model, optimizer, task.loss(choice, prepared), metrics, prepared.plan, strategy)
        batches = list(prepared.plan.train(0).take(sum(calls)))
        taken = [loop.train(count) for count in calls]
        figures = [np.concatenate([one[name] for one in taken]) for name in sorted(taken[0])]
        return {
            "initial weights": initial,
            "batches": digest(tf.nest.flatten(batches)),
            "weights": digest([*model.variables, *optimizer.variables]),
            "training figures": digest(figures),
            "validation figures": digest(value for _, value in sorted(loop.evaluate().items())),
        }


if __name__ == "__main__":
    for name, task, options, calls, times in json.load(sys.stdin):
        print(json.dumps([name, [take_steps(task, options, calls) for _ in range(times)]]), flush=True)
