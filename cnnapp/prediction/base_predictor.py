"""What answers for images, wherever the model is: in this process or behind a service."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np

from cnnapp.results.answer import Answer
from cnnapp.results.model_info import Facts
from pipelines.core.errors import ConfigError, DataError, unknown
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput

__all__ = ["Answerer", "Option"]

Option = float | tuple[float, ...]
"""The value of an optional input of a model."""


class Answerer(ABC):
    """Answers for images."""

    @property
    @abstractmethod
    def card(self) -> Facts:
        """What is known of the model."""

    @property
    @abstractmethod
    def answer_type(self) -> type[Answer]:
        """The type of its answers, which says what can be done with them."""

    @abstractmethod
    def _read(self, image: ImageInput, name: str, options: dict[str, Option]) -> Any | DataError:
        """Return what :meth:`_answers` takes of an image, or why it cannot be read."""

    @abstractmethod
    def _answers(self, read: Sequence[Any | DataError], options: dict[str, Option]) -> Iterator[Answer | DataError]:
        """Answer for images that were read together; what could not be read is passed on."""

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

        Raises:
            ServiceError: if a service cannot be reached, or is too busy for long.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size: received {batch_size}; expected at least 1")
        self.check_options(options)
        images = iter(images)
        calls = None if names is None else iter(names)
        with ThreadPoolExecutor(max_workers=4) as pool:
            while chunk := list(islice(images, batch_size)):
                called = (
                    [image_io.name_of(image) for image in chunk] if calls is None else list(islice(calls, len(chunk)))
                )
                read = list(pool.map(lambda image, name: self._read(image, name, options), chunk, called))
                yield from zip(called, self._answers(read, options), strict=True)

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

    def check_options(self, options: Mapping[str, Option]) -> None:
        """Check that the model has optional inputs of these names.

        Raises:
            ConfigError: naming one that it has not, and those that it has.
        """
        known = self.card.input.get("options", {})
        for option in options:
            if option not in known:
                raise ConfigError(unknown("option", option, known))
