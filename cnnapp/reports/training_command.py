"""The command that a model was trained with, made again from its card."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import ConfigError, ModelError
from pipelines.core.options import options_of
from pipelines.tasks.registry import find_task
from pipelines.training.config import TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.artifacts.model_card import ModelCard

__all__ = ["another_command", "configuration", "recorded", "training_command", "training_options"]

_TESTED_ON = ", tested on "  # of pipelines.data.partition, where --test names another set


def configuration(card: ModelCard) -> TrainingConfig:
    """Return the configuration that a card records.

    Raises:
        ModelError: if the card is of another version of this project, whose options are others.
    """
    try:
        return find_task(card.task).config.parse(**card.training)
    except ConfigError as error:
        raise ModelError(f"{card.name}/{card.version}: its card is of another version: {error}") from None


def recorded(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that a card records, with those apart that it records as one: --data and --test.

    Args:
        training: of the card.
    """
    data, _, test = str(training["data"]).partition(_TESTED_ON)
    return dict(training) | {"data": data} | ({"test": test} if test else {})


def training_options(card: ModelCard) -> list[str]:
    """Return the options that differ from the defaults, as words of a command line.

    Args:
        card: of the model. What was chosen from the data when it was trained is on the card, and therefore among them.

    Raises:
        ModelError: as for :func:`configuration`.
    """
    config, apart = configuration(card), recorded(card.training)
    options = options_of(type(config))
    words = [*options["data"].words(apart["data"]), "--name", card.name]
    if "test" in apart:
        words += options["test"].words(apart["test"])
    for name in type(config).model_fields:
        value = getattr(config, name)
        if name != "data" and value != options[name].default:
            words += options[name].words(value)
    return words


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
    data = recorded(card.training)["data"]
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
