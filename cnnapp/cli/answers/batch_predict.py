"""Prediction on many files for the command line: results as they come, with pictures and masks written beside."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnapp.results.writers import numbered_stem
from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter

if TYPE_CHECKING:
    from cnnapp.prediction.base_predictor import Answerer

__all__ = ["Answering", "find_images", "write_file"]


class Answering:
    """Answers for files, one after another.

    Args:
        predictor: answers.
        files: paths of images.
        masks: folder for masks of segmentation.
        pictures: folder for drawn answers.
        reporter: where progress is shown.

    Attributes:
        undrawn: reasons why pictures could not be made or written; their answers are given all the same.
    """

    def __init__(
        self, predictor: Answerer, files: list[str], masks: Path | None, pictures: Path | None, reporter: Reporter
    ) -> None:
        self._predictor, self._files, self._reporter = predictor, files, reporter
        self._masks, self._pictures = masks, pictures
        self.undrawn: list[str] = []

    def whole(self, batch_size: int, options: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Answer for each file as a whole, some of them in one call.

        Yields:
            (name, answer or ``DataError``), in order.
        """
        with self._reporter.meter("analysing", len(self._files)) as meter:
            found = self._predictor.predict_each(self._files, batch_size, **options)
            for number, (name, answer) in enumerate(found, start=1):
                meter.advance()
                if not isinstance(answer, DataError):
                    self._draw(number, name, answer)
                    if self._masks is not None:
                        write_file(self._masks / f"{numbered_stem(number, name)}.png", answer.mask_png())
                yield name, answer

    def by_pieces(self, tile: int, blend: bool, options: dict[str, Any], scratch: Path) -> Iterator[tuple[str, Any]]:
        """Answer for each file tile by tile; masks go to files, and those that were interrupted are resumed.

        Args:
            tile: side of the tiles in pixels.
            blend: as for :meth:`cnnapp.Predictor.predict_by_pieces`.
            options: of the model.
            scratch: where masks go that no folder was given for; the answers read them again.

        Yields:
            (name, answer or ``DataError``), in order.
        """
        for number, name in enumerate(self._files, start=1):
            try:
                answer = self._one(number, name, tile, blend, options, self._masks or scratch)
            except DataError as error:
                yield name, error
            else:
                self._draw(number, name, answer)
                yield name, answer

    def _one(self, number: int, name: str, tile: int, blend: bool, options: dict[str, Any], masks: Path) -> Any:
        from cnnapp.prediction.predictor import Predictor

        assert isinstance(self._predictor, Predictor)
        with self._reporter.meter(f"analysing {name}", 1, "tiles") as meter:
            if self._predictor.answer_type.masks:
                path = masks / f"{numbered_stem(number, name)}.tif"
                return self._predictor.segment_to(name, path, tile, blend=blend, advance=meter.reach, **options)
            return self._predictor.predict_by_pieces(name, tile, blend=blend, advance=meter.reach, **options)

    def _draw(self, number: int, name: str, answer: Any) -> None:
        if self._pictures is None:
            return
        path = self._pictures / f"{numbered_stem(number, name)}.png"
        try:
            picture = answer.draw()
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path)
        except DataError as error:
            self.undrawn.append(f"{path}: cannot be drawn: {error}")
        except OSError as error:
            self.undrawn.append(f"{path}: cannot be written: {error.strerror or error}")


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, text with a line end behind it, and make its folder.

    Raises:
        DataError: if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def find_images(paths: list[str]) -> Iterator[str]:
    """Give the files that paths, folders and globs stand for; a name that stands for nothing is passed on to fail.

    Raises:
        DataError: if a folder holds no image, or a pattern matches no file.
    """
    from pipelines.images.image_io import EXTENSIONS

    for text in paths:
        path = Path(text)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if not p.is_dir() and p.suffix.lower() in EXTENSIONS)
            if not inside:
                raise DataError(f"{text}: the folder holds no images")
            yield from map(str, inside)
        elif not path.exists() and glob.has_magic(text):
            matches = sorted(p for p in glob.glob(text, recursive=True) if not os.path.isdir(p))
            if not matches:
                raise DataError(f"{text}: no file matches")
            yield from matches
        else:
            yield text
