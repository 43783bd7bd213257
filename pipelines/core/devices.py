"""What a run computes on: every GPU that TensorFlow finds, or those of ``CNNAPP_DEVICE``, or the processor."""

from __future__ import annotations

import os

import tensorflow as tf

from pipelines.core import device_choice

__all__ = ["describe", "strategy"]


def strategy() -> tf.distribute.Strategy:
    """Return the strategy for the devices at hand: mirrored over several GPUs, else TensorFlow's default.

    Raises:
        ConfigError: if the device that ``CNNAPP_DEVICE`` names is not there.
    """
    device_choice.apply(tf)
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def describe(over: tf.distribute.Strategy) -> str:
    """Say in words what a strategy computes on, e.g. ``"2 GPUs (NVIDIA H200)"`` or ``"CPU (4 cores)"``."""
    gpus = tf.config.get_visible_devices("GPU")
    if gpus:
        name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "unknown make")
        count = over.num_replicas_in_sync
        return f"{count} GPU{'s' if count > 1 else ''} ({name})"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"CPU ({cores} cores)"
