"""An image decoded by the graph of the saved models, for whoever wants its pixels or its size outside of a graph."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pipelines.core.errors import DataError
from pipelines.core.tensorflow_errors import undecodable
from pipelines.images import preprocessing

__all__ = ["decode", "decoded_size"]


def decode(data: bytes, name: str) -> np.ndarray:
    """Decode an image as training and every saved model do.

    Args:
        data: as :func:`pipelines.images.image_io.read` gives it.
        name: how error messages call it.

    Returns:
        uint8 of shape (height, width, 3), RGB, upright, transparency over white.

    Raises:
        DataError: naming the image, and why it cannot be decoded.

    Example:
        >>> from pipelines.images.image_io import read
        >>> decode(read(np.zeros((2, 3), np.uint8)), "black").shape
        (2, 3, 3)
    """
    try:
        with tf.device("CPU"):
            pixels: np.ndarray = preprocessing.decode(data).numpy()
    except tf.errors.OpError as error:
        raise DataError(f"{name}: {undecodable(error)}") from None
    return pixels


def decoded_size(data: bytes, name: str) -> tuple[int, int]:
    """Decode an image and return (height, width) of it, upright; its pixels are let go.

    Args:
        data: as for :func:`decode`.
        name: likewise.

    Raises:
        DataError: as :func:`decode`.
    """
    try:
        with tf.device("CPU"):
            height, width = _size(data).numpy().tolist()
    except tf.errors.OpError as error:
        raise DataError(f"{name}: {undecodable(error)}") from None
    return height, width


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _size(data: tf.Tensor) -> tf.Tensor:
    return tf.shape(preprocessing.decode(data))[:2]
