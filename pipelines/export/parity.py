"""Whether a model in another format gives the answers of the saved model it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np

from pipelines.artifacts.golden import read_golden
from pipelines.artifacts.served_model import ServedModel, as_numpy
from pipelines.core.errors import ModelError
from pipelines.core.percent import percent

__all__ = ["TOLERANCES", "Agreement", "Answer", "agreement", "questions", "tolerance"]

Answer = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
"""From the named inputs of the signature ``pixels`` to its named outputs."""

_Object = tuple[int, str, float, tuple[float, ...]]
"""Class, its name, score and box."""

_CUT = 5, 3
_TINT = 1.0, 0.75, 0.5


@dataclass(frozen=True)
class Agreement:
    """How far answers lie apart; also used for how far they may.

    Args:
        score: largest difference of a score, or of a confidence.
        box: largest difference of a coordinate of a box, as a share of it, or in pixels where it is below 1.
        classes: share of images, objects or pixels that are given another class, or that have no counterpart.
    """

    score: float = 0.0
    box: float = 0.0
    classes: float = 0.0

    def to_json(self) -> dict[str, float]:
        """Return the fields as plain values."""
        return asdict(self)

    def within(self, other: Agreement) -> bool:
        """Return whether nothing lies farther apart than in another; false where anything is not a number."""
        return self.score <= other.score and self.box <= other.box and self.classes <= other.classes

    def __str__(self) -> str:
        """Return one line."""
        boxes = f", of a box {self.box:.3g}" if self.box else ""
        others = f"{percent(self.classes, 3)} of the classes differ" if self.classes else "the same classes"
        return f"largest difference of a score {self.score:.3g}{boxes}, {others}"


TOLERANCES = {
    "boxes": {
        "float32": Agreement(1e-4, 1e-4, 0.0),
        "float16": Agreement(5e-3, 5e-3, 0.0),
        "int8": Agreement(0.1, 5e-2, 0.0),
    },
    "class_map": {
        "float32": Agreement(1e-4, 0.0, 1e-4),
        "float16": Agreement(5e-3, 0.0, 1e-3),
        "int8": Agreement(0.1, 0.0, 1e-2),
    },
    "": {
        "float32": Agreement(1e-4, 0.0, 0.0),
        "float16": Agreement(5e-3, 0.0, 0.0),
        "int8": Agreement(0.1, 0.0, 0.0),
    },
}
"""How far answers may lie apart, by the output that says what kind they are of (the last for all others), and by what
the weights are stored as. Pixels of two classes that are equally likely may be given either.
"""


def tolerance(served: ServedModel, weights: str) -> Agreement:
    """Return how far the answers of another format may lie from those of a saved model.

    Args:
        served: the saved model.
        weights: what they are stored as: "float32", "float16" or "int8".
    """
    return TOLERANCES[_kind(served.signature("pixels").structured_outputs)][weights]


def _kind(outputs: Iterable[str]) -> str:
    """Return the output that says of which kind answers are; the empty string where there is none of those known."""
    return next((name for name in ("boxes", "class_map") if name in set(outputs)), "")


def questions(served: ServedModel) -> list[dict[str, np.ndarray]]:
    """Return what a saved model and its other format are both asked.

    The golden images, one by one; then two at once, cut to a size that few strides divide, one of them in a tint; where
    there is a pyramid these also with a further level of it and soft suppression.

    Args:
        served: the saved model.

    Returns:
        Inputs of the signature ``pixels``, by name: ``images`` uint8 of shape (batch, H, W, 3), and options.
    """
    import tensorflow as tf

    from pipelines.images import preprocessing

    options = {name: np.array(value, np.float32) for name, value in served.card.input.get("options", {}).items()}
    pictures = [preprocessing.decode(tf.constant(data)).numpy() for data in read_golden(served.directory).inputs]
    height, width = (max(1, side - less) for side, less in zip(pictures[0].shape[:2], _CUT, strict=True))
    cut = pictures[0][:height, :width]
    both = np.stack([cut, (cut * np.array(_TINT)).astype(np.uint8)])
    asked = [{"images": each} | options for each in (*(picture[None] for picture in pictures), both)]
    if "scales" in options:
        scales = np.append(options["scales"], options["scales"][-1] * np.float32(0.7))
        asked.append({"images": both} | options | {"scales": scales, "soft_nms_sigma": np.array(0.5, np.float32)})
    return asked


def agreement(served: ServedModel, answer: Answer, slack: float = 1e-4) -> Agreement:
    """Compare the answers of another format with those of the saved model.

    Args:
        served: the saved model.
        answer: the other format's.
        slack: by so much an object's score may exceed the smallest that is kept and the object be in one answer alone.

    Returns:
        The largest differences over all :func:`questions`.

    Raises:
        ModelError: if an output is missing, or of another shape or kind.
    """
    import tensorflow as tf

    compare: dict[str, Callable[..., Agreement]] = {"boxes": _of_objects, "class_map": _of_pixels, "": _of_numbers}
    found = []
    for asked in questions(served):
        inputs = {name: tf.constant(value) for name, value in asked.items()}
        expected = as_numpy(served.run("pixels", **inputs))
        lowest = float(asked.get("score_threshold", 0.0))
        found.append(compare[_kind(expected)](expected, _checked(expected, answer(asked)), lowest, slack))
    return Agreement(
        *(float(np.max([getattr(each, field) for each in found])) for field in ("score", "box", "classes"))
    )


def _checked(expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for name, values in expected.items():
        other = found.get(name)
        if other is None:
            raise ModelError(f"the conversion has no output {name!r}; nothing was written")
        if other.shape != values.shape or other.dtype != values.dtype:
            raise ModelError(
                f"the conversion's output {name!r} is {other.dtype} of shape {other.shape}, that of the saved model "
                f"{values.dtype} of shape {values.shape}; nothing was written"
            )
    return found


def _largest(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max(initial=0.0))


def _of_numbers(expected: dict[str, np.ndarray], found: dict[str, np.ndarray], *_: float) -> Agreement:
    """Compare outputs whatever they are: fractions by how far they lie apart, whole numbers and texts by equality."""
    fractions = [name for name, values in expected.items() if values.dtype.kind == "f"]
    others = [expected[name] != found[name] for name in expected if name not in fractions and expected[name].size]
    # An image counts once, whichever of its values is another.
    differ = np.any([each.reshape(len(each), -1).any(axis=1) for each in others], axis=0) if others else np.zeros(1)
    # NumPy's maximum of what is not a number is not one either.
    apart = float(np.max([_largest(expected[name], found[name]) for name in fractions], initial=0.0))
    return Agreement(apart, 0.0, float(differ.mean()))


def _of_pixels(expected: dict[str, np.ndarray], found: dict[str, np.ndarray], *_: float) -> Agreement:
    differ = float((expected["class_map"] != found["class_map"]).mean())
    if not np.array_equal(expected["sizes"], found["sizes"]):
        differ = 1.0
    return Agreement(_largest(expected["confidence"], found["confidence"]), 0.0, differ)


def _of_objects(
    expected: dict[str, np.ndarray], found: dict[str, np.ndarray], lowest: float, slack: float
) -> Agreement:
    apart: list[tuple[float, float]] = [(0.0, 0.0)]
    alone, count, most = 0, 0, expected["scores"].shape[1]
    for one, other in zip(_objects(expected), _objects(found), strict=True):
        count += len(one)
        left = list(other)
        for each in one:
            same = [candidate for candidate in left if candidate[:2] == each[:2]]
            if not same:
                alone += not _at_the_edge(each, other, most, lowest, slack)
                continue
            nearest = min(same, key=lambda candidate: _apart(each, candidate))
            left.remove(nearest)
            apart.append((abs(each[2] - nearest[2]), _apart(each, nearest)))
        alone += sum(not _at_the_edge(each, one, most, lowest, slack) for each in left)
    score, box = np.max(apart, axis=0)
    return Agreement(float(score), float(box), alone / max(count, 1))


def _objects(answer: dict[str, np.ndarray]) -> list[list[_Object]]:
    """Return class, name, score and box of the objects of each image."""
    found = []
    for number, count in enumerate(answer["num_detections"]):
        parts = (answer[name][number, :count] for name in ("class_ids", "class_names", "scores", "boxes"))
        columns = zip(*parts, strict=True)
        found.append([(int(a), str(b), float(c), tuple(map(float, d))) for a, b, c, d in columns])
    return found


def _apart(one: _Object, other: _Object) -> float:
    corners = np.array(one[3])
    return float((np.abs(corners - other[3]) / np.maximum(np.abs(corners), 1.0)).max())


def _at_the_edge(one: _Object, others: list[_Object], most: int, lowest: float, slack: float) -> bool:
    """Return whether an object may be in one answer alone: its score hardly exceeds the smallest that is kept."""
    return one[2] <= slack + (min(other[2] for other in others) if len(others) == most else lowest)
