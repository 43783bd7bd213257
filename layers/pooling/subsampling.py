"""LeNet-5's trainable subsampling."""

from __future__ import annotations

import keras
from keras import ops

from ..core.geometry import ConvGeometry

__all__ = ["Subsampling2D"]


@keras.saving.register_keras_serializable(package="cnnapp")
class Subsampling2D(keras.layers.Layer):
    """Add up 2 x 2 neighbours, multiply by a trainable coefficient, add a trainable bias: one of each a map.

    Input shape:
        (batch, height, width, channels).

    Output shape:
        (batch, height // 2, width // 2, channels).

    Example:
        >>> import numpy as np
        >>> float(Subsampling2D()(np.ones((1, 2, 2, 1), "float32"))[0, 0, 0, 0])
        1.0

    Reference:
        LeCun, Bottou, Bengio, Haffner (1998), "Gradient-Based Learning Applied to Document Recognition", section II.B.
    """

    geometry = ConvGeometry((2, 2), strides=(2, 2))

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create one coefficient and one bias a map; the first outputs are the averages."""
        channels = input_shape[-1]
        quarter = keras.initializers.Constant(0.25)
        self.coefficient = self.add_weight(shape=(channels,), initializer=quarter, name="coefficient")
        self.bias = self.add_weight(shape=(channels,), initializer="zeros", name="bias")

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Return the subsampled maps."""
        total = 4.0 * ops.average_pool(inputs, 2, 2, data_format="channels_last")
        return total * ops.cast(self.coefficient, total.dtype) + ops.cast(self.bias, total.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the output."""
        batch, height, width, channels = input_shape
        return batch, height and height // 2, width and width // 2, channels
