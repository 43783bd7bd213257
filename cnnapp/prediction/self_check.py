"""What a saved model promises, checked: golden examples, windows at once, and pieces of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnapp.results.answer import Answer
from cnnapp.results.table import answer_type
from pipelines.artifacts.golden import GOLDEN_TOLERANCE, read_golden
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError, ModelError
from pipelines.images import image_io

if TYPE_CHECKING:
    from layers.fully_convolutional.certificate import Certificate

__all__ = ["TilingDifference", "certify", "verify", "verify_tiling"]

TILING_TOLERANCE = 1e-4
"""How far a probability of a piece may lie from that of the whole image: convolutions of another size add up in another
order.
"""
_SCALED_TOLERANCE = 0.02
"""The same for a detector's scores: pixels of scaled images are rounded to whole levels, and a few are rounded up in a
piece and down in the whole.
"""


def certify(served: ServedModel) -> Certificate:
    """See :meth:`cnnapp.Predictor.certify`."""
    import tensorflow as tf

    from layers.fully_convolutional.certificate import EXACT, compare
    from pipelines.detection.sliding_window import ScanSpec, level
    from pipelines.images import preprocessing

    if answer_type(served.card.task).unit != "window":
        raise ModelError(f"{served.directory}: is for {served.card.task}; only detection looks at windows")
    spec = ScanSpec.from_json(served.card.input)
    scale = tf.constant(float(served.card.training["scale"]))
    pixels = level(preprocessing.decode(tf.constant(read_golden(served.directory).inputs[0])), scale, spec)

    def run(pixels: np.ndarray) -> list[np.ndarray]:
        return [served.run("windows", pixels=tf.constant(pixels))["outputs"].numpy()]

    found = compare(run, run, tf.cast(pixels, tf.float32).numpy(), spec.window, (spec.stride, spec.stride))
    if not found.relative_difference <= EXACT:
        raise ModelError(
            f"{served.directory}: looking at all windows at once differs from each window alone by "
            f"{found.relative_difference:.3g} of the largest output; at most {EXACT:g} was expected"
        )
    return found


def verify(served: ServedModel) -> float:
    """See :meth:`cnnapp.Predictor.verify`."""
    golden = read_golden(served.directory)
    difference = golden.difference(served(golden.inputs))
    if not difference <= GOLDEN_TOLERANCE:
        raise ModelError(
            f"{served.directory}: the golden examples give other answers than at export: largest difference "
            f"{difference:.3g}, at most {GOLDEN_TOLERANCE:g} was expected"
        )
    return difference


@dataclass(frozen=True)
class TilingDifference:
    """How far the answer in tiles lies from that for the whole image.

    Args:
        size: height and width of the image, in pixels.
        tile: side of the tiles.
        largest: difference of a score.
        other: how many pixels have another class, or objects no counterpart.
        kind: what is counted: pixels, objects or numbers.
        limit: how large the difference of a score may be.
    """

    size: tuple[int, int]
    tile: int
    largest: float
    other: int
    kind: str
    limit: float

    def __str__(self) -> str:
        """Return one line."""
        height, width = self.size
        return (
            f"{width} x {height} pixels in tiles of {self.tile} against the whole: largest difference of a score "
            f"{self.largest:.3g}, {self.other} {self.kind} differ"
        )

    @property
    def same(self) -> bool:
        """Whether the two are the same, to the tolerance."""
        # The class of a pixel may only be another where two are equally likely to that tolerance.
        return self.largest <= self.limit and (self.kind == "pixels" or not self.other)


Predict = Callable[[Any], Sequence[Answer]]
"""From an image to a list with its answer."""
PredictInTiles = Callable[[Any, int], Answer]
"""From an image and the side of tiles to its answer."""


def verify_tiling(served: ServedModel, predict: Predict, in_tiles: PredictInTiles, tile: int) -> TilingDifference:
    """See :meth:`cnnapp.Predictor.verify_tiling`.

    Args:
        served: the saved model.
        predict: answers for whole images.
        in_tiles: answers for an image in tiles.
        tile: their side, in pixels.
    """
    kind = answer_type(served.card.task)
    if not kind.tiled:
        raise ConfigError(f"tiling: {served.card.name} is for {served.card.task}, whose answer is for the whole image")
    pixels = _example(served, 3 * tile)
    if "class_map" in kind.outputs:
        found = _maps(served, pixels, tile)
    else:
        compare = _boxes if "boxes" in kind.outputs else _numbers
        found = compare(served, pixels, predict(pixels)[0], in_tiles(pixels, tile), tile)
    if not found.same:
        raise ModelError(f"{served.directory}: {found}; at most {found.limit:g} was expected")
    return found


def _example(served: ServedModel, side: int) -> np.ndarray:
    """Repeat an example of the model's own until it is at least so large, and of a size that no piece divides."""
    one = np.asarray(image_io.open_rgb(read_golden(served.directory).inputs[0]))
    height, width = side + 13, side + 29
    copies = -(-height // one.shape[0]), -(-width // one.shape[1]), 1
    return np.tile(one, copies)[:height, :width]


def _maps(served: ServedModel, pixels: np.ndarray, tile: int) -> TilingDifference:
    import tensorflow as tf

    from pipelines.images.windowed_reader import open_raster
    from pipelines.segmentation.tiled import Mosaic

    whole = served.run("probabilities", image_bytes=tf.constant(image_io.read(pixels)))["probabilities"].numpy()
    with open_raster(pixels) as raster:
        mosaic = Mosaic(served, raster, tile)
        largest, other = 0.0, 0
        for row in mosaic.rows:
            for column in mosaic.columns:
                piece, same = mosaic.piece(row, column), whole[slice(*row.kept), slice(*column.kept)]
                largest = max(largest, float(np.abs(piece - same).max()))
                other += int((piece.argmax(-1) != same.argmax(-1)).sum())
    return TilingDifference((pixels.shape[0], pixels.shape[1]), tile, largest, other, "pixels", TILING_TOLERANCE)


def _numbers(served: ServedModel, pixels: np.ndarray, whole: Answer, parts: Answer, tile: int) -> TilingDifference:
    """Compare whatever numbers two answers have."""
    found, expected = (type(one).to_outputs([one]) for one in (parts, whole))
    numeric = [key for key, value in expected.items() if value.dtype.kind in "biuf"]
    unlike = sum(found[key].shape != expected[key].shape for key in numeric)
    apart = [
        float(np.abs(found[key].astype(float) - expected[key].astype(float)).max(initial=0.0))
        for key in numeric
        if found[key].shape == expected[key].shape
    ]
    size = pixels.shape[0], pixels.shape[1]
    return TilingDifference(size, tile, max(apart, default=0.0), unlike, "numbers", TILING_TOLERANCE)


def _boxes(served: ServedModel, pixels: np.ndarray, whole: Any, parts: Any, tile: int) -> TilingDifference:
    largest, other = 0.0, 0
    left = list(range(len(parts)))
    for box, score, class_id in zip(whole.boxes, whole.scores, whole.class_ids, strict=True):
        near = [i for i in left if parts.class_ids[i] == class_id and np.abs(parts.boxes[i] - box).max() < 1.0]
        if not near:
            other += 1
            continue
        best = min(near, key=lambda i: abs(float(parts.scores[i]) - float(score)))
        largest = max(largest, abs(float(parts.scores[best]) - float(score)))
        left.remove(best)
    if left:
        # Pieces are not limited in number: below the last object of a full answer there may be others.
        limit = served([image_io.read(pixels)])["scores"].shape[1]
        lowest = float(whole.scores.min()) if len(whole) >= limit else -1.0
        other += sum(float(parts.scores[i]) > lowest for i in left)
    return TilingDifference((pixels.shape[0], pixels.shape[1]), tile, largest, other, "objects", _SCALED_TOLERANCE)
