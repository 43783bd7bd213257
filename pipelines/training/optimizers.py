"""Optimizers with their schedules."""

from __future__ import annotations

import keras

from pipelines.training.config import TrainingConfig
from pipelines.training.muon import KernelMuon

__all__ = ["LEARNING_RATES", "make_optimizer", "make_schedule"]

LEARNING_RATES = {"adamw": 2e-3, "muon": 2e-3, "sgd": 0.1}


# Both are decoupled from the gradient: each step takes this share, times the learning rate, off a kernel.
_WEIGHT_DECAYS = {"adamw": 0.05, "muon": 0.05, "sgd": 5e-4}


def make_schedule(config: TrainingConfig, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """Make the schedule of the learning rate: a linear warm-up, then half a cosine to a hundredth, or constant.

    Args:
        config: names the optimizer, the peak learning rate and the warm-up's share.
        steps: updates in the whole run.
    """
    rate = config.learning_rate or LEARNING_RATES[config.optimizer]
    warmup = min(round(config.warmup * steps), steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else rate,
        decay_steps=max(1, steps - warmup),
        alpha=0.01 if config.schedule == "cosine" else 1.0,
        warmup_target=rate if warmup else None,
        warmup_steps=warmup,
    )


def make_optimizer(config: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    """Make the optimizer with its schedule: a linear warm-up, then half a cosine down to a hundredth, or constant.

    Args:
        config: names the optimizer, the peak learning rate, the warm-up's share and the weight decay.
        steps: updates in the whole run.

    Returns:
        An optimizer that decays kernels only. In float16 it scales the loss so that small gradients survive.

    Reference:
        Loshchilov, Hutter (2019), "Decoupled Weight Decay Regularization"; (2017), "SGDR".
    """
    decay = _WEIGHT_DECAYS[config.optimizer] if config.weight_decay is None else config.weight_decay
    schedule = make_schedule(config, steps)
    if config.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=decay)
    elif config.optimizer == "muon":
        optimizer = KernelMuon(schedule, weight_decay=decay)
    else:
        optimizer = keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, weight_decay=decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "coefficient"])
    if config.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
