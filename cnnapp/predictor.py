"""The one way to an answer, for the command line, the page and scripts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnapp.results import Answer, Classification, Detections, Segmentation
from cnnapp.saved_models import resolve
from pipelines import intake
from pipelines.artifact import GOLDEN_TOLERANCE, ModelCard, ServedModel, read_golden
from pipelines.errors import ConfigError, DataError, ModelError, unknown
from pipelines.intake import ImageInput

if TYPE_CHECKING:
    from pipelines.certificate import Certificate

__all__ = ["Predictor", "load"]

Option = float | tuple[float, ...]
_TASKS = ("classification", "detection", "segmentation")


def load(name: str | os.PathLike) -> Predictor:
    """Load a saved model.

    Args:
        name: ``"digits"`` (its newest version), ``"digits/1"``, or a path.

    Returns:
        A predictor. It may be used by several threads at once.

    Raises:
        ModelError: if there is no such model, or a file of it is missing, altered or damaged; named.

    Example:
        model = load("digits")
        print(model.predict(["seven.png"])[0])
    """
    return Predictor(resolve(name))


class Predictor:
    """A saved model that answers.

    Args:
        directory: of the saved model, with its version.
    """

    def __init__(self, directory: Path) -> None:
        self._served = ServedModel(directory)
        if self.card.task not in _TASKS:
            raise ModelError(f"{directory}: is for {self.card.task}; this version knows {', '.join(_TASKS)}")

    def __repr__(self) -> str:
        """Return what is loaded."""
        return f"<Predictor {self.card.name}/{self.card.version}: {self.card.task}, {len(self.card.classes)} classes>"

    @property
    def card(self) -> ModelCard:
        """What the model says of itself."""
        return self._served.card

    @property
    def served(self) -> ServedModel:
        """The saved model itself, from bytes to named arrays."""
        return self._served

    def predict(
        self, images: ImageInput | Iterable[ImageInput], batch_size: int = 32, **options: Option
    ) -> list[Answer]:
        """Answer for images.

        Args:
            images: one or many of: a path, encoded bytes, an array (uint8 of shape (H, W), (H, W, 3) or (H, W, 4)), a
                Pillow image.
            batch_size: how many are answered in one call.
            **options: optional inputs of the model: for detection ``score_threshold``, ``overlap_threshold``,
                ``soft_nms_sigma``, ``scales``.

        Returns:
            One answer an image, in order; also for a single image.

        Raises:
            DataError: naming the first image that cannot be read. :meth:`predict_each` goes on behind it.
        """
        single = isinstance(images, (str, os.PathLike, bytes, np.ndarray)) or hasattr(images, "getbands")
        answers = []
        for _, answer in self.predict_each([images] if single else images, batch_size, **options):  # type: ignore[arg-type,list-item]
            if isinstance(answer, DataError):
                raise answer
            answers.append(answer)
        return answers

    def predict_each(
        self,
        images: Iterable[ImageInput],
        batch_size: int = 32,
        names: Iterable[str] | None = None,
        **options: Option,
    ) -> Iterator[tuple[str, Answer | DataError]]:
        """Answer for images as they come, and give a reason for those that cannot be read.

        Args:
            images: as for :meth:`predict`; they are read in batches, so there may be any number.
            batch_size: how many are answered in one call.
            names: how to call them in answers and reasons, one an image; their paths by default.
            **options: as for :meth:`predict`.

        Yields:
            (name, answer or ``DataError``), in order.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size: received {batch_size}; expected at least 1")
        known = self.card.input.get("options", {})
        for option in options:
            if option not in known:
                raise ConfigError(unknown("option", option, known))
        images = iter(images)
        calls = None if names is None else iter(names)
        with ThreadPoolExecutor(max_workers=4) as pool:
            while chunk := list(islice(images, batch_size)):
                called = (
                    [intake.name_of(image) for image in chunk] if calls is None else list(islice(calls, len(chunk)))
                )
                read = list(pool.map(_read, chunk, called))
                yield from zip(called, self._answers(called, read, options), strict=True)

    def _answers(
        self, names: list[str], read: list[bytes | DataError], options: dict[str, Option]
    ) -> Iterator[Answer | DataError]:
        good = [(name, data) for name, data in zip(names, read, strict=True) if isinstance(data, bytes)]
        answers = iter(self._answer(good, options))
        for data in read:
            yield next(answers) if isinstance(data, bytes) else data

    def _answer(self, images: list[tuple[str, bytes]], options: dict[str, Option]) -> list[Answer | DataError]:
        import tensorflow as tf

        if not images:
            return []
        try:
            outputs = self._served([data for _, data in images], **options)
        except tf.errors.InvalidArgumentError as error:
            # The error of a batch does not say which image is at fault; one at a time, it does.
            if len(images) == 1:
                return [DataError(f"{images[0][0]}: the image cannot be decoded: {_reason(error)}")]
            return [answer for image in images for answer in self._answer([image], options)]
        classes = tuple(self.card.classes)
        names = [name for name, _ in images]
        if self.card.task == "detection":
            columns = (outputs[key] for key in ("boxes", "scores", "class_ids", "num_detections"))
            return [
                Detections(name, boxes[:count], scores[:count], class_ids[:count], classes)
                for name, boxes, scores, class_ids, count in zip(names, *columns, strict=True)
            ]
        if self.card.task == "segmentation":
            columns = (outputs[key] for key in ("class_map", "confidence", "sizes"))
            return [
                Segmentation(name, class_map[:height, :width], confidence[:height, :width], classes)
                for name, class_map, confidence, (height, width) in zip(names, *columns, strict=True)
            ]
        return [Classification(name, row, classes) for name, row in zip(names, outputs["scores"], strict=True)]

    def score_map(self, image: ImageInput, scale: float | None = None) -> np.ndarray:
        """Return what a detector says of every window of an image.

        Args:
            image: as for :meth:`predict`.
            scale: the level of the pyramid: what the image is scaled by; by default the network's own.

        Returns:
            float32 of shape (rows, columns, classes), 0 to 1; window (i, j) is centred at
            ``((j + 0.5) * stride / scale, (i + 0.5) * stride / scale)``, x and y in pixels.

        Raises:
            ModelError: if the model is no detector.
            DataError: if the image cannot be read.
        """
        import tensorflow as tf

        if self.card.task != "detection":
            raise ModelError(f"{self._served.directory}: is for {self.card.task}; only detection has a score map")
        scale = float(self.card.training["scale"]) if scale is None else scale
        data = tf.constant(intake.read(image))
        try:
            return self._served.run("score_map", image_bytes=data, scale=tf.constant(scale))["scores"].numpy()
        except tf.errors.InvalidArgumentError as error:
            raise DataError(f"{intake.name_of(image)}: the image cannot be decoded: {_reason(error)}") from None

    def certify(self) -> Certificate:
        """Show that looking at every window at once gives what each window gives alone.

        Returns:
            The largest difference on an example of the model's own, with a frame that every window fits into, and how
            many times faster it is.

        Raises:
            ModelError: if the model is no detector, its examples are damaged, or the difference is larger than 1e-4
                of the largest output.
        """
        import tensorflow as tf

        from pipelines import images
        from pipelines.certificate import EXACT, compare
        from pipelines.scan import ScanSpec, level

        if self.card.task != "detection":
            raise ModelError(f"{self._served.directory}: is for {self.card.task}; only detection looks at windows")
        spec = ScanSpec.from_json(self.card.input)
        scale = tf.constant(float(self.card.training["scale"]))
        pixels = level(images.decode(tf.constant(read_golden(self._served.directory).inputs[0])), scale, spec)

        def run(pixels: np.ndarray) -> list[np.ndarray]:
            return [self._served.run("windows", pixels=tf.constant(pixels))["outputs"].numpy()]

        stride = (spec.stride, spec.stride)
        found = compare(run, run, tf.cast(pixels, tf.float32).numpy(), spec.window, stride)
        if not found.relative_difference <= EXACT:
            raise ModelError(
                f"{self._served.directory}: looking at all windows at once differs from each window alone by "
                f"{found.relative_difference:.3g} of the largest output; at most {EXACT:g} was expected"
            )
        return found

    def verify(self) -> float:
        """Replay the golden examples.

        Returns:
            The largest difference of a score from what it was at export.

        Raises:
            ModelError: if it is larger than 1e-5, or an answer is another.
        """
        golden = read_golden(self._served.directory)
        difference = golden.difference(self._served(golden.inputs))
        if not difference <= GOLDEN_TOLERANCE:
            raise ModelError(
                f"{self._served.directory}: the golden examples give other answers than at export: largest difference "
                f"{difference:.3g}, at most {GOLDEN_TOLERANCE:g} was expected"
            )
        return difference


def _read(image: ImageInput, name: str) -> bytes | DataError:
    try:
        return intake.read(image, name)
    except DataError as error:
        return error


def _reason(error: Exception) -> str:
    """Return the line of TensorFlow's message that speaks of the image."""
    lines = [re.sub(r"\{\{.*?\}\}|\[\[.*|\[Op:.*?\]", "", line).strip() for line in str(error).splitlines()]
    noise = ("Graph execution error", "Detected at node", "<stack traces", "File ")
    telling = [line for line in lines if line and not line.startswith(noise)]
    return telling[0] if telling else "TensorFlow refuses it"
