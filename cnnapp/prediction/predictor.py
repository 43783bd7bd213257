"""The one way to an answer, for the command line, the page and scripts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cnnapp.prediction.base_predictor import Answerer, Option
from cnnapp.prediction.model_paths import resolve
from cnnapp.results.answer import Answer
from cnnapp.results.large_segmentation import LargeSegmentation
from cnnapp.results.table import answer_type
from cnnapp.results.tiles import Advance
from pipelines.artifacts import memory
from pipelines.artifacts.model_card import ModelCard
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError, DataError, ImageTooLargeError, ModelError
from pipelines.core.tensorflow_errors import undecodable
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import read_bounded

if TYPE_CHECKING:
    from cnnapp.explain.evidence import Explanation
    from cnnapp.explain.feature_maps import FeatureMaps
    from cnnapp.explain.inspector import Inside
    from cnnapp.prediction.self_check import TilingDifference
    from layers.fully_convolutional.certificate import Certificate

__all__ = ["Predictor", "load"]


@dataclass(frozen=True)
class _Read:
    """An image that was read: how it is called, its bytes, and height and width as stored, 0 where none are known."""

    name: str
    data: bytes
    size: tuple[int, int]


def load(name: str | os.PathLike[str], *, trust: bool | None = None) -> Predictor:
    """Load a saved model.

    Args:
        name: ``"digits"`` (its newest version), ``"digits/1"``, or a path.
        trust: whether the model may reach files, processes, the network or Python, which is then printed; by default
            only with ``CNNAPP_TRUST=1``.

    Returns:
        A predictor. It may be used by several threads at once.

    Raises:
        ModelError: if there is no such model, or a file of it is missing, altered or damaged; named. If it would reach
            outside of itself and is not trusted; or is not signed and ``CNNAPP_REQUIRE_SIGNED`` asks for that.

    Example:
        model = load("digits")
        print(model.predict(["seven.png"])[0])
    """
    return Predictor(resolve(name), trust=trust)


class Predictor(Answerer):
    """A saved model that answers.

    Args:
        directory: of the saved model, with its version.
        trust: as of :func:`load`.
    """

    def __init__(self, directory: Path, *, trust: bool | None = None) -> None:
        self._served = ServedModel(directory, trust=trust)
        try:
            self._answer_type = answer_type(self.card.task)
        except ConfigError as error:
            raise ModelError(f"{directory}: {error}") from None

    def __repr__(self) -> str:
        """Return what is loaded."""
        return f"<Predictor {self.card.name}/{self.card.version}: {self.card.task}, {len(self.card.classes)} classes>"

    @property
    def card(self) -> ModelCard:
        """What the model says of itself."""
        return self._served.card

    @property
    def answer_type(self) -> type[Answer]:
        """The type of its answers, which says what can be done with them."""
        return self._answer_type

    @property
    def served(self) -> ServedModel:
        """The saved model itself, from bytes to named arrays."""
        return self._served

    def _read(self, image: ImageInput, name: str, options: dict[str, Option]) -> _Read | DataError:
        try:
            image = _encoded(image, name)
            size = (0, 0)
            if "bytes_per_pixel" in self.card.input:
                size = _size(image, name)
                self._refuse_too_large(size, name, options)
            # Now alone: formats that the graph does not read are decoded here.
            return _Read(name, image_io.read(image, name), size)
        except DataError as error:
            return error

    def _refuse_too_large(self, size: tuple[int, int], name: str, options: dict[str, Option]) -> None:
        """Refuse an image whose answer would not fit into memory."""
        instead = "give a part of the image, or make it smaller"
        if self._answer_type.tiled:
            instead = "process it in tiles: --tile 1024 (predict_by_pieces in Python)"
        needed = memory.needed_by(self.card, size, options)
        reason = memory.too_much(f"{name}: {size[1]} x {size[0]} pixels", needed, instead)
        if reason is not None:
            raise ImageTooLargeError(reason)

    def _answers(self, read: Sequence[_Read | DataError], options: dict[str, Option]) -> Iterator[Answer | DataError]:
        good = [one for one in read if isinstance(one, _Read)]
        calls = memory.calls(good, lambda one: one.size, lambda size: memory.needed_by(self.card, size, options))
        answers = (answer for call in calls for answer in self._answer(call, options))
        for one in read:
            yield next(answers) if isinstance(one, _Read) else one

    def _answer(self, images: list[_Read], options: dict[str, Option]) -> list[Answer | DataError]:
        import tensorflow as tf

        try:
            outputs = self._served([image.data for image in images], **options)
        except tf.errors.InvalidArgumentError as error:
            # The error of a batch does not say which image is at fault; one at a time, it does.
            if len(images) == 1:
                return [DataError(f"{images[0].name}: {undecodable(error)}")]
            return [answer for image in images for answer in self._answer([image], options)]
        try:
            return list(self._answer_type.from_outputs(outputs, [image.name for image in images], self.card.classes))
        except KeyError as error:
            raise ModelError(
                f"{self._served.directory}: gives {', '.join(outputs)}, and no {error}; it is not for {self.card.task}"
            ) from None

    def predict_by_pieces(
        self,
        image: ImageInput,
        tile: int = 1024,
        *,
        blend: bool = False,
        name: str | None = None,
        advance: Advance = lambda done, count: None,
        **options: Option,
    ) -> Answer:
        """Answer for one large image piece by piece; the answer is that for the whole image.

        Args:
            image: as for :meth:`predict`. TIFF files are read by windows.
            tile: side of the pieces, in pixels of the image.
            blend: for a segmentation network with layers that see the whole image: fade from piece to piece instead.
            name: how to call it in the answer; its path by default.
            advance: called with the pieces done and their number.
            **options: as for :meth:`predict`. Detections are not limited in number.

        Returns:
            The answer, in memory; see :meth:`segment_to` for what does not fit.

        Raises:
            ConfigError: for a classifier, or a network that cannot be exact and is not to be blended; naming its layer.
            DataError: if the image cannot be read.
        """
        from cnnapp.prediction import tiled_prediction

        self.check_options(options)
        return tiled_prediction.answer(
            self._served, image, tile, blend, name or image_io.name_of(image), advance, options
        )

    def segment_to(
        self,
        image: ImageInput,
        path: str | os.PathLike[str],
        tile: int = 1024,
        *,
        blend: bool = False,
        name: str | None = None,
        advance: Advance = lambda done, count: None,
        **options: Option,
    ) -> LargeSegmentation:
        """Write the class of every pixel of an image of any size to a file, piece by piece.

        Memory is bounded by the pieces and by the width of the image. Finished rows of pieces are kept beside the
        file, and the same call goes on behind them.

        Args:
            image: as for :meth:`predict`. TIFF files are read by windows.
            path: of the mask: a tiled TIFF whose values are class ids, with a palette.
            tile: side of the pieces, in pixels of the image.
            blend: as for :meth:`predict_by_pieces`.
            name: likewise.
            advance: likewise.
            **options: as for :meth:`predict`.

        Returns:
            Where the mask is, and the areas of the classes.

        Raises:
            ConfigError: as for :meth:`predict_by_pieces`.
            DataError: if the image cannot be read or the mask not be written.
        """
        from cnnapp.prediction import tiled_prediction

        self.check_options(options)
        return tiled_prediction.write(
            self._served, image, Path(path), tile, blend, name or image_io.name_of(image), advance
        )

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

        if not self._served.has("score_map"):
            raise ModelError(f"{self._served.directory}: is for {self.card.task}; only detection has a score map")
        scale = float(self.card.training["scale"]) if scale is None else scale
        data = tf.constant(image_io.read(image))
        try:
            outputs = self._served.run("score_map", image_bytes=data, scale=tf.constant(scale))
            scores: np.ndarray = outputs["scores"].numpy()
        except tf.errors.InvalidArgumentError as error:
            raise DataError(f"{image_io.name_of(image)}: {undecodable(error)}") from None
        return scores

    def explain(self, image: ImageInput, class_name: str | None = None, *, name: str | None = None) -> Explanation:
        """Say where in an image the evidence for a class is.

        Args:
            image: as for :meth:`predict`.
            class_name: the class; that of the answer by default.
            name: how to call the image; its path by default.

        Returns:
            The evidence, and what it covers of the image.

        Raises:
            ConfigError: if there is no such class.
            ModelError: if the model was saved by a version that did not explain.
            DataError: if the image cannot be read, or is too large.
        """
        from cnnapp.explain import evidence

        return evidence.explain(self._served, image, class_name, name or image_io.name_of(image))

    def features(self, image: ImageInput, *, name: str | None = None) -> FeatureMaps:
        """Return the maps of every layer for an image, in the order in which the layers run.

        Args:
            image: as for :meth:`predict`.
            name: how to call it; its path by default.

        Raises:
            ModelError: if the model was saved by a version that did not give them.
            DataError: if the image cannot be read, or its maps would not fit into memory.
        """
        from cnnapp.explain import inspector

        return inspector.features(self.inside, image, name or image_io.name_of(image))

    @cached_property
    def inside(self) -> Inside:
        """The network itself, built again to look inside: its layers, its filters, what its units see.

        Raises:
            ModelError: if this version cannot build it.
        """
        from cnnapp.explain.inspector import Inside

        return Inside(self._served)

    def certify(self) -> Certificate:
        """Show that looking at every window at once gives what each window gives alone.

        Returns:
            The largest difference on an example of the model's own, with a frame that every window fits into, and how
            many times faster it is.

        Raises:
            ModelError: if the model is no detector, its examples are damaged, or the difference is larger than 1e-4
                of the largest output.
        """
        from cnnapp.prediction import self_check

        return self_check.certify(self._served)

    def verify(self) -> float:
        """Replay the golden examples.

        Returns:
            The largest difference of a score from what it was at export.

        Raises:
            ModelError: if it is larger than 1e-5, or an answer is another.
        """
        from cnnapp.prediction import self_check

        return self_check.verify(self._served)

    def verify_tiling(self, tile: int = 128) -> TilingDifference:
        """Answer for an image of the model's own as a whole and piece by piece.

        Args:
            tile: side of the pieces, in pixels.

        Returns:
            How far the two answers lie apart.

        Raises:
            ConfigError: for a classifier, and for a network that cannot be exact.
            ModelError: if they are not the same.
        """
        from cnnapp.prediction import self_check

        return self_check.verify_tiling(self._served, self.predict, self.predict_by_pieces, tile)


def _encoded(image: ImageInput, name: str) -> ImageInput:
    """Return the bytes of a file, undecoded, and anything else as it is."""
    if isinstance(image, (str, os.PathLike)):
        return read_bounded(image, LIMITS.image_bytes, "image", name)
    return image


def _size(image: ImageInput, name: str) -> tuple[int, int]:
    """Return height and width of an image without decoding it; (0, 0) where they are not known."""
    if isinstance(image, bytes):
        return image_io.size_of(image, name)
    if isinstance(image, Image.Image):
        return image.height, image.width
    return tuple(image.shape[:2]) if isinstance(image, np.ndarray) and image.ndim > 1 else (0, 0)
