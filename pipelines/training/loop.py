"""The training loop of all tasks: epochs of steps, the best of them kept, checkpoints by the clock, and resuming.

The compiled parts are in :mod:`pipelines.training.steps`.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.core.errors import ConfigError
from pipelines.core.progress import Meter, Reporter, duration
from pipelines.training import checkpoint
from pipelines.training.config import TrainingConfig
from pipelines.training.optimizers import LEARNING_RATES, make_optimizer, make_schedule
from pipelines.training.steps import Loop, Loss, Metric, Plan

__all__ = ["History", "Loop", "Loss", "Metric", "NotFiniteError", "Plan", "fit", "train_epoch"]

_SECONDS_A_CALL = 0.25
_NAMED = 8  # images of a batch that a message names


class NotFiniteError(ConfigError):
    """A loss, or weights, that are no numbers any more.

    Args:
        step: of the run, from 0.
        what: "the loss is nan", for example.
    """

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"{what} in step {step + 1:,}")
        self.step, self.what = step, what


@dataclass
class History:
    """How a run went.

    Args:
        epochs: a record an epoch: loss and metrics of training, and the same with ``val_`` before the name.
        best_epoch: number of the epoch whose weights were kept, from 1; 0 where none was finished.
        stopped: "finished", "early" (no better result for ``patience`` epochs) or "interrupted" (Ctrl-C).
        seconds: how long it took.
    """

    epochs: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    stopped: str = "finished"
    seconds: float = 0.0


def fit(
    model: keras.Model,
    loss: Loss,
    metrics: dict[str, Metric],
    plan: Plan,
    config: TrainingConfig,
    *,
    strategy: tf.distribute.Strategy | None = None,
    reporter: Reporter | None = None,
    identity: dict[str, Any] | None = None,
    folder: Path | None = None,
    names: Callable[[Iterable[int]], list[str]] | None = None,
) -> History:
    """Train a model; it is left with the weights of the best epoch on the validation images.

    The best epoch is the one with the largest first metric, and among equals the one with the smallest loss. Ctrl-C
    ends the run as if it had been planned to end there; what was learned is kept. The state is kept in the folder of
    the run after each epoch, and within epochs every ``config.checkpoint_minutes``; with ``config.resume`` a run that
    was killed goes on from there.

    Args:
        model: built under the strategy's scope.
        loss: from (targets, outputs) of a batch to one float32 loss an example.
        metrics: by name; the first one chooses the best epoch.
        plan: the data and how often to go through it.
        config: optimizer, schedule, patience, log folder.
        strategy: where the steps run; TensorFlow's current one by default.
        reporter: where progress is shown; standard error by default.
        identity: plain values that tell this run from others, which it must not go on with.
        folder: of the run; ``config.log_dir`` by default, and where there is none either, nothing is kept.
        names: from positions among the training examples to what they are called, for messages.

    Returns:
        How the run went.

    Raises:
        ConfigError: if the loss stops being finite, the folder cannot be written to, or there is no such run to go on
            with.
    """
    strategy = strategy or tf.distribute.get_strategy()
    reporter = reporter or Reporter()
    with strategy.scope():
        optimizer = make_optimizer(config, plan.epochs * plan.steps_per_epoch)
        optimizer.build(model.trainable_variables)
    folder = folder or config.log_dir
    # Those of seed generators are among a model's variables, which its weights leave out.
    keeper = checkpoint.Keeper(folder, identity or {}, [*model.variables, *optimizer.variables])
    run = _Run(model, keeper, next(iter(metrics)), 60 * config.checkpoint_minutes)
    if config.resume:
        run.resume(reporter)
    history = run.history
    done, first, sums = len(history.epochs), run.first, run.sums
    loop = Loop(model, optimizer, loss, metrics, plan, strategy, start=done * plan.steps_per_epoch + first)
    log = _Log(config.log_dir)
    try:
        with reporter.meter("training", plan.epochs * plan.steps_per_epoch * plan.batch_size) as meter:
            meter.advance((done * plan.steps_per_epoch + first) * plan.batch_size)
            for epoch in range(done + 1, plan.epochs + 1):
                if epoch - 1 - run.best.epoch >= config.patience:
                    history.stopped = "early"
                    break
                started = time.monotonic()
                taken = (epoch - 1) * plan.steps_per_epoch
                between = functools.partial(run.keep_in_time, taken)
                sums = train_epoch(loop, plan, epoch, meter, done=first, sums=sums, between=between)
                run.check_weights(taken + plan.steps_per_epoch)
                record = loop.results(sums)
                record |= {f"val_{name}": value for name, value in loop.results(loop.evaluate()).items()}
                history.epochs.append(record)
                better = run.best.offer(epoch, record, model)
                log.write(epoch, record | {"learning_rate": float(optimizer.learning_rate)})
                steps = plan.steps_per_epoch - first
                meter.say(_line(epoch, plan, record, time.monotonic() - started, steps, better))
                first, sums = 0, {}
                run.keep()
    except KeyboardInterrupt:
        history.stopped = "interrupted"
        reporter.say("interrupted; keeping what was learned (press Ctrl-C again to discard it)")
    except NotFiniteError as error:
        raise ConfigError(_diagnosis(error, plan, config, run, folder, names)) from None
    finally:
        log.close()
    run.best.restore(model)
    history.best_epoch, history.seconds = run.best.epoch, run.seconds
    return history


def train_epoch(
    loop: Loop,
    plan: Plan,
    epoch: int,
    meter: Meter,
    *,
    done: int = 0,
    sums: dict[str, Any] | None = None,
    between: Callable[[int, dict[str, Any]], None] | None = None,
) -> dict[str, np.ndarray]:
    """Take an epoch's steps in calls of a fraction of a second each, so that the progress moves and Ctrl-C is heard.

    Args:
        loop: takes the steps.
        plan: says how many.
        epoch: its number, from 1.
        meter: is advanced.
        done: steps of the epoch that were taken before.
        sums: over the examples of those.
        between: called between two calls, with the steps done and the sums so far.

    Returns:
        The sums over the epoch's examples, float64: whatever the number of steps a call, the same bits.

    Raises:
        NotFiniteError: if the loss is no longer finite.
    """
    sums = dict(sums or {})
    count = 1
    while done < plan.steps_per_epoch:
        started = time.monotonic()
        steps = loop.train(count)
        seconds = time.monotonic() - started
        for number in range(count):
            if not np.isfinite(steps["loss"][number]):
                step = (epoch - 1) * plan.steps_per_epoch + done + number
                raise NotFiniteError(step, f"the loss is {float(steps['loss'][number])}")
            sums = {name: sums.get(name, 0.0) + values[number].astype(np.float64) for name, values in steps.items()}
        done += count
        note = "  ".join(f"{name} {value:.4f}" for name, value in loop.results(sums).items())
        meter.advance(count * plan.batch_size, f"epoch {epoch}/{plan.epochs}", note)
        planned = max(1, round(count * _SECONDS_A_CALL / max(seconds, 1e-6)))
        count = min(planned, 2 * count, plan.steps_per_epoch - done)
        if between is not None and done < plan.steps_per_epoch:
            between(done, sums)
    return sums


def _diagnosis(
    error: NotFiniteError,
    plan: Plan,
    config: TrainingConfig,
    run: _Run,
    folder: Path | None,
    names: Callable[[Iterable[int]], list[str]] | None,
) -> str:
    """Say where the numbers ended, on which images, what is kept, and what to do."""
    epoch, step = divmod(error.step, plan.steps_per_epoch)
    rate = float(make_schedule(config, plan.epochs * plan.steps_per_epoch)(error.step))
    parts = [
        f"{error.what} in epoch {epoch + 1}, step {step + 1:,} of {plan.steps_per_epoch:,}, at a learning rate of "
        f"{rate:.3g}"
    ]
    if names is not None and plan.shown is not None:
        found = names(plan.shown(error.step))
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        parts.append(f"its images: {', '.join(found[:_NAMED])}{more}")
    if folder is not None and run.kept:
        best = f"; the best so far are those of epoch {run.best.epoch}" if run.best.epoch else ""
        parts.append(f"the last good weights are kept in {folder / checkpoint.FILE}{best}")
    parts.append(
        f"lower --learning-rate (now {config.learning_rate or LEARNING_RATES[config.optimizer]}), or use --precision "
        f"float32 (now {config.precision})"
    )
    return "; ".join(parts)


def _line(epoch: int, plan: Plan, record: dict[str, float], seconds: float, steps: int, better: bool) -> str:
    names = [name for name in record if not name.startswith("val_")]
    training = "  ".join(f"{name} {record[name]:.4f}" for name in names)
    validation = "  ".join(f"{name} {record[f'val_{name}']:.4f}" for name in names)
    speed = steps * plan.batch_size / seconds
    mark = "  best so far" if better else ""
    return (
        f"epoch {epoch:>{len(str(plan.epochs))}}/{plan.epochs}  train {training}  |  validation {validation}  |  "
        f"{speed:,.0f} images/s  {duration(seconds)}{mark}"
    )


class _Run:
    """What a run knows of itself, and keeps."""

    def __init__(self, model: keras.Model, keeper: checkpoint.Keeper, metric: str, every: float) -> None:
        self.history, self.best = History(), _Best(metric)
        self.first, self.sums, self.kept = 0, dict[str, Any](), False
        self._model, self._keeper, self._every = model, keeper, every
        self._began = self._last = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has gone on, over all its processes."""
        return time.monotonic() - self._began

    def resume(self, reporter: Reporter) -> None:
        """Take up the newest state that is whole."""
        state = self._keeper.restore()
        self.kept = True
        self.history.epochs[:] = state.record["epochs"]
        self._began -= float(state.record["seconds"])
        self.first = int(state.record.get("step", 0))
        self.sums = {name.removeprefix("sum:"): v for name, v in state.arrays.items() if name.startswith("sum:")}
        self.best.take(state)
        done = len(self.history.epochs)
        if self._keeper.note:
            reporter.say(self._keeper.note)
        if self.first:
            reporter.say(f"resuming in epoch {done + 1}, after {self.first} of its steps")
        elif done:
            reporter.say(f"resuming after epoch {done}")

    def keep(self, step: int = 0, sums: dict[str, Any] | None = None) -> None:
        """Write the state: after an epoch, or after some steps of the next one."""
        record = {"epochs": self.history.epochs, "seconds": self.seconds, "step": step}
        arrays = {f"sum:{name}": np.asarray(value) for name, value in (sums or {}).items()}
        self._keeper.keep(checkpoint.State(record | self.best.record(), arrays | self.best.arrays()))
        self.kept, self._last = True, time.monotonic()

    def keep_in_time(self, taken: int, step: int, sums: dict[str, Any]) -> None:
        """Write the state within an epoch, where the last one is old enough.

        Args:
            taken: steps of the epochs before.
            step: steps of this one.
            sums: over the examples of those.
        """
        if time.monotonic() - self._last >= self._every:
            self.check_weights(taken + step)
            self.keep(step, sums)

    def check_weights(self, taken: int) -> None:
        """Refuse weights that are no numbers after so many steps, lest they take the place of good ones."""
        for variable in self._model.weights:
            values = np.asarray(variable)
            if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
                raise NotFiniteError(taken - 1, f"the weights {variable.path} are no longer finite")


class _Best:
    """The weights of the best epoch so far."""

    def __init__(self, metric: str) -> None:
        self.epoch = 0
        self.weights: list[np.ndarray] | None = None
        self.rank = (-math.inf, -math.inf)
        self._metric = metric

    def offer(self, epoch: int, record: dict[str, float], model: keras.Model) -> bool:
        rank = (record[f"val_{self._metric}"], -record["val_loss"])
        if not rank > self.rank:
            return False
        self.epoch, self.rank, self.weights = epoch, rank, model.get_weights()
        return True

    def restore(self, model: keras.Model) -> None:
        if self.weights is not None:
            model.set_weights(self.weights)

    def record(self) -> dict[str, Any]:
        return {"best_epoch": self.epoch, "best_rank": list(self.rank)}

    def arrays(self) -> dict[str, np.ndarray]:
        return {f"best:{i}": values for i, values in enumerate(self.weights or [])}

    def take(self, state: checkpoint.State) -> None:
        self.epoch, self.rank = state.record["best_epoch"], tuple(state.record["best_rank"])
        count = sum(name.startswith("best:") for name in state.arrays)
        self.weights = [state.arrays[f"best:{i}"] for i in range(count)] or None


class _Log:
    """TensorBoard scalars, one point an epoch."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._writer = None if folder is None else tf.summary.create_file_writer(str(folder))

    def write(self, epoch: int, record: dict[str, float]) -> None:
        if self._writer is None:
            return
        try:
            with self._writer.as_default(step=epoch):
                for name, value in record.items():
                    train = not name.startswith("val_")
                    part, name = ("train", name) if train else ("validation", name.removeprefix("val_"))
                    tf.summary.scalar(f"{name}/{part}", value)
            self._writer.flush()
        except tf.errors.OpError as error:
            raise ConfigError(
                f"log-dir: {self._folder} cannot be written to: {error.message}; what was kept before is whole, and "
                "--resume goes on from it"
            ) from None

    def close(self) -> None:
        if self._writer is not None:
            try:
                self._writer.close()
            except tf.errors.OpError:  # the disk is full, which was said
                return
