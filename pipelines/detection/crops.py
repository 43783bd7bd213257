"""What a detector is trained on: crops of images at random places and scales, with what each window should say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from pipelines.core.progress import Reporter
from pipelines.data.splits import Example, Split
from pipelines.detection.sliding_window import ScanSpec
from pipelines.images import preprocessing
from pipelines.images.boxes import Objects
from pipelines.training.cached_dataset import EpochOrder, decode_each
from pipelines.training.random_views import draw_matrix, place, relight, sample

__all__ = ["CropSpec", "Scene", "assign", "crops", "decode_scenes", "draw_view"]

_NEAR = 0.15
"""Windows centred within this share of an object's side of its centre are to find it."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A training image as the network sees it: uint8 of shape (height, width, channels), boxes in its pixels."""

    pixels: np.ndarray
    objects: Objects


@dataclass(frozen=True)
class CropSpec:
    """What crops are drawn.

    Args:
        scan: how the detector looks.
        cells: rows and columns of windows in a crop.
        zoom: scales are drawn between 1 / zoom and zoom.
        aspect: and height against width between 1 / aspect and aspect.
        flip: mirror left to right, every second time.
        turn: turn by multiples of 90 degrees and mirror, for what has no upright.
        light: largest change of brightness (as a share of 255), of contrast and of each colour (as factors).
        montage: whether scenes are put together from single windows first.
        levels: of the pyramid: factors of the scale, one of which is drawn for each crop.
        largest: objects larger than this (the square root of their area, in pixels of the crop) are another level's,
            and ignored, unless it is the last level.
    """

    scan: ScanSpec
    cells: tuple[int, int]
    zoom: float = 1.25
    aspect: float = 1.05
    flip: bool = False
    turn: bool = False
    light: float = 0.2
    montage: bool = False
    levels: tuple[float, ...] = (1.0,)
    largest: float = float("inf")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a crop, in pixels."""
        window, stride = self.scan.window, self.scan.stride
        return stride * (self.cells[0] - 1) + window[0], stride * (self.cells[1] - 1) + window[1]


def decode_scenes(split: Split[Objects], scale: float, channels: int, reporter: Reporter) -> list[Scene]:
    """Decode all images of a split and scale them, by the very functions of the saved model.

    Args:
        split: the examples.
        scale: what images are scaled by for the network.
        channels: 1 (grey) or 3 (RGB).
        reporter: where progress is shown.

    Returns:
        A scene an example, in order.

    Raises:
        DataError: naming the first image that cannot be decoded.
    """

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def prepare(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = preprocessing.decode(data)
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        small = preprocessing.scaled_size(image, tf.constant(scale))
        return preprocessing.prepare_size(image, small, channels), tf.cast(small, tf.float32) / size

    def decode(example: Example[Objects]) -> Scene:
        pixels, factor = prepare(example.image)
        height, width = factor.numpy()
        truth = example.label
        boxes = truth.boxes * np.array([width, height] * 2, np.float32)
        return Scene(pixels.numpy(), Objects(boxes, truth.class_ids, truth.ignored))

    return decode_each(split, decode, reporter)


def draw_view(scene: Scene, spec: CropSpec, dice: np.random.Generator) -> np.ndarray:
    """Draw where a crop lies on a scene.

    Args:
        scene: the image.
        spec: what crops are drawn.
        dice: where chance comes from.

    Returns:
        float64 of shape (2, 3): ``(x, y)`` of the scene is this matrix times ``(x, y, 1)`` of the crop.
    """
    level = dice.choice(spec.levels)
    matrix = draw_matrix(dice, zoom=spec.zoom, aspect=spec.aspect, flip=spec.flip, turn=spec.turn) / level
    wanted = np.flatnonzero(~scene.objects.ignored)
    field = (np.array(spec.cells[::-1]) - 1) * spec.scan.stride
    if spec.montage:
        middle = np.array(scene.pixels.shape[1::-1]) / 2  # objects lie anywhere already
    elif len(wanted) and dice.random() < 0.7:
        box = scene.objects.boxes[dice.choice(wanted)]
        middle = (box[:2] + box[2:]) / 2 + np.abs(matrix) @ (field * dice.uniform(-0.5, 0.5, 2))
    else:
        # So far that the outermost windows are centred on the border.
        sides = np.array(scene.pixels.shape[1::-1])
        least, most = np.abs(matrix) @ field / 2, sides - np.abs(matrix) @ field / 2
        middle = np.where(least < most, dice.uniform(np.minimum(least, most), np.maximum(least, most)), sides / 2)
    return place(matrix, middle, spec.size)


def assign(scene: Scene, view: np.ndarray, spec: CropSpec) -> tuple[np.ndarray, np.ndarray]:
    """Say what each window of a crop should answer.

    Args:
        scene: the image.
        view: as :func:`draw_view` gives it.
        spec: what crops are drawn.

    Returns:
        int32 of shape cells: 0 for the background, the class id + 1 for a window centred near an object's middle, -1
        where no answer is wrong (on ignored objects); and float32 of shape (*cells, 4): the distances from the window's
        centre to the object's left, top, right and bottom, in pixels.
    """
    boxes = _seen(scene.objects.boxes, view)
    stride = spec.scan.stride
    y, x = ((np.arange(count) + 0.5) * stride + (side - stride) / 2 for count, side in
            zip(spec.cells, spec.scan.window, strict=True))  # fmt: skip
    labels = np.zeros(spec.cells, np.int32)
    distances = np.ones((*spec.cells, 4), np.float32)
    sides = boxes[:, 2:] - boxes[:, :2]
    # What is in front of larger things comes last, and stays. Ignored ones give way to all others.
    ignored = scene.objects.ignored | _of_other_levels(sides, view, spec)
    for index in np.lexsort((-sides.prod(1), ~ignored)):
        left, top, right, bottom = boxes[index]
        width, height = sides[index]
        if ignored[index]:
            inside = ((y > top) & (y < bottom))[:, None] & ((x > left) & (x < right))
            labels[inside] = -1
            continue
        reach_x, reach_y = max(_NEAR * width, 0.6 * stride), max(_NEAR * height, 0.6 * stride)
        rows, columns = np.abs(y - (top + bottom) / 2) <= reach_y, np.abs(x - (left + right) / 2) <= reach_x
        near = rows[:, None] & columns
        labels[near] = scene.objects.class_ids[index] + 1
        grid_y, grid_x = (axis[near] for axis in np.broadcast_arrays(y[:, None], x))
        distances[near] = np.stack([grid_x - left, grid_y - top, right - grid_x, bottom - grid_y], axis=-1)
    return labels, np.maximum(distances, 0.5)


def _of_other_levels(sides: np.ndarray, view: np.ndarray, spec: CropSpec) -> np.ndarray:
    """Say which objects are too large for this level, or so small that the level before it shows them better."""
    if len(spec.levels) == 1:
        return np.zeros(len(sides), bool)
    scale = abs(np.linalg.det(view[:, :2])) ** -0.5
    side = np.sqrt(sides.prod(1))
    last, first = scale < min(spec.levels) * 2**0.5, scale > max(spec.levels) / 2**0.5
    large = np.full(len(sides), False) if last else side > spec.largest
    return large if first else large | (side < spec.largest / 8)


def _seen(boxes: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Return boxes of the scene in pixels of the crop."""
    back = np.linalg.inv(view[:, :2])
    corners = (boxes.reshape(-1, 2, 2) - view[:, 2]) @ back.T
    return np.concatenate([corners.min(1), corners.max(1)], axis=1)


def crops(
    scenes: list[Scene],
    spec: CropSpec,
    batch_size: int,
    seed: int,
    *,
    training: bool,
    compose: Callable[[Scene, np.random.Generator], Scene] | None = None,
    start: int = 0,
) -> tf.data.Dataset:
    """Give batches of crops with what their windows should say.

    Batch number ``step`` is a pure function of (seed, step), so that a run can go on from any step.

    Args:
        scenes: the images.
        spec: what crops are drawn.
        batch_size: crops a batch.
        seed: of order, places and colours.
        training: without end and in random order; otherwise every scene once, in order, its colours unchanged.
        compose: makes a scene to cut from out of an image, such as :meth:`pipelines.detection.cut_paste.Montage.draw`.
        start: number of the first step.

    Returns:
        Batches (pixels float32 (batch, height, width, channels) 0 to 255, (labels, distances) as of :func:`assign`,
        weights float32 (batch,) of one).
    """
    order = EpochOrder(len(scenes), seed)

    def draw(number: np.ndarray) -> tuple[np.ndarray, ...]:
        scene = scenes[order.running(int(number)) if training else int(number)]
        dice = np.random.default_rng([seed, 1, int(number)])
        if compose is not None:
            scene = compose(scene, dice)
        view = draw_view(scene, spec, dice)
        return (scene.pixels, view.astype(np.float32), *assign(scene, view, spec))

    def example(number: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
        kinds = (tf.uint8, tf.float32, tf.int32, tf.float32)
        pixels, view, labels, distances = tf.numpy_function(draw, [number], kinds, stateful=False)
        crop = sample(tf.ensure_shape(pixels, (None, None, spec.scan.channels)), view, spec.size)
        if training:
            crop = relight(crop, tf.stack([tf.constant(seed, tf.int64), number]), spec.light)
        labels = tf.ensure_shape(labels, spec.cells)
        return crop, (labels, tf.ensure_shape(distances, (*spec.cells, 4))), tf.constant(1.0)

    if training:
        numbers = tf.data.Dataset.range(start * batch_size, tf.int64.max)
    else:
        numbers = tf.data.Dataset.range(len(scenes))
    drawn = numbers.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return drawn.batch(batch_size, drop_remainder=training).prefetch(2)
