"""The compiled parts of a training run: many steps in one call, and one pass over the validation images.

Many steps run inside one ``tf.function`` call, which leaves Python out of the way and still stops within a fraction of
a second; the order of the data is a pure function of (seed, step), and every ``tf.distribute`` strategy works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

__all__ = ["Loop", "Loss", "Metric", "Plan"]

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
        shown: from the number of a step to the positions of its examples among the training examples; None where that
            is not known.
    """

    train: Callable[[int], tf.data.Dataset]
    validation: tf.data.Dataset
    steps_per_epoch: int
    batch_size: int
    epochs: int
    shown: Callable[[int], Iterable[int]] | None = None


class Loop:
    """The compiled parts of a run.

    Args:
        model: built under the strategy's scope.
        optimizer: built for the model's variables.
        loss: from (targets, outputs) of a batch to one float32 loss an example.
        metrics: by name.
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

    def train(self, count: int) -> dict[str, np.ndarray]:
        """Take ``count`` steps; return what each of them gave, stacked: loss, metrics and number of examples.

        Each is the same bits, and leaves the same weights, however many calls the steps are divided among.
        """
        steps = self._train_many(self._batches, tf.constant(count))
        return {name: value.numpy() for name, value in steps.items()}

    def evaluate(self) -> dict[str, np.ndarray]:
        """Go over the validation images once; return the sums over them, float64."""
        totals: dict[str, Any] = {}
        for batch in self._validation:
            for name, value in self._evaluate_one(batch).items():
                totals[name] = totals.get(name, 0.0) + value.numpy().astype(np.float64)
        return totals

    def results(self, sums: dict[str, np.ndarray]) -> dict[str, float]:
        """Turn sums into the loss and the metrics."""
        count = float(sums["count"])
        figures = {"loss": float(sums["loss"]) / count}
        return figures | {name: metric.result(sums[name], count) for name, metric in self._metrics.items()}

    def _many_steps(self, batches: Any, count: tf.Tensor) -> dict[str, tf.Tensor]:
        # Every step's own numbers, and not their sum: how many steps go into a call depends on the machine's speed, and
        # float32 sums on how they are put together.
        given = self._one_step.get_concrete_function(batches).structured_outputs
        taken = {
            name: tf.TensorArray(value.dtype, size=count, element_shape=value.shape) for name, value in given.items()
        }
        # All steps are in the loop, and the same function. The first of a call, when it stood before the others, was
        # optimised in another way by TensorFlow: the last bits of the weights then depended on speed as well.
        for number in tf.range(count):
            step = self._one_step(batches)
            taken = {name: taken[name].write(number, step[name]) for name in taken}
        return {name: values.stack() for name, values in taken.items()}

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
        return {name: self._strategy.reduce(together, value, axis=None) for name, value in sums.items()}
