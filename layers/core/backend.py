"""The few operations worth a backend's own route; the only module that imports the active backend, and lazily."""

from __future__ import annotations

import functools
from typing import Any

import keras
from keras import ops

from .geometry import ConvGeometry
from .slicing import slice_axis

__all__ = [
    "fused_batch_normalization",
    "has_native_convolution",
    "matmul_transposed",
    "native_convolution",
    "sample_images",
    "sum_into_rows",
]


def _dtype(x: Any) -> str:
    return str(keras.backend.standardize_dtype(x.dtype))


@functools.cache
def has_native_convolution(dtype: str, dilated: bool, grouped: bool) -> bool:
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


def native_convolution(x: Any, kernel: Any, geometry: ConvGeometry) -> Any:
    """Return TensorFlow's own convolution of images, where `has_native_convolution` says that there is one.

    Args:
        x: tensor `(batch, height, width, channels)`.
        kernel: tensor `(*kernel_size, channels // groups, filters)` of the same dtype.
        geometry: of rank 2; padded with zeros.

    Returns:
        Tensor `(batch, *output sizes, filters)`.
    """
    import tensorflow as tf

    named = geometry.with_padding_named(tuple(x.shape[1:-1])).padding  # pairs make its gradient slower
    padding = [(0, 0), *named, (0, 0)] if isinstance(named, tuple) else named.upper()
    return tf.nn.conv2d(x, kernel, geometry.strides, padding, dilations=geometry.dilation_rate)


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
