"""What all pooling over windows shares: arguments, padding, config."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import keras
from keras import ops

from ..core.data_format import channels_last, from_channels_last, normalize_data_format, spatial
from ..core.geometry import ConvGeometry, positive_ints

__all__ = ["BasePooling", "exponent"]


class BasePooling(keras.layers.Layer):
    """Hold the arguments of a pooling of any rank, and everything but the pooling itself.

    A family says in `_pool` what becomes of a window; a class of a family says its `rank`. Everything inside works on
    channels last, in float32 at least.

    Args:
        pool_size: $ints.
        strides: $ints; None for `pool_size`.
        padding: "valid", or "same" for `ceil(size / stride)` outputs. Padding adds nothing to a sum, and a mean is over
            real positions alone, as in Keras's average pooling.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        **kwargs: `name`, `dtype`, `trainable`.

    Raises:
        ValueError: if an argument breaks its rule.
    """

    rank: ClassVar[int]

    def __init__(
        self,
        pool_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] | None,
        padding: str,
        data_format: str | None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(**kwargs)
        if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
            raise ValueError(f"`padding` must be 'valid' or 'same'. Received: padding={padding!r}.")
        self.pool_size = positive_ints(pool_size, self.rank, "pool_size")
        self.strides = self.pool_size if strides is None else positive_ints(strides, self.rank, "strides")
        self.padding = padding.lower()
        self.data_format = normalize_data_format(data_format)
        self.geometry = ConvGeometry(self.pool_size, self.strides, padding=self.padding)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    def _pool(self, x: Any) -> Any:
        """Return the pooled channels-last `x`, of float32 or float64, that is yet to be padded."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        """Return the pooled `inputs`."""
        self._output_sizes(spatial(inputs.shape, self.data_format))
        x = channels_last(inputs, self.data_format)
        dtype = keras.backend.standardize_dtype(x.dtype)
        if dtype in ("float16", "bfloat16"):  # too few bits to sum in
            x = ops.cast(x, "float32")
        return from_channels_last(ops.cast(self._pool(x), dtype), self.data_format)

    def _output_sizes(self, sizes: tuple[int | None, ...]) -> tuple[int | None, ...]:
        try:
            return self.geometry.output_sizes(sizes)
        except ValueError:
            raise ValueError(
                f"`pool_size` must not be larger than the input. Received: pool_size={self.pool_size}, "
                f"input sizes {tuple(sizes)}."
            ) from None

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        sizes = self._output_sizes(spatial(input_shape, self.data_format))
        if self.data_format == "channels_last":
            return (input_shape[0], *sizes, input_shape[-1])
        return (*input_shape[:2], *sizes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }


def exponent(p: Any, name: str = "p") -> float:
    """Return `p` as a float.

    Raises:
        ValueError: if it is no number >= 1; infinity is one.
    """
    if not isinstance(p, Real) or isinstance(p, bool) or not float(p) >= 1:
        raise ValueError(f"`{name}` must be a number >= 1, or infinity. Received: {name}={p!r}.")
    return float(p)
