"""Faults of a single line, which the tests have to catch: what :mod:`planted_faults` plants, one at a time.

A fault is found by its text, not by its file, so that the list holds whatever a file is called; the text must stand
exactly once in the packages. Each of them was judged to change what somebody sees: none is a matter of speed or of
wording, and none leaves every answer as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAULTS", "Fault"]


@dataclass(frozen=True)
class Fault:
    """A line, and what is planted in its place.

    Args:
        name: what it is called in the table.
        text: part of a line, which no other line of the packages contains.
        planted: what replaces it.
        breaks: what is wrong then.
        otherwise: the same line as other versions of the project have it, with what replaces that.
    """

    name: str
    text: str
    planted: str
    breaks: str
    otherwise: tuple[tuple[str, str], ...] = ()


_LAYERS = (
    Fault(
        "same-padding-of-remainders",
        "covered = stride if size is None or size % stride == 0 else size % stride",
        "covered = stride",
        "strided layers pad too little where the stride does not divide the size",
    ),
    Fault(
        "same-padding-at-run-time",
        "total = ops.maximum(extent - ops.where(remainder == 0, stride, remainder), 0)",
        "total = ops.maximum(extent - remainder, 0)",
        "padding of sizes that are known only at run time, where the stride divides them",
    ),
    Fault(
        "reflection-repeats-the-border",
        'skip = 1 if mode == "reflect" else 0',
        'skip = 1 if mode == "symmetric" else 0',
        "the padding modes reflect and symmetric change places",
    ),
    Fault(
        "fan-of-the-whole-kernel",
        "value = initializer(whole, dtype=dtype) * math.sqrt(_fan(initializer, whole) / _fan(initializer, shape))",
        "value = initializer(whole, dtype=dtype)",
        "unshared kernels begin too small by the square root of their number",
    ),
    Fault(
        "tiles-are-counted-down",
        "periods = tuple(-(-size // t) for size, t in zip(sizes, tile, strict=True))",
        "periods = tuple(max(size // t, 1) for size, t in zip(sizes, tile, strict=True))",
        "a tiled convolution loses the outputs behind the last whole tile",
    ),
    Fault(
        "sign-of-an-offset-gradient",
        "by_x = (low[0] * (values[1] - values[0]) + high[0] * (values[3] - values[2])) * (inside * scale)",
        "by_x = (low[0] * (values[0] - values[1]) + high[0] * (values[2] - values[3])) * (inside * scale)",
        "deformable convolution learns its horizontal offsets in the wrong direction",
    ),
    Fault(
        "epsilon-of-gem-is-ignored",
        "x = ops.maximum(x, ops.cast(epsilon, x.dtype))",
        "x = ops.maximum(x, ops.cast(1e-6, x.dtype))",
        "GeM pooling takes its default epsilon whatever is asked for",
    ),
    Fault(
        "exponent-falls-below-one",
        "return ops.maximum(ops.convert_to_tensor(w), 1.0)",
        "return ops.maximum(ops.convert_to_tensor(w), 0.0)",
        "the learned exponent of GeM pooling may fall below 1",
    ),
    Fault(
        "cost-of-transposed-convolutions",
        "positions = _positions(call.input_shapes[0], call, data_format)",
        "positions = _positions(call.output_shapes[0], call, data_format)",
        "multiply-adds of transposed convolutions are counted at their outputs",
    ),
    Fault(
        "groups-of-a-matrix",
        "first = np.arange(filters) // (filters // self.groups) * channels",
        "first = np.arange(filters) % self.groups * channels",
        "the matrix of a grouped convolution joins filters with the wrong channels",
    ),
    Fault(
        "contrast-is-seen-too-narrow",
        "widen = 2 if isinstance(layer, LocalContrastNormalization) else 1",
        "widen = 1",
        "the receptive field of local contrast normalisation is half as wide as it is",
    ),
    Fault(
        "conjugate-of-a-spectrum",
        "twice = ops.cast(ops.where((index == 0) | (2 * index == sizes[0]), 1, 2), y.dtype)",
        "twice = ops.cast(ops.where(index == 0, 1, 2), y.dtype)",
        "Fourier convolution counts the middle frequency of even sizes twice",
    ),
)

_PIPELINES = (
    Fault(
        "union-counts-twice",
        "union = areas(first)[:, None] + areas(second) - shared",
        "union = areas(first)[:, None] + areas(second)",
        "the overlap of boxes: their intersection is counted twice in the union",
    ),
    Fault(
        "an-orientation-is-not-mirrored",
        "turned = tf.cond(one_of(2, 3, 6, 7), lambda: tf.reverse(turned, [1]), lambda: turned)",
        "turned = tf.cond(one_of(2, 3, 6), lambda: tf.reverse(turned, [1]), lambda: turned)",
        "photographs of EXIF orientation 7 come out mirrored",
    ),
    Fault(
        "crop-of-the-inverse-aspect",
        "cut_width = tf.minimum(width, tf.cast(tf.round(tf.cast(height, tf.float32) / aspect), tf.int32))",
        "cut_width = tf.minimum(width, tf.cast(tf.round(tf.cast(height, tf.float32) * aspect), tf.int32))",
        "--resize crop cuts wide images to height against width swapped",
    ),
    Fault(
        "bin-of-a-score",
        "place = np.clip(np.ceil(chosen * bins).astype(int) - 1, 0, bins - 1)",
        "place = np.clip(np.ceil(chosen * bins).astype(int), 0, bins - 1)",
        "calibration puts every score into the bin above its own",
    ),
    Fault(
        "ignored-pixels-are-learned",
        "found *= counted[..., None]",
        "found *= tf.ones_like(counted)[..., None]",
        "the dice loss counts what is found at pixels that are to be ignored",
    ),
    Fault(
        "weights-without-limit",
        "return np.where(seen, np.minimum(middle / frequency, _HEAVIEST), 1.0).astype(np.float32)",
        "return np.where(seen, middle / frequency, 1.0).astype(np.float32)",
        "a rare class may weigh any number of times as much as the others",
    ),
    Fault(
        "pieces-begin-anywhere",
        "begin = math.floor(kept[0] * scale) // halo.multiple * halo.multiple",
        "begin = math.floor(kept[0] * scale)",
        "pieces of a large image do not begin where the network's strides do",
    ),
    Fault(
        "schedules-change-places",
        'alpha=0.01 if config.schedule == "cosine" else 1.0',
        'alpha=0.01 if config.schedule != "cosine" else 1.0',
        "the constant schedule falls, and the cosine does not",
    ),
    Fault(
        "best-epoch-is-the-last",
        "if not rank > self.rank:",
        "if rank < (-math.inf, -math.inf):",
        "training keeps the weights of the last epoch and not those of the best",
    ),
    Fault(
        "validation-part-is-lost",
        'if part == "validation" and "test" not in stated and with_test:',
        'if part == "validation" and "test" in stated and with_test:',
        "where a set states a validation and a test part, one goes into the other",
    ),
    Fault(
        "last-output-decides",
        "largest = max(largest, float((np.abs(found - expected) / scale).max(initial=0.0)))",
        "largest = float((np.abs(found - expected) / scale).max(initial=0.0))",
        "of golden outputs only the last one is compared",
    ),
    Fault(
        "small-objects-lie-below",
        "lying.sort(key=lambda one: (one[0] != IGNORED, -one[1][1::2].sum()))",
        "lying.sort(key=lambda one: (one[0] != IGNORED, -one[1][0::2].sum()))",
        "COCO's masks: large objects are drawn over small ones",
    ),
    Fault(
        "precision-is-not-the-best-to-come",
        "best = np.maximum.accumulate(shown.precision[::-1])[::-1]",
        "best = shown.precision",
        "average precision of VOC is that of a curve with teeth",
    ),
    Fault(
        "found-objects-are-found-again",
        "free[best] = truth.ignored[best]",
        "free[best] = True",
        "a second detection of an object is right",
    ),
)

_CNNAPP = (
    Fault(
        "smallest-image-of-a-request",
        'height, width = own["sizes"].max(axis=0) if len(own["sizes"]) else (0, 0)',
        'height, width = own["sizes"].min(axis=0) if len(own["sizes"]) else (0, 0)',
        "the service cuts the maps of a request to its smallest image",
    ),
    Fault(
        "rows-for-columns",
        "(name, class_map[:height, :width], confidence[:height, :width], class",
        "(name, class_map[:width, :height], confidence[:width, :height], class",
        "answers of segmentation are cut out with height and width swapped",
    ),
    Fault(
        "smallest-area-first",
        'order = np.argsort(-counts, kind="stable")\n',
        'order = np.argsort(counts, kind="stable")\n',
        "classes are listed with the smallest area first",
    ),
    Fault(
        "one-request-too-many",
        "if self.held >= self._places:",
        "if self.held > self._places:",
        "the service holds one request more than its limit",
        (
            (
                "if self._held[key] >= self._limits.queue:",
                "if self._held[key] > self._limits.queue:",
            ),
        ),
    ),
    Fault(
        "oldest-version-answers",
        "number = versions[-1]",
        "number = versions[0]",
        "a request without a version is answered by the oldest",
    ),
    Fault(
        "class-of-no-model",
        "if chosen is not None and not -1 <= int(chosen) < classes:",
        "if chosen is not None and not -1 <= int(chosen) <= classes:",
        "the service takes the index of a class that the model has not",
    ),
    Fault(
        "kept-answers-are-not-forgotten",
        "self._size -= found.size",
        "self._size -= 0",
        "the store of answers believes itself full and keeps nothing any more",
        (
            (
                "self._size -= _size(self._kept.pop(key))",
                "self._kept.pop(key)",
            ),
        ),
    ),
    Fault(
        "hidden-files-are-images",
        'hidden = any(part.startswith(".") for part in parts)',
        'hidden = parts[0].startswith(".")',
        "hidden files inside the folders of a zip are taken for images",
    ),
    Fault(
        "pairs-of-one-object",
        "shares[row, :] = shares[:, column] = 0.0",
        "shares[row, column] = 0.0",
        "comparing two detectors pairs one object with several",
    ),
    Fault(
        "rectangle-of-a-smaller-image",
        "return box[0] * across, box[1] * down, box[2] * across, box[3] * down",
        "return box[0] * down, box[1] * across, box[2] * down, box[3] * across",
        "evidence of a reduced image lies elsewhere in the one before where the proportions changed",
    ),
)

_UI = (
    Fault(
        "background-is-drawn",
        "usual = list(range(int(is_background(names)), len(names)))",
        "usual = list(range(len(names)))",
        "the page draws the class background over the image",
    ),
    Fault(
        "click-goes-to-a-corner",
        '"x": (left + right) // 2, "y": (top + bottom) // 2}',
        '"x": left, "y": top}',
        "a click on a large image is taken for the corner of the place",
    ),
    Fault(
        "examples-of-one-class",
        "seen = [classes[: index + 1].count(each) for index, each in enumerate(classes)]",
        "seen = [classes.count(each) for each in classes]",
        "examples of one class have one name, and all but one are lost",
    ),
    Fault(
        "truth-is-not-shown",
        "known = [each for each in differences if isinstance(each, ClassDifference) and labels.get(each.source)]",
        "known = [each for each in differences if isinstance(each, ClassDifference) and not labels.get(each.source)]",
        "the page of comparisons judges by images without a label",
        otherwise=(
            (
                "labelled = [(each, str(labels[each.source])) for each in differences if labels.get(each.source)]",
                "labelled = [(each, str(labels[each.source])) for each in differences if not labels.get(each.source)]",
            ),
        ),
    ),
)

FAULTS = (*_LAYERS, *_PIPELINES, *_CNNAPP, *_UI)
