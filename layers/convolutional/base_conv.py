"""What all convolutions share: arguments, padding, bias, activation, config."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar

import keras
from keras import ops

from ..core.data_format import channels_last, from_channels_last, normalize_data_format, spatial
from ..core.geometry import ConvGeometry, normalize_padding, positive_int, positive_ints
from ..core.padding import pad
from .initializers import per_site

__all__ = ["BaseConv"]


class BaseConv(keras.layers.Layer):
    """Hold the arguments of a convolution of any rank, and everything but the convolution itself.

    A family says in `_sites` how many kernels there are and in `_convolve` how they meet the patches; a class of a
    family says its `rank`. Everything inside works on channels last.

    Args:
        filters: int, output channels.
        kernel_size: $ints.
        strides: $ints. One that does not divide the input leaves the last positions unread.
        padding: "valid", "same" (`ceil(size / stride)` outputs), "full" (every position with any overlap), "causal"
            (all of it before), an int, or $pairs.
        padding_mode: what the padding holds, as in `numpy.pad`: "constant", "reflect", "symmetric", "edge", "wrap".
        padding_value: what "constant" fills with.
        dilation_rate: $ints, the distance between neighbouring entries of the kernel.
        groups: int; group g of the filters sees group g of the input channels alone.
        flip_kernel: True for convolution proper, False for cross-correlation.
        data_format: "channels_last" or "channels_first"; None for Keras's setting.
        activation: name or function; None for none.
        use_bias: whether a bias is added.
        kernel_initializer: as in Keras.
        bias_initializer: as in Keras.
        kernel_regularizer: as in Keras.
        bias_regularizer: as in Keras.
        activity_regularizer: as in Keras.
        kernel_constraint: as in Keras.
        bias_constraint: as in Keras.
        **kwargs: `name`, `dtype`, `trainable`.

    Raises:
        ValueError: if an argument breaks its rule.
    """

    rank: ClassVar[int]

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, ...],
        strides: int | tuple[int, ...] = 1,
        padding: str | int | tuple[tuple[int, int], ...] = "valid",
        padding_mode: str = "constant",
        padding_value: float = 0.0,
        dilation_rate: int | tuple[int, ...] = 1,
        groups: int = 1,
        flip_kernel: bool = False,
        data_format: str | None = None,
        activation: str | Callable[..., Any] | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        """Check and keep the arguments."""
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = positive_int(filters, "filters")
        self.groups = positive_int(groups, "groups")
        if self.filters % self.groups:
            raise ValueError(f"`filters` must be divisible by `groups`. Received: {filters=}, {groups=}.")
        self.geometry = ConvGeometry(
            positive_ints(kernel_size, self.rank, "kernel_size"),
            positive_ints(strides, self.rank, "strides"),
            positive_ints(dilation_rate, self.rank, "dilation_rate"),
            normalize_padding(padding, self.rank),
            padding_mode,
        )
        self.padding_value = _padding_value(padding_value, self.geometry.padding_mode)
        self.flip_kernel = bool(flip_kernel)
        self.data_format = normalize_data_format(data_format)
        self.activation = keras.activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)

    # The attributes of Keras's convolutions, for code that reads them.
    kernel_size = property(lambda self: self.geometry.kernel_size)
    strides = property(lambda self: self.geometry.strides)
    dilation_rate = property(lambda self: self.geometry.dilation_rate)
    padding = property(lambda self: self.geometry.padding)
    padding_mode = property(lambda self: self.geometry.padding_mode)

    def _sites(self, output_sizes: tuple[int | None, ...]) -> tuple[int, ...]:
        """Return how many kernels there are, an axis at a time; `()` for one shared by all positions."""
        return ()

    def _kernel_shape(self, sites: tuple[int, ...], site_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*sites, *site_shape)

    def _convolve(self, x: Any, kernel: Any, bias: Any) -> Any:
        """Return the outputs, bias added, of channels-last `x` that is yet to be padded; `bias` may be None."""
        raise NotImplementedError

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights for inputs of this shape."""
        channels = input_shape[-1 if self.data_format == "channels_last" else 1]
        if channels is None or channels % self.groups:
            raise ValueError(
                "The number of input channels must be known and divisible by `groups`. "
                f"Received: groups={self.groups}, input_shape={tuple(input_shape)}."
            )
        sites = self._sites(self.geometry.output_sizes(spatial(input_shape, self.data_format)))
        site_shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = self.add_weight(
            name="kernel",
            shape=self._kernel_shape(sites, site_shape),
            initializer=per_site(self.kernel_initializer, sites, site_shape),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(*sites, self.filters),
                initializer=per_site(self.bias_initializer, sites, (self.filters,)),
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2, axes=self._fixed_axes(input_shape))

    def _fixed_axes(self, input_shape: tuple[int | None, ...]) -> dict[int, int | None]:
        """Return the input axes whose size the weights depend on."""
        axis = self.rank + 1 if self.data_format == "channels_last" else 1
        return {axis: input_shape[axis]}

    def call(self, inputs: Any) -> Any:
        """Return the convolution of `inputs`."""
        self.geometry.output_sizes(spatial(inputs.shape, self.data_format))  # refuses sizes that do not fit
        x = channels_last(inputs, self.data_format)
        outputs = self._convolve(x, ops.convert_to_tensor(self.kernel), self.bias)
        return self.activation(from_channels_last(outputs, self.data_format))

    def _pad(self, x: Any) -> Any:
        return pad(x, self.geometry, self.padding_value)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the output's shape for this input's."""
        sizes = self.geometry.output_sizes(spatial(input_shape, self.data_format))
        if self.data_format == "channels_last":
            return (input_shape[0], *sizes, self.filters)
        return (input_shape[0], self.filters, *sizes)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "padding_mode": self.padding_mode,
            "padding_value": self.padding_value,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "flip_kernel": self.flip_kernel,
            "data_format": self.data_format,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": keras.regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
        }


def _padding_value(value: Any, mode: str) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise ValueError(f"`padding_value` must be a number. Received: padding_value={value!r}.")
    if value != 0 and mode != "constant":
        raise ValueError(
            f"`padding_value` applies only to padding_mode 'constant'. Received: padding_value={value!r}, "
            f"padding_mode={mode!r}."
        )
    return float(value)
