"""Which layers can be evaluated exactly at all windows of an image, and why the others cannot."""

from __future__ import annotations

from typing import Any

import keras

from ..analysis.model_graph import Call, label
from ..convolutional.deformable_conv import DeformableConv
from ..convolutional.dilated_conv import DilatedConv2D
from ..convolutional.filter_bank import FilterBank2D
from ..convolutional.fourier_conv import FourierConv2D
from ..convolutional.low_rank_conv import LowRankConv2D
from ..convolutional.tiled_conv import TiledConv2D
from ..convolutional.unshared_conv import UnsharedConv
from ..core.geometry import ConvGeometry
from ..normalization.local_contrast import ContrastNormalization
from ..normalization.local_response import LocalResponseNormalization
from ..pooling.adaptive_pooling import AdaptiveAveragePooling2D, AdaptiveLpPooling2D, AdaptiveMaxPooling2D
from ..pooling.channel_pooling import ChannelLpPooling, Maxout
from ..pooling.gem_pooling import GeMPooling2D, GlobalGeMPooling2D
from ..pooling.lp_pooling import L2Pooling2D, LpPooling2D
from ..pooling.norm_ops import LARGE
from ..pooling.pyramid_pooling import SpatialPyramidPooling2D
from ..pooling.subsampling import Subsampling2D
from ..pooling.weighted_pooling import WeightedAveragePooling2D, WeightedLpPooling2D

__all__ = [
    "ACROSS",
    "ADAPTIVE",
    "CHANNELWISE",
    "ELEMENTWISE",
    "GLOBAL",
    "JOINS",
    "LEFT_OUT",
    "OPERATIONS",
    "UNARY",
    "WINDOWED",
    "check",
    "refusal",
    "window_of",
]

_L = keras.layers

WINDOWED = (
    _L.Conv2D, _L.DepthwiseConv2D, _L.SeparableConv2D, _L.AveragePooling2D, _L.MaxPooling2D,
    DilatedConv2D, FourierConv2D, TiledConv2D, FilterBank2D, GeMPooling2D,
    L2Pooling2D, LowRankConv2D, LpPooling2D, Subsampling2D, WeightedAveragePooling2D, WeightedLpPooling2D,
)  # fmt: skip
ADAPTIVE = (
    _L.AdaptiveAveragePooling2D, _L.AdaptiveMaxPooling2D,
    AdaptiveAveragePooling2D, AdaptiveLpPooling2D, AdaptiveMaxPooling2D,
)  # fmt: skip
GLOBAL = (_L.GlobalAveragePooling2D, _L.GlobalMaxPooling2D, GlobalGeMPooling2D)
ELEMENTWISE = (
    _L.Activation, _L.ActivityRegularization, _L.AlphaDropout, _L.Dropout, _L.ELU, _L.GaussianDropout, _L.GaussianNoise,
    _L.Identity, _L.LeakyReLU, _L.ReLU, _L.Rescaling, _L.SpatialDropout2D,
)  # fmt: skip
CHANNELWISE = (
    _L.BatchNormalization, _L.LayerNormalization, _L.Normalization, _L.RMSNormalization, _L.Softmax,
    _L.UnitNormalization, ChannelLpPooling, LocalResponseNormalization, Maxout,
)  # fmt: skip
# They change images in training alone, and there the windows of an image together.
LEFT_OUT = (
    _L.RandomBrightness, _L.RandomContrast, _L.RandomFlip, _L.RandomRotation, _L.RandomTranslation, _L.RandomZoom,
)  # fmt: skip
JOINS = (_L.Add, _L.Average, _L.Concatenate, _L.Maximum, _L.Minimum, _L.Multiply, _L.Subtract)
# Keras's operations have no public classes; their names are those of the functions in `keras.ops`.
OPERATIONS = {kind.__name__: kind for kind in JOINS if kind is not _L.Average}
UNARY = {name.title(): name for name in ("relu", "relu6", "selu", "sigmoid", "silu", "softplus", "softsign", "tanh")}

_KNOWN = (
    *WINDOWED, *ADAPTIVE, *GLOBAL, *ELEMENTWISE, *CHANNELWISE, *LEFT_OUT, *JOINS,
    _L.Cropping2D, _L.Dense, _L.Flatten, _L.PReLU, _L.Reshape,
)  # fmt: skip

_SEES_ALL = "each position sees the whole image instead of its window"
_RESIZES = "it resizes, and overlapping windows would be resized differently"
_REFUSED: tuple[tuple[tuple[Any, ...], str], ...] = (
    (
        (UnsharedConv,),
        "each position has its own kernel, and a pixel lies at a different position in each window",
    ),
    ((_L.ZeroPadding2D,), "it pads inside the window, where the image has pixels"),
    ((_L.GroupNormalization,), "it normalizes over the whole image instead of the window"),
    ((ContrastNormalization,), "it uses a neighbourhood that ends at the window, where the image continues"),
    ((_L.UpSampling2D, _L.Conv2DTranspose, _L.Resizing), _RESIZES),
    ((_L.Attention, _L.AdditiveAttention, _L.MultiHeadAttention, _L.GroupQueryAttention), _SEES_ALL),
    ((DeformableConv,), "it may read outside the window"),
    ((SpatialPyramidPooling2D,), "it pools to several positions with windows of different sizes"),
    ((_L.Lambda,), "its function is arbitrary"),
)

_ACTIVATIONS = [f for f in vars(keras.activations).values() if callable(f)]
ACROSS = ("glu", "log_softmax", "softmax", "sparsemax")  # functions of all channels together
# Up to here a value counts unless it is a million times smaller than the largest: 1e-38 ** (1 / p).
_LARGEST_EXPONENT = 6


def check(call: Call) -> None:
    """Refuse a layer that has no exact dense form, whatever surrounds it.

    Raises:
        ValueError: naming the layer and the reason.
    """
    layer = call.operation
    for kinds, reason in _REFUSED:
        if isinstance(layer, kinds):
            raise refusal(call, reason)
    known = isinstance(layer, _KNOWN)
    if isinstance(layer, _L.Layer):
        known = known and type(layer).__module__.split(".")[0] in ("keras", "layers")  # a subclass may do anything
        known = known and (len(call.inputs) == 1 or isinstance(layer, JOINS))
    else:
        known = _is_keras_operation(layer) and type(layer).__name__ in (OPERATIONS if len(call.inputs) == 2 else UNARY)
    if not known:
        raise refusal(call, "it is not a supported layer; end the classifier before it")
    if getattr(layer, "data_format", None) == "channels_first":
        raise refusal(call, "its `data_format` is 'channels_first'; the image must have its channels last")
    if getattr(layer, "quantization_mode", None) is not None:
        raise refusal(call, "it is quantized; convert the classifier before quantizing it")
    activation = getattr(layer, "activation", None)
    if activation is not None and activation not in _ACTIVATIONS:
        raise refusal(call, "its activation is not one of Keras's and may depend on all positions")
    exponent = _exponent(layer)
    if exponent > _LARGEST_EXPONENT:
        raise refusal(
            call,
            f"its p, {exponent:g}, exceeds {_LARGEST_EXPONENT}: powers are scaled by the largest value of the image, "
            "next to which those of a window may underflow",
        )


def _exponent(layer: Any) -> float:
    """Return the exponent of a pooling that computes powers in a scale which depends on the whole image; else 1."""
    if isinstance(layer, (GeMPooling2D, GlobalGeMPooling2D)):
        return float(keras.ops.max(layer.p.value))
    if isinstance(layer, WeightedLpPooling2D):
        return layer.p
    if isinstance(layer, (LpPooling2D, L2Pooling2D, AdaptiveLpPooling2D, ChannelLpPooling)):
        return layer.p if layer.p <= LARGE else 1.0
    return 1.0


def window_of(layer: Any) -> ConvGeometry:
    """Return what a layer of `WINDOWED` reads for each output."""
    if isinstance(geometry := getattr(layer, "geometry", None), ConvGeometry):
        return geometry
    kernel_size = layer.pool_size if hasattr(layer, "pool_size") else layer.kernel_size
    return ConvGeometry(
        tuple(kernel_size), tuple(layer.strides), tuple(getattr(layer, "dilation_rate", (1, 1))), layer.padding
    )


def _is_keras_operation(operation: Any) -> bool:
    return type(operation).__module__.split(".")[0] == "keras"


def refusal(call: Call, reason: str) -> ValueError:
    """Return the error that names a layer and the reason."""
    return ValueError(f"The classifier cannot be evaluated exactly at all windows: {label(call)}: {reason}.")
