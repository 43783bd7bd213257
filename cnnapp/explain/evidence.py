"""Why an answer: where in the image the evidence for a class is."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from cnnapp.explain.heatmap import draw_heat
from cnnapp.explain.network_input import Box
from cnnapp.results.table import answer_type
from pipelines.artifacts import memory
from pipelines.artifacts.model_card import ModelCard
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError, DataError, ModelError, unknown
from pipelines.core.percent import percent
from pipelines.core.tensorflow_errors import undecodable
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput

__all__ = ["Explanation", "explain", "most_pixels", "telling_place", "without"]

_ACTIVATION = "class activation map"
_GRAD_CAM = "Grad-CAM"
_MEANINGS = {
    _ACTIVATION: (
        "What each place adds to the class (vermilion) or takes from it (blue), in logits: the mean over all places is "
        "the class's logit, and the class with the largest logit is the answer. A place looks at more of the image "
        "than it covers. What speaks for a class may speak for others as much; compare their maps."
    ),
    _GRAD_CAM: (
        "Where the last maps speak for the class, to first order; what speaks against it is left out. Bright is the "
        "largest of this image, so two pictures cannot be compared by brightness. A place looks at more of the image "
        "than it covers."
    ),
    "score": (
        "How sure the detector is that an object of the class is centred there, before overlapping boxes are dropped. "
        "The score is the highest of all windows. A window sees far more than the square that it is drawn on, and why "
        "it is sure is not said: for that, see what the network sees at a point."
    ),
    "probability": (
        "How likely the class is at every pixel, 0 to 1; the score is the mean, the share of the image that the class "
        "is expected to have. It says where the class is, and not why: for that, see what the network sees at a point."
    ),
}


@dataclass(frozen=True, eq=False)
class Explanation:
    """The evidence for a class, over an image.

    Args:
        source: how the image was named: its path, or what it is.
        class_id: index of the class.
        class_name: its name.
        score: the class's, 0 to 1: of a classifier its probability, of a detector the highest of all windows, of
            segmentation the mean over all pixels.
        evidence: float32 of shape (rows, columns). Of a class activation map it may be below 0, which speaks against.
        region: what the cells cover together, in pixels of the upright image; it may reach beyond it.
        how: how it was found, as the model's card has it.

    Raises:
        ValueError: if the evidence is no map.

    Example:
        >>> evidence = np.array([[0.0, 0.5]], "float32")
        >>> found = Explanation("a.png", 1, "cat", 0.9, evidence, (0.0, 0.0, 8.0, 4.0), "Grad-CAM of conv")
        >>> print(found)
        a.png: cat (90.0 %): Grad-CAM of conv, 0 to 0.5, most at x 6, y 2
    """

    source: str
    class_id: int
    class_name: str
    score: float
    evidence: np.ndarray
    region: Box
    how: str

    def __post_init__(self) -> None:
        """Check the evidence, and keep it from being changed."""
        if self.evidence.ndim != 2 or not self.evidence.size:
            raise ValueError(f"evidence: received shape {self.evidence.shape}; expected (rows, columns)")
        self.evidence.setflags(write=False)

    @property
    def limits(self) -> tuple[float, float]:
        """The values of the first and the last colour: 0 to 1 of scores, the same on both sides of 0 of both signs."""
        largest = float(np.abs(self.evidence).max()) or 1.0
        if self.how.startswith(_ACTIVATION):
            return -largest, largest
        return 0.0, largest if self.how.startswith(_GRAD_CAM) else 1.0

    @property
    def meaning(self) -> str:
        """What the picture says, and what it does not."""
        return next((text for kind, text in _MEANINGS.items() if self.how.startswith(kind)), "")

    @property
    def best(self) -> tuple[float, float]:
        """The middle of the cell with the most evidence: x and y, in pixels of the image."""
        row, column = np.unravel_index(int(self.evidence.argmax()), self.evidence.shape)
        left, top, right, bottom = self.region
        rows, columns = self.evidence.shape
        return left + (float(column) + 0.5) * (right - left) / columns, top + (float(row) + 0.5) * (bottom - top) / rows

    def __str__(self) -> str:
        """Return one line: the image, the class, how the evidence was found, and where most of it is."""
        low, high = float(self.evidence.min()), float(self.evidence.max())
        x, y = self.best
        return (
            f"{self.source}: {self.class_name} ({percent(self.score, 1)}): {self.how}, {low:.3g} to {high:.3g}, "
            f"most at x {x:.0f}, y {y:.0f}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as plain values, for ``json.dumps``."""
        return {
            "source": self.source,
            "class_id": self.class_id,
            "class_name": self.class_name,
            "score": self.score,
            "how": self.how,
            "region": list(self.region),
            "evidence": self.evidence.tolist(),
        }

    def draw(
        self,
        image: ImageInput | None = None,
        opacity: float = 0.6,
        side: int = 960,
        scale: bool = True,
        largest: int | None = None,
    ) -> Image.Image:
        """Lay the evidence over the image.

        Args:
            image: the image; by default it is read again from ``source``.
            opacity: of the colours, 0 to 1.
            side: the longer side of the drawing, in pixels, unless the image is larger; tiny images are enlarged by
                whole pixels.
            scale: whether the colours are explained below.
            largest: as of :func:`cnnapp.explain.heatmap.draw_heat`.

        Returns:
            A picture of mode RGB: what the evidence covers is coloured, the rest is grey.

        Raises:
            DataError: if the image cannot be read.
        """
        picture = image_io.open_rgb(self.source if image is None else image)
        unit = "evidence" if self.limits[1] != 1.0 or self.limits[0] else self.how.split()[0]
        return draw_heat(
            picture, self.evidence, self.region, self.limits, opacity, side, unit if scale else None, largest
        )


def explain(served: ServedModel, image: ImageInput, class_name: str | None, name: str) -> Explanation:
    """Ask a saved model where the evidence for a class is; see :meth:`cnnapp.Predictor.explain`."""
    import tensorflow as tf

    from cnnapp.explain.gradients import ONE_AT_A_TIME

    if not served.has("explain"):
        raise without(served, "explain")
    classes = served.card.classes
    if class_name is not None and class_name not in classes:
        raise ConfigError(unknown("class", class_name, classes))
    data = image_io.read(image, name)
    _refuse_too_large(served.card, data, name)
    class_id = -1 if class_name is None else classes.index(class_name)
    takes_gradients = served.card.evidence.startswith(_GRAD_CAM)
    try:
        with ONE_AT_A_TIME if takes_gradients else nullcontext():
            found = served.run("explain", image_bytes=tf.constant(data), class_id=tf.constant(class_id, tf.int64))
    except tf.errors.InvalidArgumentError as error:
        raise DataError(f"{name}: {undecodable(error)}") from None
    left, top, right, bottom = (float(place) for place in found["region"].numpy())
    return Explanation(
        name,
        int(found["class_id"]),
        classes[int(found["class_id"])],
        float(found["score"]),
        found["evidence"].numpy(),
        (left, top, right, bottom),
        served.card.evidence,
    )


def telling_place(served: ServedModel, data: bytes, name: str, size: tuple[int, int]) -> tuple[int, int]:
    """Return a pixel of an image where there is something to see: where most of the evidence for its answer is.

    Args:
        served: the saved model.
        data: the image, encoded.
        name: how errors call it.
        size: its height and width, in pixels.

    Returns:
        x and y. Where the answer says something of every pixel, and for a model that gives no evidence,
        it is the middle.

    Raises:
        DataError: if the image cannot be read, or is too large.
    """
    height, width = size
    if answer_type(served.card.task).unit == "pixel" or not served.has("explain"):
        return width // 2, height // 2
    x, y = explain(served, data, None, name).best
    return min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)


def without(served: ServedModel, signature: str) -> ModelError:
    """Return the error to raise for a model that was saved before it had a signature."""
    card = served.card
    return ModelError(
        f"{served.directory}: was saved by a version without the signature {signature!r}; write it anew, with the same "
        f"weights: cnnapp export {card.name} --format saved_model"
    )


def most_pixels(card: ModelCard) -> float:
    """Return how many pixels an image may have so that its evidence fits into memory.

    Args:
        card: of the model.
    """
    each = _needed(card, 1, 1)
    return memory.SHARE * memory.available() / each if each else math.inf


def _needed(card: ModelCard, height: int, width: int) -> int:
    """Return how many bytes the evidence takes, 0 where it is the same for images of any size."""
    # Evidence is looked for at the scale that the network was trained at, whatever the pyramid.
    return memory.needed_by(card, (height, width), {"scale": card.training.get("scale", 1.0)})


def _refuse_too_large(card: ModelCard, data: bytes, name: str) -> None:
    """Refuse an image whose maps would not fit into memory."""
    height, width = image_io.size_of(data, name)
    reason = memory.too_much(
        f"{name}: {width} x {height} pixels",
        _needed(card, height, width),
        "give a part of the image, or make it smaller",
    )
    if reason is not None:
        raise DataError(reason)
