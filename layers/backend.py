"""The few operations worth a backend's own route; the only module that imports the active backend, and lazily."""

from __future__ import annotations

import functools
import math
from typing import Any

import keras
from keras import ops

from layers.geometry import ConvGeometry
from layers.padding import pad, slice_axis

__all__ = [
    "convolve",
    "every",
    "fused_batch_normalization",
    "matmul_transposed",
    "sample_images",
    "sum_into_rows",
]


def convolve(x: Any, kernel: Any, strides: tuple[int, ...], dilation_rate: tuple[int, ...], padding: str) -> Any:
    """Convolve without flipping, with any stride, dilation and groups together.

    Args:
        x: tensor `(batch, *sizes, channels)`, floating.
        kernel: tensor `(*kernel_size, channels // groups, filters)` of the same dtype.
        strides: one int an axis.
        dilation_rate: one int an axis.
        padding: "valid", or "same" (with zeros).

    Returns:
        Tensor `(batch, *output sizes, filters)`.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.conv(x, kernel, strides, padding, "channels_last", dilation_rate)
    if x.shape[0] == 0:  # oneDNN gets the channels of an empty batch wrong, and fails in its gradient
        outputs = convolve(
            ops.pad(x, [(0, 1)] + [(0, 0)] * (len(strides) + 1)), kernel, strides, dilation_rate, padding
        )
        return slice_axis(outputs, 0, 0, 0)
    if len(strides) == 1:  # as one row, so that what is native for images serves here
        window = ((1, *strides), (1, *dilation_rate))
        outputs = convolve(ops.expand_dims(x, 1), ops.expand_dims(kernel, 0), *window, padding)
        return ops.squeeze(outputs, 1)
    if _misread(x, kernel, strides, dilation_rate, padding):
        nothing = ops.zeros_like
        x, kernel = ops.concatenate([x, nothing(x)], axis=-1), ops.concatenate([kernel, nothing(kernel)], axis=-2)
    groups = x.shape[-1] // kernel.shape[-2]
    dilated = max(dilation_rate) > 1
    common = any(math.gcd(*pair) > 1 for pair in zip(strides, dilation_rate, strict=True))
    flat = len(strides) == 3 and (dilated or groups > 1)
    native = len(strides) == 2 and _tensorflow_has(_dtype(x), dilated, groups > 1)
    if padding == "same" and (common or flat or (dilated and max(strides) > 1 and not native)):
        x = pad(x, ConvGeometry(tuple(kernel.shape[:-2]), strides, dilation_rate, "same"))
        padding = "valid"
    if common:
        return _without_common_factor(x, kernel, strides, dilation_rate)
    if flat:
        return _by_depth(x, kernel, strides, dilation_rate)
    if native:
        import tensorflow as tf

        return tf.nn.conv2d(x, kernel, strides, padding.upper(), dilations=dilation_rate)
    if groups > 1:
        # keras.ops.conv would compile each shape anew with XLA, which on CPU takes seconds and runs slower.
        parts = zip(_split(x, groups), _split(kernel, groups), strict=True)
        return ops.concatenate([convolve(*part, strides, dilation_rate, padding) for part in parts], axis=-1)
    if dilated and max(strides) > 1:
        return _by_phases(x, kernel, strides, dilation_rate)
    return ops.conv(x, kernel, strides, padding, "channels_last", dilation_rate)


def _misread(x: Any, kernel: Any, strides: tuple[int, ...], dilation_rate: tuple[int, ...], padding: str) -> bool:
    """Return whether oneDNN may read memory that is not its own, as it does in TensorFlow 2.21.

    It does for several images of one channel, several rows high, where the strides differ and the output is one wide.
    """
    if len(strides) != 2 or x.shape[-1] != 1 or strides[0] == strides[1] or x.shape[1] == 1:
        return False
    width = x.shape[2]
    geometry = ConvGeometry(tuple(kernel.shape[:-2]), strides, dilation_rate, padding)
    return width is None or geometry.output_sizes((None, width))[1] == 1


def _dtype(x: Any) -> str:
    return keras.backend.standardize_dtype(x.dtype)


def _split(x: Any, parts: int) -> list[Any]:
    """Return equal parts along the last axis."""
    length = x.shape[-1] // parts
    return [slice_axis(x, len(x.shape) - 1, i * length, length) for i in range(parts)]


@functools.cache
def _tensorflow_has(dtype: str, dilated: bool, grouped: bool) -> bool:
    """Return whether tf.nn.conv2d can do this here, gradient included, which only trying tells.

    On CPU the gradients of dilated and of grouped convolution exist only in oneDNN, which is not in every build, not
    on for every processor, and knows only some dtypes.
    """
    import tensorflow as tf

    window: dict[str, Any] = {"strides": [1] * 4, "padding": "VALID", "dilations": [1, 2, 2, 1] if dilated else [1] * 4}
    with tf.init_scope():  # runs now, also when a graph is being built; a tape would not record here
        x = tf.ones((1, 8, 8, 2), dtype)
        kernel = tf.ones((3, 3, 1 if grouped else 2, 2), dtype)
        try:
            y = tf.raw_ops.Conv2D(input=x, filter=kernel, **window)
            tf.raw_ops.Conv2DBackpropInput(input_sizes=x.shape, filter=kernel, out_backprop=y, **window)
            tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=kernel.shape, out_backprop=y, **window)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.NotFoundError):
            return False
    return True


def _without_common_factor(x: Any, kernel: Any, strides: tuple[int, ...], dilation_rate: tuple[int, ...]) -> Any:
    """Convolve over every g-th pixel, all that is ever read, with `g = gcd(stride, dilation)`.

    Native convolution takes stride and dilation at once, but a training step with it costs 2 to 3 times as much.
    """
    factors = [math.gcd(*pair) for pair in zip(strides, dilation_rate, strict=True)]
    for axis, factor in enumerate(factors):
        x = every(x, axis + 1, 0, factor)
    strides = tuple(s // g for s, g in zip(strides, factors, strict=True))
    dilation_rate = tuple(d // g for d, g in zip(dilation_rate, factors, strict=True))
    return convolve(x, kernel, strides, dilation_rate, "valid")


def _by_depth(x: Any, kernel: Any, strides: tuple[int, ...], dilation_rate: tuple[int, ...]) -> Any:
    """Convolve a volume as the sum, over the kernel's depth, of convolutions of its slices as images.

    TensorFlow has neither dilation nor groups for volumes on CPU, and both for images.
    """
    stride, dilation = strides[0], dilation_rate[0]
    batch, size = ops.shape(x)[:2]
    depth = (size - (kernel.shape[0] - 1) * dilation - 1) // stride + 1
    total = None
    for i in range(kernel.shape[0]):
        part = slice_axis(every(x, 1, i * dilation, stride), 1, 0, depth)
        images = ops.reshape(part, (batch * depth, *ops.shape(x)[2:]))
        weights = ops.squeeze(slice_axis(kernel, 0, i, 1), 0)
        y = convolve(images, weights, strides[1:], dilation_rate[1:], "valid")
        total = y if total is None else total + y
    return ops.reshape(total, (batch, depth, *ops.shape(total)[1:]))


def _by_phases(x: Any, kernel: Any, strides: tuple[int, ...], dilation_rate: tuple[int, ...]) -> Any:
    """Convolve with stride s and dilation d without common factor, where the backend refuses both at once.

    Kernel entries `i = s q + r` read `x[s (j + d q) + d r]`: for each `r < s` a convolution with stride 1 and dilation
    d over every s-th pixel from `d r` on. Nothing is computed to be thrown away.
    """
    sizes = ConvGeometry(tuple(kernel.shape[:-2]), strides, dilation_rate)
    lengths = [
        (size - extent) // stride + 1
        for size, extent, stride in zip(ops.shape(x)[1:-1], sizes.extent, strides, strict=True)
    ]
    terms = [(x, kernel)]
    for axis, (stride, dilation) in enumerate(zip(strides, dilation_rate, strict=True)):
        terms = [
            (every(part, axis + 1, dilation * r, stride), every(weights, axis, r, stride))
            for part, weights in terms
            for r in range(min(stride, weights.shape[axis]))
        ]
    total = None
    for part, weights in terms:
        y = ops.conv(part, weights, 1, "valid", "channels_last", dilation_rate)
        # A phase with fewer kernel entries, or with pixels left over, gives outputs that do not exist.
        y = ops.slice(y, [0] * len(y.shape), [ops.shape(y)[0], *lengths, kernel.shape[-1]])
        total = y if total is None else total + y
    return total


def every(x: Any, axis: int, start: int, step: int) -> Any:
    """Return every `step`-th entry of one axis from `start` on.

    By reshaping, since the gradient of a slice with steps is several times slower on TensorFlow.
    """
    if start:
        x = slice_axis(x, axis, start, ops.shape(x)[axis] - start)
    if step == 1:
        return x
    missing = -ops.shape(x)[axis] % step
    if not isinstance(missing, int) or missing:
        x = ops.pad(x, [(0, missing if i == axis else 0) for i in range(len(x.shape))])
    shape = list(ops.shape(x))
    blocks = ops.reshape(x, (*shape[:axis], shape[axis] // step, step, *shape[axis + 1 :]))
    shape[axis] = shape[axis] // step
    return ops.reshape(slice_axis(blocks, axis + 1, 0, 1), shape)


def matmul_transposed(x: Any, y: Any) -> Any:
    """Return the matrix product of `x` transposed, `(..., n, rows)`, and `y`, `(..., n, columns)`.

    TensorFlow's product reads `x` across; transposed before it, `x` would be copied when run eagerly.
    """
    if keras.backend.backend() != "tensorflow":
        return ops.matmul(ops.swapaxes(x, -1, -2), y)
    import tensorflow as tf

    return tf.matmul(x, y, transpose_a=True)


def fused_batch_normalization(
    x: Any, scale: Any, offset: Any, mean: Any, variance: Any, *, epsilon: float, training: bool
) -> tuple[Any, Any, Any] | None:
    """Normalize the channels of images in one native operation.

    Args:
        x: tensor `(batch, height, width, channels)`.
        scale: tensor `(channels,)`.
        offset: likewise.
        mean: likewise; used unless `training`.
        variance: likewise.
        epsilon: added to the variance.
        training: whether to use the batch's own statistics.

    Returns:
        The outputs, and the mean and (biased) variance that were used; None where there is no such operation.
    """
    if keras.backend.backend() != "tensorflow" or len(x.shape) != 4:
        return None
    if _dtype(x) not in ("float32", "float16", "bfloat16"):
        return None
    import tensorflow as tf

    weights = [tf.cast(ops.convert_to_tensor(weight), tf.float32) for weight in (scale, offset, mean, variance)]
    names = ("scale", "offset", "mean", "variance")
    outputs, used_mean, used_variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, **dict(zip(names, weights, strict=True)), epsilon=epsilon, is_training=training
    )
    if training:
        # The operation gives the unbiased variance; Keras averages the biased one.
        count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
        used_variance = used_variance * (tf.maximum(count, 2.0) - 1.0) / tf.maximum(count, 2.0)
    return outputs, used_mean, used_variance


def sample_images(images: Any, y: Any, x: Any, image: Any) -> Any:
    """Read images between their pixels, which are 0 beyond the border.

    Args:
        images: tensor `(count, height, width, channels)`, floating.
        y: tensor of any shape, in pixels.
        x: likewise.
        image: int32 tensor of the same shape, which of the images.

    Returns:
        Tensor `(number of places, channels)`; None where gathering the pixels is as good.
    """
    if keras.backend.backend() != "tensorflow" or _dtype(images) != "float32":
        return None
    import tensorflow as tf

    places = []
    frame = []
    for axis, place in ((1, y), (2, x)):
        size = ops.shape(images)[axis]
        # The operation takes a place as a share of the largest index. With a frame of zeros up to an index of two bits,
        # that division and the multiplication to undo it leave every whole number as it is.
        largest = _next_of_two_bits(size + 1)
        frame.append((1, largest - size))
        place = tf.clip_by_value(place, -1.0, tf.cast(size, tf.float32)) + 1.0
        places.append(tf.reshape(place, [-1]) / tf.cast(largest, tf.float32))
    images = tf.pad(images, [(0, 0), *frame, (0, 0)])
    boxes = tf.stack([*places, *places], axis=-1)
    samples = tf.raw_ops.CropAndResize(
        image=images, boxes=boxes, box_ind=tf.reshape(image, [-1]), crop_size=[1, 1], method="bilinear"
    )
    return tf.squeeze(samples, axis=(1, 2))


def _next_of_two_bits(number: Any) -> Any:
    """Return the smallest sum of two powers of two that is not smaller; `m / n * n == m` in floats for such n."""
    sums = sorted({2**i + 2**j for i in range(24) for j in range(24)})
    if isinstance(number, int):
        return next(n for n in sums if n >= number)
    return ops.take(ops.convert_to_tensor(sums, "int32"), ops.sum(ops.cast(ops.less(sums, number), "int32")))


def sum_into_rows(x: Any, rows: list[Any], weights: list[Any], count: Any) -> Any:
    """Add weighted rows up by where they belong.

    Args:
        x: tensor `(number, channels)`, float32 or float64.
        rows: int32 tensors `(number,)`: each row of x goes to one row of the result for each of them.
        weights: tensors `(number,)`, what it is multiplied by for that.
        count: int, the rows of the result.

    Returns:
        Tensor `(count, channels)`.
    """
    if keras.backend.backend() != "tensorflow":
        weighted = ops.concatenate([x * ops.expand_dims(weight, 1) for weight in weights], axis=0)
        return ops.segment_sum(weighted, ops.concatenate(rows, axis=0), num_segments=count)
    import tensorflow as tf

    # As a product with a sparse matrix, 3 times faster than a segment sum; from 32 columns on TensorFlow has another
    # way, which is 4 times slower than this in parts of 16.
    number = tf.shape(x)[0]
    indices = tf.concat([tf.stack([tf.range(number), index], axis=1) for index in rows], axis=0)
    matrix = {
        "a_indices": indices,
        "a_values": tf.concat(weights, axis=0),
        "a_shape": tf.cast([number, count], tf.int64),
    }
    width = x.shape[1] if x.shape[1] < 32 else 16
    parts = [slice_axis(x, 1, i, min(width, x.shape[1] - i)) for i in range(0, x.shape[1], width)]
    sums = [tf.raw_ops.SparseTensorDenseMatMul(**matrix, b=part, adjoint_a=True) for part in parts]
    return sums[0] if len(sums) == 1 else tf.concat(sums, axis=1)
