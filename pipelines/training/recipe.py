"""One training run, whatever the task: prepare, fit, evaluate, export. What varies is asked of the task."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import psutil
import tensorflow as tf

from pipelines.artifacts import writer
from pipelines.artifacts.served_model import ServedModel
from pipelines.core import devices, extras
from pipelines.core.progress import Reporter
from pipelines.data import proof
from pipelines.data.splits import SPLIT_NAMES, Splits
from pipelines.training import loop
from pipelines.training.config import TrainingConfig
from pipelines.training.loop import History, Loop
from pipelines.training.optimizers import make_optimizer
from pipelines.training.session import Trained, check_name, ended, settings
from pipelines.training.task import Choice, Prepared, Task

__all__ = ["Estimate", "estimate", "train"]

_MEASURED_STEPS = 3


def train(
    task: Task,
    name: str,
    *,
    root: Path | str = "saved_models",
    reporter: Reporter | None = None,
    **options: Any,
) -> Trained:
    """Train a network and export it as the next version of a saved model.

    Args:
        task: what is learned.
        name: of the saved model; its directory under ``root`` is made, or gets another version.
        root: the folder of all saved models.
        reporter: where progress is shown; standard error by default.
        **options: the fields of ``task.config``. What is left out is chosen from the data.

    Returns:
        Where the saved model is, its card, and how training went.

    Raises:
        ConfigError: for an option that does not exist or does not fit; if a package that training needs is not
            installed.
        DataError: for data that cannot be used, naming the file.
    """
    extras.need("training", "train")  # here: what evaluates and exports is imported behind the last epoch
    check_name(name)
    config = task.config.parse(**options)
    reporter = reporter or Reporter()
    strategy = devices.strategy()
    with settings(config):
        splits, choice, prepared = _prepare(task, config, strategy, reporter)
        with strategy.scope():
            model = _build(task, choice, splits, prepared)
        history = loop.fit(
            model,
            task.loss(choice, prepared),
            task.metrics(choice, len(splits.classes)),
            prepared.plan,
            choice.config,
            strategy=strategy,
            reporter=reporter,
            identity=choice.config.identity() | {"data": splits.fingerprint},
        )
    # The saved model computes in float32 and on whatever device serves it, however it was trained.
    final = _build(task, choice, splits, prepared)
    final.set_weights(model.get_weights())
    served = _export(task, final, choice, splits, history, name, Path(root), reporter)
    reporter.say(
        f"{ended(history)}\n{task.outcome_in_words(served.card.metrics['test'])}\nsaved model: {served.directory}"
    )
    return Trained(served.directory, served.card, history)


@dataclass(frozen=True)
class Estimate:
    """What a training run would take, from a few of its steps.

    Args:
        steps: of the whole run, at most.
        step_seconds: of one, measured.
        epochs: at most.
        seconds: of the whole run, without validation.
        memory_bytes: what this process holds behind those steps, decoded images included.
        parameters: of the network, trainable and fixed.
    """

    steps: int
    step_seconds: float
    epochs: int
    seconds: float
    memory_bytes: int
    parameters: int


def estimate(task: Task, *, reporter: Reporter | None = None, **options: Any) -> Estimate:
    """Prepare a run, take three of its steps, and say what the whole would take; nothing is written.

    Args:
        task: as of :func:`train`.
        reporter: as of :func:`train`.
        **options: as of :func:`train`.

    Raises:
        ConfigError: as :func:`train`.
        DataError: as :func:`train`.
    """
    config = task.config.parse(**options)
    reporter = reporter or Reporter()
    strategy = devices.strategy()
    with settings(config):
        splits, choice, prepared = _prepare(task, config, strategy, reporter)
        plan = prepared.plan
        steps = plan.epochs * plan.steps_per_epoch
        with strategy.scope():
            model = _build(task, choice, splits, prepared)
            optimizer = make_optimizer(choice.config, steps)
            optimizer.build(model.trainable_variables)
        loss, metrics = task.loss(choice, prepared), task.metrics(choice, len(splits.classes))
        measured = Loop(model, optimizer, loss, metrics, plan, strategy)
        measured.train(1)  # compiles
        started = time.monotonic()
        measured.train(_MEASURED_STEPS)
        seconds = (time.monotonic() - started) / _MEASURED_STEPS
        memory = int(psutil.Process().memory_info().rss)
    return Estimate(steps, seconds, plan.epochs, steps * seconds, memory, model.count_params())


def _prepare(
    task: Task, config: TrainingConfig, strategy: tf.distribute.Strategy, reporter: Reporter
) -> tuple[Splits[Any], Choice, Prepared]:
    """Load, choose what was left open, say it, and decode."""
    splits = proof.proven(task.load(config), task, reporter, skip=config.skip_bad_images)
    choice = task.choose(config, splits)
    counts = ", ".join(f"{splits[part].size:,} {part}" for part in SPLIT_NAMES)
    kinds = f", {len(splits.classes)} classes" if splits.classes else ""
    reporter.say(
        f"{splits.source}: {counts} images{kinds}\n{task.plan_in_words(choice)}, on {devices.describe(strategy)}"
    )
    return splits, choice, task.prepare(choice, splits, reporter)


def _build(task: Task, choice: Choice, splits: Splits[Any], prepared: Prepared) -> keras.Model:
    return task.build(choice.config, choice.spec, len(splits.classes), prepared.mean, prepared.deviation)


def _export(
    task: Task,
    model: keras.Model,
    choice: Choice,
    splits: Splits[Any],
    history: History,
    name: str,
    root: Path,
    reporter: Reporter,
) -> ServedModel:
    def measure(served: ServedModel) -> dict[str, Any]:
        return {part: task.evaluate(served, splits[part], reporter).figures for part in ("validation", "test")}

    card = {
        "task": task.name,
        "name": name,
        "input": task.card_input(model, choice, splits, reporter),
        "description": task.description(choice, splits),
        # The name of the data, not where it lay on one machine.
        "training": choice.config.identity() | {"data": splits.source},
        "history": dataclasses.asdict(history),
        "data": {
            "source": splits.source,
            "fingerprint": splits.fingerprint,
            "images": {part: splits[part].size for part in SPLIT_NAMES},
        }
        | proof.on_card(splits),
    }
    serving = task.serving(model, splits.classes, card)
    return writer.export(serving, model, splits.classes, task.golden(splits), card, root, measure)
