"""One training run, whatever the task: prepare, fit, evaluate, export. What varies is asked of the task."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import psutil
import tensorflow as tf

from pipelines.artifacts import writer
from pipelines.artifacts.generated_images import generated_images
from pipelines.artifacts.served_model import ServedModel
from pipelines.core import devices, extras
from pipelines.core.errors import CnnAppError, ConfigError, ModelError
from pipelines.core.progress import Reporter
from pipelines.data import proof
from pipelines.data.splits import SPLIT_NAMES, Splits
from pipelines.storage import room
from pipelines.storage.names import check_name
from pipelines.training import checkpoint, loop, run_directory
from pipelines.training.config import TrainingConfig
from pipelines.training.loop import History, Loop
from pipelines.training.optimizers import make_optimizer
from pipelines.training.session import Trained, ended, settings
from pipelines.training.task import Choice, Prepared, Task

__all__ = ["Estimate", "estimate", "train"]

_MEASURED_STEPS = 3
_GRAPHS = 16 * 2**20  # bytes of a saved model besides its weights, at most: graphs, golden examples
_LEAST_GENERATED = 4


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
    if config.resume and config.log_dir is None:
        raise ConfigError("resume: requires --log-dir, the folder with the state of the interrupted run")
    reporter, root = reporter or Reporter(), Path(root)
    room.check_writable(root / name, "--saved-models")
    with run_directory.claimed(config.log_dir, name) as folder:
        trained = _train(task, name, config, root, folder, reporter)
        run_directory.write_result(folder, trained.path)
    return trained


def _train(task: Task, name: str, config: TrainingConfig, root: Path, folder: Path, reporter: Reporter) -> Trained:
    """Train in a folder that nobody else writes to."""
    strategy = devices.strategy()
    with settings(config):
        splits, choice = _choose(task, config, strategy, reporter)
        identity = choice.config.identity() | {"data": splits.fingerprint}
        if not config.resume:
            run_directory.refuse_unfinished(folder, identity, config.overwrite)
        prepared = task.prepare(choice, splits, reporter)
        with strategy.scope():
            model = _build(task, choice, splits, prepared)
        weights = 4 * model.count_params()
        # A state has the weights, the optimizer's two numbers for each, and the best ones; three of them lie there
        # while one is written.
        room.check_room({folder: 3 * 4 * weights, root: 2 * weights + _GRAPHS})
        history = loop.fit(
            model,
            task.loss(choice, prepared),
            task.metrics(choice, len(splits.classes)),
            prepared.plan,
            choice.config,
            strategy=strategy,
            reporter=reporter,
            identity=identity,
            folder=folder,
            names=_names(splits),
        )
    with _keeping(folder):
        # The saved model computes in float32 and on whatever device serves it, however it was trained.
        final = _build(task, choice, splits, prepared)
        final.set_weights(model.get_weights())
        served = _export(task, final, choice, splits, history, name, root, reporter)
    reporter.say(
        f"{ended(history)}\n{task.outcome_in_words(served.card.metrics['test'])}\nsaved model: {served.directory}"
    )
    return Trained(served.directory, served.card, history)


@contextlib.contextmanager
def _keeping(folder: Path) -> Iterator[None]:
    """Say of what fails after the last epoch that what was learned is kept, and how to go on."""
    try:
        yield
    except (CnnAppError, OSError, tf.errors.OpError, MemoryError) as error:
        if not (folder / checkpoint.FILE).is_file():
            raise
        kind = type(error) if isinstance(error, CnnAppError) else ModelError
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise kind(
            f"{text}; training itself is done, and its weights are kept in {folder}: the same command with --resume "
            "finishes from there"
        ) from error


def _names(splits: Splits[Any]) -> Callable[[Iterable[int]], list[str]]:
    """Return the function from positions among the training examples to what they are called."""

    def names(positions: Iterable[int]) -> list[str]:
        wanted = [int(position) for position in positions]
        found = {at: example.id for at, example in enumerate(splits.train.examples()) if at in wanted}
        return [found[position] for position in wanted if position in found]

    return names


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
    extras.need("training", "train")
    config = task.config.parse(**options)
    reporter = reporter or Reporter()
    strategy = devices.strategy()
    with settings(config):
        splits, choice = _choose(task, config, strategy, reporter)
        prepared = task.prepare(choice, splits, reporter)
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


def _choose(
    task: Task, config: TrainingConfig, strategy: tf.distribute.Strategy, reporter: Reporter
) -> tuple[Splits[Any], Choice]:
    """Load, prove that every image can be read, choose what was left open, and say it."""
    splits = proof.proven(task.load(config), task, reporter, skip=config.skip_bad_images)
    choice = task.choose(config, splits)
    counts = ", ".join(f"{splits[part].size:,} {part}" for part in SPLIT_NAMES)
    kinds = f", {len(splits.classes)} classes" if splits.classes else ""
    reporter.say(
        f"{splits.source}: {counts} images{kinds}\n{task.plan_in_words(choice)}, on {devices.describe(strategy)}"
    )
    return splits, choice


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
        "training": choice.config.identity() | {"data": splits.source, "golden": choice.config.golden},
        "history": dataclasses.asdict(history),
        "data": {
            "source": splits.source,
            "fingerprint": splits.fingerprint,
            "images": {part: splits[part].size for part in SPLIT_NAMES},
        }
        | proof.on_card(splits),
    }
    serving = task.serving(model, splits.classes, card)
    golden = _golden(task, choice, splits, reporter)
    return writer.export(serving, model, splits.classes, golden, card, root, measure)


def _golden(task: Task, choice: Choice, splits: Splits[Any], reporter: Reporter) -> list[bytes]:
    """Choose or make the images whose answers are kept with the model, and say whose they are."""
    images = task.golden(splits)
    if choice.config.golden == "generated":
        # As many as there would be: of tasks with large outputs few are kept.
        count = max(len(images), _LEAST_GENERATED)
        made = generated_images(task.generated_size(choice), getattr(choice.spec, "channels", 3), count)
        reporter.say(f"golden examples: {len(made)} generated images; no image of the data is stored in the model")
        return made
    reporter.say(
        f"golden examples: {len(images)} of your validation images are stored in the saved model and go wherever it "
        "goes; --golden generated stores none of yours"
    )
    return images
