"""The training loop of all tasks.

Many steps run inside one ``tf.function`` call, which leaves Python out of the way and still stops within a fraction of
a second; the order of the data is a pure function of (seed, step), and every ``tf.distribute`` strategy works.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pipelines.core.errors import ConfigError
from pipelines.core.progress import Meter, Reporter, duration
from pipelines.training import checkpoint
from pipelines.training.config import TrainingConfig
from pipelines.training.optimizers import LEARNING_RATES, make_optimizer

__all__ = ["History", "Loop", "Metric", "Plan", "fit", "train_epoch"]

_SECONDS_A_CALL = 0.25

Loss = Callable[[Any, tf.Tensor], tf.Tensor]


class Metric(NamedTuple):
    """A measure that adds up over batches.

    Args:
        measure: from (targets, outputs) of a batch to a tensor that is summed over all batches.
        result: from that sum and the number of examples to the figure; larger is better.
    """

    measure: Callable[[Any, tf.Tensor], tf.Tensor]
    result: Callable[[np.ndarray, float], float]


@dataclass(frozen=True)
class Plan:
    """What a run goes through.

    Args:
        train: from the number of a step to the batches (inputs, targets, weights) from it on, without end.
        validation: gives all batches (inputs, targets, weights) of the validation images once.
        steps_per_epoch: training batches an epoch.
        batch_size: examples a training batch, over all replicas together.
        epochs: at most this many.
    """

    train: Callable[[int], tf.data.Dataset]
    validation: tf.data.Dataset
    steps_per_epoch: int
    batch_size: int
    epochs: int


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


class Loop:
    """The compiled parts of a run: many training steps, and one pass over the validation images.

    Args:
        model: built under the strategy's scope.
        optimizer: built for the model's variables.
        loss: as of :func:`fit`.
        metrics: as of :func:`fit`.
        plan: the data.
        strategy: where the steps run.
        start: number of the first step.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: Loss,
        metrics: dict[str, Metric],
        plan: Plan,
        strategy: tf.distribute.Strategy,
        start: int = 0,
    ) -> None:
        self._model, self._optimizer, self._loss, self._metrics = model, optimizer, loss, metrics
        self._batch_size, self._strategy = plan.batch_size, strategy
        self._batches: Iterator[Any] = iter(self._distribute(plan.train(start)))
        self._validation = self._distribute(plan.validation)
        self._one_step = tf.function(self._next_step)
        self._train_many = tf.function(self._many_steps)
        self._evaluate_one = tf.function(self._evaluate_batch, reduce_retracing=True)

    def _distribute(self, dataset: tf.data.Dataset) -> Any:
        if self._strategy.num_replicas_in_sync == 1:
            return dataset
        return self._strategy.experimental_distribute_dataset(dataset)

    def train(self, count: int, sums: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
        """Take ``count`` steps; return the sums over their examples.

        Weights and sums are the same bits however many calls the steps are divided among.

        Args:
            count: number of steps.
            sums: of the steps before, to which these are added one by one; float64.
        """
        if sums is None:
            outputs = self._one_step.get_concrete_function(self._batches).structured_outputs
            sums = {name: np.zeros(value.shape, np.float64) for name, value in outputs.items()}
        found = self._train_many(self._batches, tf.constant(count), {name: tf.constant(sums[name]) for name in sums})
        return {name: value.numpy() for name, value in found.items()}

    def evaluate(self) -> dict[str, np.ndarray]:
        """Go over the validation images once; return the sums over them, float64."""
        totals: dict[str, Any] = {}
        for batch in self._validation:
            for name, value in self._evaluate_one(batch).items():
                totals[name] = totals.get(name, 0.0) + value
        return {name: value.numpy() for name, value in totals.items()}

    def results(self, sums: dict[str, np.ndarray]) -> dict[str, float]:
        """Turn sums into the loss and the metrics."""
        count = float(sums["count"])
        figures = {"loss": float(sums["loss"]) / count}
        return figures | {name: metric.result(sums[name], count) for name, metric in self._metrics.items()}

    def _many_steps(self, batches: Any, count: tf.Tensor, sums: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        # All steps are in the loop: one before it, that others are added to, would be optimised differently, and where
        # calls begin depends on time.
        for _ in tf.range(count):
            step = self._one_step(batches)
            sums = {name: sums[name] + step[name] for name in sums}
        return sums

    def _next_step(self, batches: Any) -> dict[str, tf.Tensor]:
        return self._reduce(self._strategy.run(self._step, args=(next(batches),)))

    def _step(self, batch: tuple[tf.Tensor, Any, tf.Tensor]) -> dict[str, tf.Tensor]:
        inputs, targets, weights = batch
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = self._model(inputs, training=True)
            losses = self._loss(targets, outputs)
            objective = tf.reduce_sum(losses * weights) / self._batch_size
            if self._model.losses:
                objective += tf.add_n(self._model.losses) / self._strategy.num_replicas_in_sync
            scaled = self._optimizer.scale_loss(objective)
        gradients = tape.gradient(scaled, [variable.value for variable in variables])
        self._optimizer.apply(gradients, variables)
        return self._sums(targets, outputs, losses)

    def _evaluate_batch(self, batch: Any) -> dict[str, tf.Tensor]:
        def measure(batch: tuple[tf.Tensor, Any, tf.Tensor]) -> dict[str, tf.Tensor]:
            inputs, targets, _ = batch
            outputs = self._model(inputs, training=False)
            return self._sums(targets, outputs, self._loss(targets, outputs))

        return self._reduce(self._strategy.run(measure, args=(batch,)))

    def _sums(self, targets: Any, outputs: tf.Tensor, losses: tf.Tensor) -> dict[str, tf.Tensor]:
        sums = {name: metric.measure(targets, outputs) for name, metric in self._metrics.items()}
        return sums | {"loss": tf.reduce_sum(losses), "count": tf.cast(tf.size(losses), tf.float32)}

    def _reduce(self, sums: dict[str, Any]) -> dict[str, tf.Tensor]:
        together = tf.distribute.ReduceOp.SUM
        found = {name: self._strategy.reduce(together, value, axis=None) for name, value in sums.items()}
        return {name: tf.cast(value, tf.float64) for name, value in found.items()}


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
) -> History:
    """Train a model; it is left with the weights of the best epoch on the validation images.

    The best epoch is the one with the largest first metric, and among equals the one with the smallest loss. Ctrl-C
    ends the run as if it had been planned to end there; what was learned is kept. Where there is a log folder, the
    state after each epoch is kept in it, and with ``config.resume`` a run that was killed goes on from there.

    Args:
        model: built under the strategy's scope.
        loss: from (targets, outputs) of a batch to one float32 loss an example.
        metrics: by name; the first one chooses the best epoch.
        plan: the data and how often to go through it.
        config: optimizer, schedule, patience, log folder.
        strategy: where the steps run; TensorFlow's current one by default.
        reporter: where progress is shown; standard error by default.
        identity: plain values that tell this run from others, which it must not go on with.

    Returns:
        How the run went.

    Raises:
        ConfigError: if the loss stops being finite, or there is no such run to go on with.
    """
    strategy = strategy or tf.distribute.get_strategy()
    reporter = reporter or Reporter()
    with strategy.scope():
        optimizer = make_optimizer(config, plan.epochs * plan.steps_per_epoch)
        optimizer.build(model.trainable_variables)
    history = History()
    best = _Best(next(iter(metrics)))
    # Those of seed generators are among a model's variables, which its weights leave out.
    variables = [*model.variables, *optimizer.variables]
    keeper = checkpoint.Keeper(config.log_dir, identity or {}, variables)
    before = 0.0
    if config.resume:
        state = keeper.restore()
        history.epochs[:], before = state.record["epochs"], float(state.record["seconds"])
        best.take(state)
    done = len(history.epochs)
    loop = Loop(model, optimizer, loss, metrics, plan, strategy, start=done * plan.steps_per_epoch)
    log = _Log(config.log_dir)
    started = time.monotonic() - before
    total = plan.epochs * plan.steps_per_epoch * plan.batch_size
    if done:
        reporter.say(f"resuming after epoch {done}")
    try:
        with reporter.meter("training", total) as meter:
            meter.advance(done * plan.steps_per_epoch * plan.batch_size)
            for epoch in range(done + 1, plan.epochs + 1):
                if epoch - 1 - best.epoch >= config.patience:
                    history.stopped = "early"
                    break
                epoch_started = time.monotonic()
                record = loop.results(train_epoch(loop, plan, epoch, meter, config))
                record |= {f"val_{name}": value for name, value in loop.results(loop.evaluate()).items()}
                history.epochs.append(record)
                better = best.offer(epoch, record, model)
                log.write(epoch, record | {"learning_rate": float(optimizer.learning_rate)})
                meter.say(_line(epoch, plan, record, time.monotonic() - epoch_started, better))
                so_far: dict[str, Any] = {"epochs": history.epochs, "seconds": time.monotonic() - started}
                keeper.keep(checkpoint.State(so_far | best.record(), best.arrays()))
    except KeyboardInterrupt:
        history.stopped = "interrupted"
        reporter.say("interrupted; keeping what was learned (press Ctrl-C again to discard it)")
    finally:
        log.close()
    best.restore(model)
    history.best_epoch, history.seconds = best.epoch, time.monotonic() - started
    return history


def train_epoch(loop: Loop, plan: Plan, epoch: int, meter: Meter, config: TrainingConfig) -> dict[str, np.ndarray]:
    """Take an epoch's steps in calls of a fraction of a second each, so that the progress moves and Ctrl-C is heard.

    Args:
        loop: takes the steps.
        plan: says how many.
        epoch: its number, from 1.
        meter: is advanced.
        config: for the message where the loss is no longer finite.

    Returns:
        The sums over the epoch's examples.

    Raises:
        ConfigError: if the loss is no longer finite.
    """
    sums: dict[str, np.ndarray] | None = None
    done, count = 0, 1
    while done < plan.steps_per_epoch:
        started = time.monotonic()
        sums = loop.train(count, sums)
        seconds = time.monotonic() - started
        done += count
        figures = loop.results(sums)
        if not math.isfinite(figures["loss"]):
            raise ConfigError(
                f"the loss is {figures['loss']} in epoch {epoch}, after {done} of its steps; lower --learning-rate "
                f"(now {config.learning_rate or LEARNING_RATES[config.optimizer]}), or use --precision float32 "
                f"(now {config.precision})"
            )
        note = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
        meter.advance(count * plan.batch_size, f"epoch {epoch}/{plan.epochs}", note)
        planned = max(1, round(count * _SECONDS_A_CALL / max(seconds, 1e-6)))
        count = min(planned, 2 * count, plan.steps_per_epoch - done)
    return sums


def _line(epoch: int, plan: Plan, record: dict[str, float], seconds: float, better: bool) -> str:
    names = [name for name in record if not name.startswith("val_")]
    training = "  ".join(f"{name} {record[name]:.4f}" for name in names)
    validation = "  ".join(f"{name} {record[f'val_{name}']:.4f}" for name in names)
    speed = plan.steps_per_epoch * plan.batch_size / seconds
    mark = "  best so far" if better else ""
    return (
        f"epoch {epoch:>{len(str(plan.epochs))}}/{plan.epochs}  train {training}  |  validation {validation}  |  "
        f"{speed:,.0f} images/s  {duration(seconds)}{mark}"
    )


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
        self._writer = None if folder is None else tf.summary.create_file_writer(str(folder))

    def write(self, epoch: int, record: dict[str, float]) -> None:
        if self._writer is None:
            return
        with self._writer.as_default(step=epoch):
            for name, value in record.items():
                part, name = ("validation", name.removeprefix("val_")) if name.startswith("val_") else ("train", name)
                tf.summary.scalar(f"{name}/{part}", value)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
