"""The one way to an answer, for the command line, the page and scripts."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cnnapp.large import LargeSegmentation
from cnnapp.results import Answer, Classification, Detections, Segmentation
from cnnapp.saved_models import resolve
from pipelines import intake, memory
from pipelines.artifact import ModelCard, ServedModel
from pipelines.errors import ConfigError, DataError, ImageTooLargeError, ModelError, unknown
from pipelines.intake import ImageInput

if TYPE_CHECKING:
    from cnnapp.by_pieces import Advance
    from cnnapp.verification import TilingDifference
    from pipelines.certificate import Certificate

__all__ = ["Predictor", "load"]

Option = float | tuple[float, ...]
_TASKS = ("classification", "detection", "segmentation")
_SHARE = 0.8  # of the memory that is free, which the answers of one call may take


@dataclass(frozen=True)
class _Read:
    """An image that was read: how it is called, its bytes, and height and width as stored, 0 where none are known."""

    name: str
    data: bytes
    size: tuple[int, int]


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
            batch_size: how many are answered in one call; of images too large for that together it is fewer.
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
            batch_size: as for :meth:`predict`.
            names: how to call them in answers and reasons, one an image; their paths by default.
            **options: as for :meth:`predict`.

        Yields:
            (name, answer or ``DataError``), in order.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size: received {batch_size}; expected at least 1")
        self._check_options(options)
        images = iter(images)
        calls = None if names is None else iter(names)
        with ThreadPoolExecutor(max_workers=4) as pool:
            while chunk := list(islice(images, batch_size)):
                called = (
                    [intake.name_of(image) for image in chunk] if calls is None else list(islice(calls, len(chunk)))
                )
                read = list(pool.map(lambda image, name: self._read(image, name, options), chunk, called))
                yield from zip(called, self._answers(read, options), strict=True)

    def _check_options(self, options: dict[str, Option]) -> None:
        known = self.card.input.get("options", {})
        for option in options:
            if option not in known:
                raise ConfigError(unknown("option", option, known))

    def _read(self, image: ImageInput, name: str, options: dict[str, Option]) -> _Read | DataError:
        try:
            image = _encoded(image)
            size = (0, 0)
            if "bytes_per_pixel" in self.card.input:
                size = _size(image, name)
                self._refuse_too_large(size, name, options)
            # Now alone: formats that the graph does not read are decoded here.
            return _Read(name, intake.read(image, name), size)
        except DataError as error:
            return error

    def _refuse_too_large(self, size: tuple[int, int], name: str, options: dict[str, Option]) -> None:
        """Refuse an image whose answer would not fit into memory."""
        needed, free = self._needed(size, options), memory.available()
        if needed > _SHARE * free:
            raise ImageTooLargeError(
                f"{name}: {size[1]} x {size[0]} pixels would take {needed / 2**30:.1f} GiB of memory at once, and "
                f"{free / 2**30:.1f} are free; answer it piece by piece: --tile 1024 (predict_by_pieces in Python)"
            )

    def _needed(self, size: tuple[int, int], options: dict[str, Option]) -> int:
        """Return how many bytes the answer for an image of a height and width takes, 0 where the card does not say."""
        bytes_each = self.card.input.get("bytes_per_pixel")
        if bytes_each is None:
            return 0
        if self.card.task == "segmentation":
            scale, classes = float(self.card.input["scale"]), len(self.card.classes)
        else:
            scales = options.get("scales", self.card.input["options"]["scales"])
            scale, classes = max(scales) if isinstance(scales, (tuple, list)) else float(scales), 0
        return memory.needed(*size, scale, bytes_each, classes)

    def _answers(self, read: list[_Read | DataError], options: dict[str, Option]) -> Iterator[Answer | DataError]:
        good = [one for one in read if isinstance(one, _Read)]
        answers = (answer for call in self._calls(good, options) for answer in self._answer(call, options))
        for one in read:
            yield next(answers) if isinstance(one, _Read) else one

    def _calls(self, images: list[_Read], options: dict[str, Option]) -> Iterator[list[_Read]]:
        """Divide images among calls whose answers fit into memory together; what fits only alone is alone."""
        call: list[_Read] = []
        for image in images:
            together = [*call, image]
            # The answers of a call are as high as its highest image and as wide as its widest.
            largest = max(one.size[0] for one in together), max(one.size[1] for one in together)
            needed = len(together) * self._needed(largest, options)
            if call and needed > _SHARE * memory.available():
                yield call
                together = [image]
            call = together
        if call:
            yield call

    def _answer(self, images: list[_Read], options: dict[str, Option]) -> list[Answer | DataError]:
        import tensorflow as tf

        try:
            outputs = self._served([image.data for image in images], **options)
        except tf.errors.InvalidArgumentError as error:
            # The error of a batch does not say which image is at fault; one at a time, it does.
            if len(images) == 1:
                return [DataError(f"{images[0].name}: the image cannot be decoded: {_reason(error)}")]
            return [answer for image in images for answer in self._answer([image], options)]
        classes = tuple(self.card.classes)
        names = [image.name for image in images]
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

    def predict_by_pieces(
        self,
        image: ImageInput,
        tile: int = 1024,
        *,
        blend: bool = False,
        name: str | None = None,
        advance: Advance = lambda done, count: None,
        **options: Option,
    ) -> Segmentation | Detections:
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
        from cnnapp import by_pieces

        self._check_options(options)
        return by_pieces.answer(self._served, image, tile, blend, name or intake.name_of(image), advance, options)

    def segment_to(
        self,
        image: ImageInput,
        path: str | os.PathLike,
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
        from cnnapp import by_pieces

        self._check_options(options)
        return by_pieces.write(self._served, image, Path(path), tile, blend, name or intake.name_of(image), advance)

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
        from cnnapp import verification

        return verification.certify(self._served)

    def verify(self) -> float:
        """Replay the golden examples.

        Returns:
            The largest difference of a score from what it was at export.

        Raises:
            ModelError: if it is larger than 1e-5, or an answer is another.
        """
        from cnnapp import verification

        return verification.verify(self._served)

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
        from cnnapp import verification

        return verification.verify_tiling(self, tile)


def _encoded(image: ImageInput) -> ImageInput:
    """Return the bytes of a file, undecoded, and anything else as it is."""
    if isinstance(image, (str, os.PathLike)):
        with contextlib.suppress(OSError):  # Which intake words.
            return Path(image).read_bytes()
    return image


def _size(image: ImageInput, name: str) -> tuple[int, int]:
    """Return height and width of an image without decoding it; (0, 0) where they are not known."""
    if isinstance(image, bytes):
        return intake.size_of(image, name)
    if isinstance(image, Image.Image):
        return image.height, image.width
    return tuple(image.shape[:2]) if isinstance(image, np.ndarray) and image.ndim > 1 else (0, 0)


def _reason(error: Exception) -> str:
    """Return the line of TensorFlow's message that speaks of the image."""
    lines = [re.sub(r"\{\{.*?\}\}|\[\[.*|\[Op:.*?\]", "", line).strip() for line in str(error).splitlines()]
    noise = ("Graph execution error", "Detected at node", "<stack traces", "File ")
    telling = [line for line in lines if line and not line.startswith(noise)]
    return telling[0] if telling else "TensorFlow refuses it"
