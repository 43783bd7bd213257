"""Maps of twice the size."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

__all__ = ["BilinearDoubling"]


@keras.saving.register_keras_serializable(package="cnnapp")
class BilinearDoubling(keras.layers.UpSampling2D):
    """Maps of twice the height and width, linear between positions, whose sizes a graph need not know.

    Keras's own bilinear upsampling cannot be traced for maps of unknown size.

    Args:
        **arguments: of a layer, such as ``name``.

    Example:
        >>> keras.ops.squeeze(BilinearDoubling()(keras.ops.reshape([0.0, 4.0], (1, 1, 2, 1)))).tolist()[0]
        [0.0, 1.0, 3.0, 4.0]
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(2, data_format="channels_last", interpolation="bilinear", **arguments)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments, without those of Keras's own layer that are always the same here."""
        fixed = ("size", "data_format", "interpolation")
        return {name: value for name, value in super().get_config().items() if name not in fixed}

    def call(self, inputs: Any) -> Any:
        """Map (batch, height, width, channels) to (batch, 2 height, 2 width, channels)."""
        # At twice the size every sample lies at a quarter between positions, which float32 holds exactly: a piece of a
        # map is doubled as it is within the whole.
        return tf.image.resize(inputs, 2 * tf.shape(inputs)[1:3])
