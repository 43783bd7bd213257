"""What a network decides at a point of an image, and which pixels moved it to that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnapp.explain.inspector import Inside
from cnnapp.explain.network_input import Shown
from cnnapp.explain.receptive_view import Sight
from cnnapp.results.answer import Unit
from cnnapp.results.table import answer_type
from pipelines.core.errors import ConfigError, unknown

__all__ = ["Decision", "decide"]


@dataclass(frozen=True, eq=False)
class Decision:
    """What is decided at a point.

    Args:
        what: what decides there: a pixel, a window, or a unit of a layer, in words.
        scores: float32 of shape (classes,), 0 to 1: of a pixel the probabilities, which sum to 1; of a window how sure
            each class is; of a unit those of the whole image.
        class_names: the names of all classes, in the order of the scores.
        class_id: the class whose decision was followed back.
        sight: what of the image it depends on. The influence is on the log odds of the class; of a unit, on what
            passes through this unit alone.
    """

    what: str
    scores: np.ndarray
    class_names: tuple[str, ...]
    class_id: int
    sight: Sight

    @property
    def class_name(self) -> str:
        """The name of the class whose decision was followed back."""
        return self.class_names[self.class_id]

    @property
    def score(self) -> float:
        """Its score."""
        return float(self.scores[self.class_id])

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return the ``count`` classes with the highest scores, highest first, as (name, score)."""
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.class_names[index], float(self.scores[index])) for index in order]


def decide(inside: Inside, shown: Shown, x: float, y: float, class_name: str | None = None) -> Decision:
    """Look at what a network decides at a point of an image.

    Args:
        inside: the network.
        shown: what it is shown of the image.
        x: in pixels of the image, whose left border is 0.
        y: likewise, from the top.
        class_name: the class whose decision is followed back; the one decided for by default.

    Returns:
        Of segmentation the class of the pixel; of a detector what the window centred nearest is taken for; of a
        classifier what the answer for the image gets from there.

    Raises:
        ConfigError: if there is no such class.
    """
    card = inside.served.card
    if class_name is not None and class_name not in card.classes:
        raise ConfigError(unknown("class", class_name, card.classes))
    class_id = None if class_name is None else card.classes.index(class_name)
    x, y = (float(np.clip(place, 0.5, size - 0.5)) for place, size in ((x, shown.size[1]), (y, shown.size[0])))
    what, scores, class_id, sight = _WAYS[answer_type(card.task).unit](inside, shown, x, y, class_id)
    return Decision(what, scores, tuple(card.classes), class_id, sight)


_Found = tuple[str, np.ndarray, int, Sight]


def _pixel(inside: Inside, shown: Shown, x: float, y: float, class_id: int | None) -> _Found:
    import tensorflow as tf

    from cnnapp.explain.gradients import log_odds, of
    from pipelines.segmentation.dense_prediction import LabelSpec, logits_at

    spec = LabelSpec.from_json(inside.served.card.input)
    row, column = int(y), int(x)
    nothing, one = tf.zeros([2], tf.int32), tf.ones([2], tf.int32)

    def at(outputs: Any) -> Any:
        return logits_at(outputs, tf.constant(shown.size), nothing, tf.constant([row, column]), one, spec)[0, 0, 0]

    def odds(outputs: Any) -> Any:
        logits = at(outputs)
        return log_odds(logits, int(tf.argmax(logits)) if class_id is None else class_id)

    outputs, influence = of(inside.model, shown.pixels, odds)
    scores = tf.nn.softmax(at(outputs)).numpy()
    # Logits are read between the network's positions: between up to four of them.
    places = [
        _around((index + 0.5) / step / spec.stride - 0.5, count)
        for index, step, count in zip((row, column), shown.step, outputs.shape[1:3], strict=True)
    ]
    last = inside.layers[-1]
    supports = [inside.supports(shown, {last: (i, j)})[last] for i in places[0] for j in places[1]]
    sight = inside.sight(shown, (_span([rows for rows, _ in supports]), _span([columns for _, columns in supports])),
                         influence)  # fmt: skip
    chosen = int(scores.argmax()) if class_id is None else class_id
    return f"the pixel at x {column}, y {row}", scores, chosen, sight


def _around(place: float, count: int) -> list[int]:
    """Return the positions that a value is interpolated from."""
    place = float(np.clip(place, 0, count - 1))
    # What is left of a position by rounding is no share of the next.
    near = round(place)
    return [near] if abs(place - near) < 1e-6 else [int(place), int(place) + 1]


def _span(parts: list[slice]) -> slice:
    return slice(min(part.start for part in parts), max(part.stop for part in parts))


def _window(inside: Inside, shown: Shown, x: float, y: float, class_id: int | None) -> _Found:
    import tensorflow as tf

    from cnnapp.explain.gradients import of

    stride = int(inside.served.card.input["stride"])
    chosen = class_id
    position: tuple[int, int] = (0, 0)

    def odds(outputs: Any) -> Any:
        nonlocal chosen, position
        # Window number j is centred (j + 0.5) strides into the scaled image.
        position = tuple(  # type: ignore[assignment]
            int(np.clip(place / step // stride, 0, count - 1))
            for place, step, count in zip((y, x), shown.step, outputs.shape[1:3], strict=True)
        )
        logits = outputs[0, position[0], position[1], :-4]
        chosen = int(tf.argmax(logits)) if chosen is None else chosen
        return logits[chosen]

    outputs, influence = of(inside.model, shown.pixels, odds)
    scores = tf.sigmoid(outputs[0, position[0], position[1], :-4]).numpy()
    assert chosen is not None
    middle = [(index + 0.5) * stride * step for index, step in zip(position, shown.step, strict=True)]
    what = f"the window centred at x {middle[1]:.0f}, y {middle[0]:.0f}"
    last = inside.layers[-1]
    return what, scores, chosen, inside.sight(shown, inside.supports(shown, {last: position})[last], influence)


def _unit(inside: Inside, shown: Shown, x: float, y: float, class_id: int | None) -> _Found:
    from cnnapp.explain.gradients import through_unit

    layer = inside.evidence.layer
    position = inside.nearest(shown, layer, x, y)
    scores, chosen, influence = through_unit(inside.evidence.both, shown.pixels, position, class_id)
    what = f"the unit in row {position[0]}, column {position[1]} of {layer}"
    return what, scores, chosen, inside.sight(shown, inside.supports(shown, {layer: position})[layer], influence)


_WAYS: dict[Unit, Callable[..., _Found]] = {"image": _unit, "window": _window, "pixel": _pixel}
"""By what a unit at the end of the network decides for."""
