"""The command that a model was trained with, made again from its card."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from pipelines.classification.config import ClassificationConfig
from pipelines.core.errors import ModelError
from pipelines.detection.config import DetectionConfig
from pipelines.segmentation.config import SegmentationConfig
from pipelines.training.config import TrainingConfig

if TYPE_CHECKING:
    from pipelines.artifacts.model_card import ModelCard

__all__ = ["another_command", "configuration", "training_command", "training_options"]

_CONFIGURATIONS: dict[str, type[TrainingConfig]] = {
    "classification": ClassificationConfig,
    "detection": DetectionConfig,
    "segmentation": SegmentationConfig,
}
_JOINTS = {"image_size": "x", "window": "x", "crop": "x", "scales": ",", "loss": "+"}
"""How a value of several parts is written on the command line."""
_TESTED_ON = ", tested on "  # of pipelines.data.partition, where --test names another set


def configuration(card: ModelCard) -> TrainingConfig:
    """Return the configuration that a card records.

    Raises:
        ModelError: if the card is of another version of this project, whose options are others.
    """
    from pipelines.core.errors import ConfigError

    try:
        return _CONFIGURATIONS[card.task].parse(**card.training)
    except (KeyError, ConfigError) as error:
        raise ModelError(f"{card.name}/{card.version}: its card is of another version: {error}") from None


def training_options(card: ModelCard) -> list[str]:
    """Return the options that differ from the defaults, as words of a command line.

    Args:
        card: of the model. What was chosen from the data when it was trained is on the card, and therefore among them.

    Raises:
        ModelError: as for :func:`configuration`.
    """
    config = configuration(card)
    data, _, test = str(card.training["data"]).partition(_TESTED_ON)
    words = ["--data", data, "--name", card.name, *(["--test", test] if test else [])]
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name != "data" and value != field.get_default(call_default_factory=True):
            words += _words(name, value)
    return words


def _words(name: str, value: Any) -> list[str]:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    if isinstance(value, tuple):
        parts = list(dict.fromkeys(value)) if _JOINTS[name] == "x" else value
        return [f"--{option}", _JOINTS[name].join(map(_text, parts))]
    return [f"--{option}", _text(value)]


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def training_command(card: ModelCard) -> str:
    """Return the command that trains such a model again.

    Args:
        card: of the model.

    Raises:
        ModelError: as for :func:`configuration`.

    Example:
        command = training_command(read_card(resolve("digits")))  # cnnapp train classification --data digits ...
    """
    return shlex.join(["cnnapp", "train", card.task, *training_options(card)])


def another_command(card: ModelCard) -> str:
    """Return a command that trains another model on the same data, for half as long, to compare the two.

    Args:
        card: of the model.

    Example:
        command = another_command(read_card(resolve("digits")))
        # cnnapp train classification --data digits --epochs 15 --name digits-other
    """
    data = str(card.training["data"]).partition(_TESTED_ON)[0]
    # Of the same seed, so that the test images of one are those of the other.
    epochs = max(1, int(card.training["epochs"]) // 2)
    seed = configuration(card).seed
    words = [
        "--data",
        data,
        "--epochs",
        str(epochs),
        *(["--seed", str(seed)] if seed else []),
        "--name",
        f"{card.name}-other",
    ]
    return shlex.join(["cnnapp", "train", card.task, *words])
