"""The loop: it learns, it repeats itself, it stops when asked, and it runs on several devices."""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipelines.classification import network as network_of
from pipelines.classification.config import ClassificationConfig
from pipelines.core.errors import ConfigError
from pipelines.detection.loss import detection_loss, detection_metrics
from pipelines.detection.sliding_window import ScanSpec
from pipelines.training import checkpoint, loop
from pipelines.training.cached_dataset import EpochOrder, Pixels, in_order, shuffled
from pipelines.training.loop import Plan
from pipelines.training.optimizers import make_optimizer
from places import ROOT


def problem(count: int = 96, seed: int = 0) -> Pixels:
    """Images that are bright on the left or on the right."""
    dice = np.random.default_rng(seed)
    labels = dice.integers(0, 2, count).astype(np.int32)
    images = dice.integers(0, 100, (count, 6, 6, 1)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, 3 * label : 3 * label + 3] += 100
    return Pixels(images, labels)


def network() -> keras.Model:
    return keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(2)]
    )


def run(quiet, model: keras.Model | None = None, batch_size: int = 16, epochs: int = 4, **options: Any):
    config = ClassificationConfig.parse(**options)
    keras.utils.set_random_seed(config.seed)
    model = model or network()
    train, validation = problem(), problem(40, seed=1)
    plan = Plan(
        train=functools.partial(
            shuffled, train, batch_size, config.seed, lambda x, _: tf.cast(x, tf.float32), np.ones(2)
        ),
        validation=in_order(validation, 16),
        steps_per_epoch=len(train) // batch_size,
        batch_size=batch_size,
        epochs=epochs,
    )
    loss, metrics = network_of.loss(config), network_of.metrics(config)
    return model, loop.fit(model, loss, metrics, plan, config, reporter=quiet)


def test_it_learns_and_keeps_the_best_epoch(quiet):
    model, history = run(quiet, epochs=12, learning_rate=0.05)
    assert history.stopped == "finished"
    best = history.epochs[history.best_epoch - 1]
    assert best["val_accuracy"] == max(record["val_accuracy"] for record in history.epochs) == 1.0
    pixels = problem(40, seed=1)
    right = np.asarray(model(pixels.images.astype("float32"))).argmax(axis=1) == pixels.labels
    assert right.mean() == best["val_accuracy"]


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_every_optimizer_learns_in_every_precision(quiet, optimizer: str, precision: str):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        model = network()
        _, history = run(quiet, model, epochs=12, optimizer=optimizer, precision=precision, learning_rate=0.05)
    finally:
        keras.config.set_dtype_policy(before)
    assert history.epochs[-1]["loss"] < 0.6 * history.epochs[0]["loss"]


def test_a_run_repeats_itself(quiet):
    first, history = run(quiet, seed=3)
    second, again = run(quiet, seed=3)
    for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
        assert np.array_equal(a, b)
    assert history.epochs == again.epochs
    other, _ = run(quiet, seed=4)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def test_one_step_is_what_keras_fit_does(quiet):
    """The same batch, the same optimizer: the same weights as Keras's own loop."""
    model = network()
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    run(quiet, model, batch_size=96, epochs=3, schedule="constant", warmup=0.0, learning_rate=0.01, weight_decay=0.0)
    twin.compile(keras.optimizers.AdamW(0.01, weight_decay=0.0),
                 keras.losses.SparseCategoricalCrossentropy(from_logits=True))  # fmt: skip
    pixels = problem()
    twin.fit(pixels.images.astype("float32"), pixels.labels, batch_size=96, epochs=3, verbose=0, shuffle=False)
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert np.allclose(a, b, atol=1e-5)


def test_it_stops_early_when_nothing_gets_better(quiet):
    _, history = run(quiet, epochs=30, patience=2, learning_rate=1e-9)
    assert history.stopped == "early"
    assert len(history.epochs) < 30


def test_ctrl_c_keeps_what_was_learned(quiet, monkeypatch: pytest.MonkeyPatch):
    evaluate = loop.Loop.evaluate
    calls = []

    def interrupt(self):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return evaluate(self)

    monkeypatch.setattr(loop.Loop, "evaluate", interrupt)
    _, history = run(quiet, epochs=30, learning_rate=0.05)
    assert history.stopped == "interrupted"
    assert len(history.epochs) == 2
    assert history.best_epoch in (1, 2)


def test_a_loss_that_is_not_finite_is_said(quiet):
    with pytest.raises(ConfigError, match=r"the loss is .* in epoch 1.*lower --learning-rate"):
        run(quiet, optimizer="sgd", learning_rate=1e30, epochs=5)


def test_where_the_numbers_end_is_said_and_the_last_good_ones_are_kept(quiet, tmp_path: Path):
    """An image that makes the loss infinite, in the second epoch: its step, its batch, and the state before it."""
    model = network()
    images = problem().images.astype(np.float32)
    order = EpochOrder(len(images), 0)
    bad = 6 + 3  # step 3 of the second epoch of 6 steps

    def train(start: int) -> tf.data.Dataset:
        def batches():
            for step in itertools.count(start):
                shown = order.batch(step, 16)
                pixels = np.full((16, 6, 6, 1), np.nan, np.float32) if step == bad else images[shown]
                yield pixels, problem().labels[shown], np.ones(16, np.float32)

        kinds = [((16, 6, 6, 1), tf.float32), ((16,), tf.int32), ((16,), tf.float32)]
        return tf.data.Dataset.from_generator(
            batches, output_signature=tuple(tf.TensorSpec(shape, kind) for shape, kind in kinds)
        )

    config = ClassificationConfig.parse(log_dir=tmp_path, schedule="constant", warmup=0.0, learning_rate=0.01)
    plan = Plan(train, in_order(problem(40, seed=1), 16), 6, 16, 3, shown=functools.partial(order.batch, size=16))
    losses = network_of.loss(config), network_of.metrics(config)
    with pytest.raises(ConfigError) as caught:
        loop.fit(model, *losses, plan, config, reporter=quiet, names=lambda at: [f"image-{i}.png" for i in at])
    said = str(caught.value)
    assert "in epoch 2, step 4 of 6, at a learning rate of 0.01" in said
    first = list(order.batch(bad, 16))[:8]
    assert f"its images: {', '.join(f'image-{i}.png' for i in first)} and 8 more" in said
    assert str(tmp_path / checkpoint.FILE) in said
    state = checkpoint.read(tmp_path / checkpoint.FILE)
    assert len(state.record["epochs"]) == 1
    assert all(np.isfinite(values).all() for values in state.arrays.values())


def test_decay_spares_biases_and_norms(quiet):
    model = keras.Sequential(
        [keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    )
    optimizer = make_optimizer(ClassificationConfig.parse(weight_decay=0.5), 10)
    optimizer.build(model.trainable_variables)
    decayed = {variable.path for variable in model.trainable_variables if optimizer._use_weight_decay(variable)}
    assert all(path.endswith("kernel") for path in decayed)
    assert len(decayed) == 1


def test_the_schedule_warms_up_and_falls():
    optimizer = make_optimizer(ClassificationConfig.parse(learning_rate=1.0, warmup=0.1), 100)
    schedule = optimizer._learning_rate
    rates = [float(schedule(step)) for step in range(101)]
    assert rates[0] == 0.0
    assert max(rates) == pytest.approx(rates[10]) == pytest.approx(1.0)
    assert rates[100] == pytest.approx(0.01)
    constant = make_optimizer(
        ClassificationConfig.parse(learning_rate=1.0, warmup=0.0, schedule="constant"), 100
    )._learning_rate
    assert float(constant(0)) == float(constant(99)) == 1.0


def test_figures_go_to_tensorboard(quiet, tmp_path: Path):
    run(quiet, epochs=2, log_dir=tmp_path)
    found = {}
    for path in tmp_path.rglob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found.setdefault(value.tag, []).append(event.step)
    assert found["accuracy/validation"] == [1, 2]
    assert {"loss/train", "loss/validation", "accuracy/train", "learning_rate/train"} <= set(found)


def test_batches_are_a_pure_function_of_seed_and_step():
    pixels = problem(10)

    def batches(start: int, count: int) -> list[np.ndarray]:
        dataset = shuffled(
            pixels, 4, 5, lambda x, s: tf.cast(x, tf.float32) + tf.cast(s[1], tf.float32), np.ones(2), start
        )
        return [images.numpy() for images, _, _ in dataset.take(count)]

    whole, late = batches(0, 7), batches(3, 4)
    for a, b in zip(whole[3:], late, strict=True):
        assert np.array_equal(a, b)


def test_an_epoch_shows_no_image_twice():
    pixels = Pixels(np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1), np.zeros(12, np.int32))
    dataset = shuffled(pixels, 4, 0, lambda x, _: tf.cast(x, tf.float32), np.ones(1))
    seen = [images.numpy().ravel() for images, _, _ in dataset.take(6)]
    first, second = np.concatenate(seen[:3]), np.concatenate(seen[3:])
    assert sorted(first) == sorted(second) == list(range(12))
    assert first.tolist() != second.tolist()


def test_validation_sees_every_image_once_in_order():
    pixels = Pixels(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), np.arange(10, dtype=np.int32))
    labels = [labels.numpy().tolist() for _, labels, _ in in_order(pixels, 4)]
    assert labels == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_devices_learn_what_one_learns(optimizer: str):
    """A mirrored strategy over two processors-as-devices ends with the weights of a run without one."""
    code = """
        import sys
        sys.path[:0] = ["tests/pipelines/training", "tests/helpers"]
        import numpy as np, tensorflow as tf, keras
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
        from test_loop import network, problem
        from pipelines.training import loop
        from pipelines.classification import network as network_of
        from pipelines.classification.config import ClassificationConfig
        from pipelines.training.cached_dataset import in_order, shuffled
        from pipelines.core.progress import Reporter
        weights = []
        for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
            config = ClassificationConfig.parse(learning_rate=0.05, optimizer=sys.argv[1])
            keras.utils.set_random_seed(0)
            with strategy.scope():
                model = network()
            plan = loop.Plan(
                lambda start: shuffled(problem(), 16, 0, lambda x, _: tf.cast(x, tf.float32), np.ones(2), start),
                in_order(problem(41, 1), 16), 6, 16, 3)
            history = loop.fit(model, network_of.loss(config), network_of.metrics(config), plan, config,
                                   strategy=strategy, reporter=Reporter(quiet=True))
            weights.append((model.get_weights(), history.epochs[-1]))
        for a, b in zip(weights[0][0], weights[1][0]):
            np.testing.assert_allclose(a, b, atol=1e-5)
        for name, value in weights[0][1].items():
            np.testing.assert_allclose(value, weights[1][1][name], atol=1e-5)
        print("same")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), optimizer], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stdout.strip() == "same", done.stderr[-3000:]


def test_weights_and_figures_do_not_depend_on_how_many_calls_the_steps_are_divided_among():
    """How many there are depends on time; a step outside of the others' loop was optimised in another way."""
    spec = ScanSpec((12, 12), 4, 1, (10.0, 10.0), (1.0,))
    dice = np.random.default_rng(0)
    shape = (3, 24, 8, 8)
    targets = dice.integers(-1, 3, shape).astype(np.int32), dice.uniform(1, 9, (*shape, 4)).astype(np.float32)
    inputs = dice.uniform(0, 255, (3, 24, 40, 40, 1)).astype(np.float32)
    batches = tf.data.Dataset.from_tensor_slices((inputs, targets, np.ones((3, 24), np.float32)))
    plan = Plan(batches.skip, batches.take(1), steps_per_epoch=3, batch_size=24, epochs=1)
    found = []
    for calls in ([1, 1, 1], [3]):
        model = small_detector()
        optimizer = make_optimizer(ClassificationConfig.parse(), 10)
        optimizer.build(model.trainable_variables)
        steps = loop.Loop(
            model, optimizer, detection_loss(spec), detection_metrics(spec), plan, tf.distribute.get_strategy()
        )
        taken = [steps.train(count) for count in calls]
        figures = [np.concatenate([one[name] for one in taken]) for name in sorted(taken[0])]
        found.append([*model.get_weights(), *figures])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def small_detector() -> keras.Model:
    keras.utils.set_random_seed(0)
    x = pixels = keras.Input((None, None, 1))
    for kernel_size in (5, 3):
        x = keras.layers.Conv2D(8, kernel_size, strides=2, activation="relu", use_bias=False)(x)
    heads = [keras.layers.Conv2D(filters, 1)(x) for filters in (2, 4)]
    return keras.Model(pixels, keras.layers.Concatenate()(heads))


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    quiet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
):
    options = {"epochs": 6, "learning_rate": 0.02, "optimizer": optimizer, "deterministic": True}
    whole, expected = run(quiet, model=chancy(), **options)
    evaluate = loop.Loop.evaluate
    calls = []

    def die(self):
        calls.append(1)
        if len(calls) == 4:
            raise Killed
        return evaluate(self)

    monkeypatch.setattr(loop.Loop, "evaluate", die)
    with pytest.raises(Killed):
        run(quiet, model=chancy(), log_dir=tmp_path, **options)
    monkeypatch.setattr(loop.Loop, "evaluate", evaluate)
    model, history = run(quiet, model=chancy(), log_dir=tmp_path, resume=True, **options)
    assert history.epochs == expected.epochs
    assert history.best_epoch == expected.best_epoch
    for found, wanted in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    # Behind the last epoch there is nothing left to do.
    again, _ = run(quiet, model=chancy(), log_dir=tmp_path, resume=True, **options)
    np.testing.assert_array_equal(again.get_weights()[0], whole.get_weights()[0])


@pytest.mark.parametrize("calls", [1, 2, 5, 9])
def test_a_run_that_was_killed_within_an_epoch_loses_no_more_than_since_the_last_checkpoint(
    quiet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: int
):
    options = {"epochs": 3, "learning_rate": 0.02, "deterministic": True, "batch_size": 4, "checkpoint_minutes": 1e-9}
    # One step a call, so that there is something between two calls.
    monkeypatch.setattr(loop, "_SECONDS_A_CALL", 0.0)
    whole, expected = run(quiet, model=chancy(), **options)
    train, left = loop.Loop.train, [calls]

    def die(self, count):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return train(self, count)

    monkeypatch.setattr(loop.Loop, "train", die)
    with pytest.raises(Killed):
        run(quiet, model=chancy(), log_dir=tmp_path, **options)
    left[0] = -1
    assert checkpoint.read(tmp_path / checkpoint.FILE).record["step"] == calls
    model, history = run(quiet, model=chancy(), log_dir=tmp_path, resume=True, **options)
    # The figures as well: steps are added up one after the other, however many go into a call.
    assert history.epochs == expected.epochs
    for found, wanted in zip(model.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)


def chancy() -> keras.Model:
    """A network with a layer that draws: the state of its generator is part of the run."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(2),
        ]
    )


def test_another_run_is_not_gone_on_with(quiet, tmp_path: Path):
    with pytest.raises(ConfigError, match="no interrupted run in"):
        run(quiet, log_dir=tmp_path, resume=True)
    with pytest.raises(ConfigError, match="requires --log-dir"):
        run(quiet, resume=True)
    run(quiet, epochs=2, log_dir=tmp_path)
    for name in (checkpoint.FILE, checkpoint.BEFORE):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:100])
    with pytest.raises(ConfigError, match="cannot be read"):
        run(quiet, epochs=2, log_dir=tmp_path, resume=True)
