"""What `--deterministic` costs: a training step with it over one without, for each task, on the embedded data.

TensorFlow's setting cannot be undone in a process, so there are two, which take their steps by turns. Prints the median
ratio of the wall times, and the ratio of the processor time, which others on the machine disturb less.

    python benchmarks/deterministic.py --rounds 9 --steps 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

DATA = {"classification": "digits", "detection": "scenes", "segmentation": "scenes"}


def work(task_name: str, options: dict[str, Any], steps: int) -> None:
    """Prepare a run; then take some steps for each line of standard input, and print how long they took."""
    import keras
    import project_first  # noqa: F401

    from pipelines.core.tensorflow_import import import_tensorflow

    tf = import_tensorflow()
    from pipelines.core.progress import Reporter
    from pipelines.tasks.registry import find_task
    from pipelines.training.loop import Loop
    from pipelines.training.optimizers import make_optimizer
    from pipelines.training.session import settings

    task = find_task(task_name)
    config = task.config.parse(data=DATA[task_name], **options)
    with settings(config):
        splits = task.load(config)
        choice = task.choose(config, splits)
        prepared = task.prepare(choice, splits, Reporter(quiet=True))
        classes = len(splits.classes)
        model: keras.Model = task.build(choice.config, choice.spec, classes, prepared.mean, prepared.deviation)
        optimizer = make_optimizer(choice.config, 100_000)
        optimizer.build(model.trainable_variables)
        loss, metrics = task.loss(choice, prepared), task.metrics(choice, classes)
        loop = Loop(model, optimizer, loss, metrics, prepared.plan, tf.distribute.get_strategy())
        loop.train(2)  # compiles
        print("ready", flush=True)
        for _ in sys.stdin:
            wall, processor = time.perf_counter(), time.process_time()
            loop.train(steps)
            print(json.dumps([time.perf_counter() - wall, time.process_time() - processor]), flush=True)


class Worker:
    """A process that takes steps when asked."""

    def __init__(self, *arguments: str) -> None:
        here = Path(__file__).resolve()
        self.process = subprocess.Popen(
            [sys.executable, str(here), "--work", *arguments], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the process has ended"
        return line

    def take(self) -> list[float]:
        """Take the steps; return the seconds of wall and of processor time."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        found: list[float] = json.loads(self._line())
        return found


def compare(task: str, rounds: int, steps: int) -> None:
    """Print what the setting costs a task."""
    workers = [Worker(task, json.dumps({"deterministic": setting}), str(steps)) for setting in (False, True)]
    times = [[worker.take() for worker in workers] for _ in range(rounds)]
    for worker in workers:
        assert worker.process.stdin is not None
        worker.process.stdin.close()
        worker.process.wait()
    wall, processor = (statistics.median(on[kind] / off[kind] for off, on in times) for kind in (0, 1))
    plain = 1000 * statistics.median(off[0] for off, _ in times) / steps
    print(f"{task:<16}{plain:8.1f} ms a step; deterministic over not: wall {wall:.2f}, processor {processor:.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], json.loads(sys.argv[3]), int(sys.argv[4]))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--rounds", type=int, default=9)
        parser.add_argument("--steps", type=int, default=5)
        parser.add_argument("--tasks", nargs="+", default=list(DATA))
        given = parser.parse_args()
        for name in given.tasks:
            compare(name, given.rounds, given.steps)
