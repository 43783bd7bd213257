"""A saved model's network, built again; and the model written anew, with what this version gives a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from pipelines.artifacts import writer
from pipelines.artifacts.golden import GOLDEN_TOLERANCE, read_golden
from pipelines.artifacts.model_card import ModelCard
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError, ModelError
from pipelines.tasks.registry import find_task, task_names

__all__ = ["network", "renew", "unweighted"]


def unweighted(card: ModelCard) -> keras.Model:
    """Build the network of a saved model from its card: a saved model holds its operations, but no layers.

    Args:
        card: of the saved model.

    Returns:
        The network, as :mod:`pipelines.models` has it, with weights that nobody trained.

    Raises:
        ModelError: if this version does not know the task or an option, or builds another network for it.
    """
    called = f"{card.name}/{card.version}"
    if card.task not in task_names():
        raise ModelError(f"{called}: is for {card.task}; this version knows {', '.join(task_names())}")
    try:
        model = find_task(card.task).rebuild(card)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{called}: its card is of another version: {error}") from None
    if model.count_params() != card.parameters:
        raise ModelError(
            f"{called}: this version builds a network with {model.count_params():,} parameters, not the "
            f"{card.parameters:,} of the card; use the version that made it"
        )
    return model


def network(served: ServedModel) -> keras.Model:
    """Build the network of a saved model, with its weights.

    Args:
        served: the saved model.

    Returns:
        From float32 images (batch, height, width, channels), 0 to 255, to the task's outputs.

    Raises:
        ModelError: as for :func:`unweighted`; or if the card does not say how the input is standardised.
    """
    if not served.card.standardisation:
        raise ModelError(f"{served.directory}: its card does not say how the input is standardised; train it again")
    model = unweighted(served.card)
    weights = served.weights()
    if [value.shape for value in weights] != [tuple(value.shape) for value in model.weights]:
        raise ModelError(f"{served.directory}: its weights are not of the network that its card names")
    model.set_weights(weights)
    return model


def renew(served: ServedModel, root: Path) -> ServedModel:
    """Write a saved model anew, as its next version, with the signatures that this version gives.

    Nothing is learned: weights, classes, figures and golden inputs are those it had.

    Args:
        served: the saved model.
        root: the folder of all saved models.

    Returns:
        The new version.

    Raises:
        ModelError: as for :func:`network`; or if it gives other answers to the golden inputs than the old version gave
            when it was exported.
    """
    card, model = served.card, network(served)
    golden = read_golden(served.directory)
    kept = ("task", "name", "description", "input", "training", "history", "data")
    fields = {name: value for name, value in card.model_dump().items() if name in kept}

    def measured(new: ServedModel) -> dict[str, Any]:
        difference = golden.difference(new(golden.inputs))
        if not difference <= GOLDEN_TOLERANCE:
            raise ModelError(
                f"{served.directory}: written anew, its answers differ by {difference:.2g}; nothing was written"
            )
        return card.metrics

    serving = find_task(card.task).serving(model, card.classes, fields)
    return writer.export(serving, model, card.classes, golden.inputs, fields, root, measured)
