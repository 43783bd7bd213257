"""Which units of its input a unit of a layer reads, an axis at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import keras
import numpy as np

from ..convolutional.deformable_conv import DeformableConv
from ..core.data_format import spatial
from ..core.geometry import ConvGeometry
from ..normalization.local_contrast import ContrastNormalization, DivisiveNormalization, LocalContrastNormalization
from ..normalization.local_response import LocalResponseNormalization
from ..pooling.adaptive_pooling import BaseAdaptivePooling
from ..pooling.channel_pooling import BaseChannelPooling
from ..pooling.gem_pooling import GlobalGeMPooling
from ..pooling.pyramid_pooling import SpatialPyramidPooling
from .model_graph import Call, label

__all__ = ["POINTWISE", "Reads", "reads_of"]

Shape = tuple[int | None, ...]
_L = keras.layers

# At inference, as everything here: batch normalisation then has its statistics, and random layers do nothing.
POINTWISE = (
    _L.Activation, _L.ActivityRegularization, _L.AlphaDropout, _L.BatchNormalization, _L.Dropout, _L.ELU,
    _L.GaussianDropout, _L.GaussianNoise, _L.Identity, _L.LeakyReLU, _L.Normalization, _L.PReLU, _L.RandomBrightness,
    _L.RandomContrast, _L.RandomFlip, _L.RandomRotation, _L.RandomTranslation, _L.RandomZoom, _L.ReLU, _L.Rescaling,
    _L.SpatialDropout1D, _L.SpatialDropout2D, _L.SpatialDropout3D,
    _L.Add, _L.Average, _L.Maximum, _L.Minimum, _L.Multiply, _L.Subtract,
    BaseChannelPooling, LocalResponseNormalization,
)  # fmt: skip
"""Layers whose unit reads the unit at its own position and nothing else."""

# Keras's operations have no public classes; their names are those of the functions in `keras.ops`.
_POINTWISE_OPERATIONS = (
    "Abs", "Absolute", "Add", "Cast", "Clip", "Divide", "Elu", "Exp", "Gelu", "HardSigmoid", "HardSilu", "LeakyRelu",
    "Log", "Maximum", "Minimum", "Multiply", "Negative", "Power", "Relu", "Relu6", "Selu", "Sigmoid", "Silu",
    "Softplus", "Sqrt", "Square", "Subtract", "Tanh", "TrueDivide",
)  # fmt: skip
_OVER_AXES = (_L.LayerNormalization, _L.RMSNormalization, _L.UnitNormalization, _L.Softmax)
_EVERYTHING = (
    _L.Flatten, _L.GlobalAveragePooling1D, _L.GlobalAveragePooling2D, _L.GlobalAveragePooling3D,
    _L.GlobalMaxPooling1D, _L.GlobalMaxPooling2D, _L.GlobalMaxPooling3D, _L.GroupNormalization,
    _L.AdaptiveAveragePooling1D, _L.AdaptiveAveragePooling2D, _L.AdaptiveAveragePooling3D,
    _L.AdaptiveMaxPooling1D, _L.AdaptiveMaxPooling2D, _L.AdaptiveMaxPooling3D,
    BaseAdaptivePooling, DeformableConv, GlobalGeMPooling, SpatialPyramidPooling,
)  # fmt: skip
_CONVOLUTIONS = (
    _L.Conv1D, _L.Conv2D, _L.Conv3D, _L.DepthwiseConv1D, _L.DepthwiseConv2D, _L.SeparableConv1D, _L.SeparableConv2D,
)  # fmt: skip
_TRANSPOSED = (_L.Conv1DTranspose, _L.Conv2DTranspose, _L.Conv3DTranspose)
_POOLINGS = (
    _L.AveragePooling1D, _L.AveragePooling2D, _L.AveragePooling3D,
    _L.MaxPooling1D, _L.MaxPooling2D, _L.MaxPooling3D,
)  # fmt: skip
_RADII = {"bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}


@dataclass(frozen=True)
class Reads:
    """What the unit at position `j` reads: the inputs at `(j * down - before + i * dilation) / up`, where whole.

    `i` runs from 0 to `kernel - 1`. A convolution has `up` 1 and its stride for `down`; a transposed one, or an
    upsampling, its stride for `up`.

    Args:
        kernel: number of taps.
        down: the stride of a convolution.
        up: the stride of a transposed convolution.
        dilation: distance between the taps.
        before: padding before the first input; cropping where negative.
        mode: what lies outside the input, as `ConvGeometry.padding_mode`.
    """

    kernel: int = 1
    down: int = 1
    up: int = 1
    dilation: int = 1
    before: int = 0
    mode: str = "constant"

    @property
    def jump(self) -> Fraction:
        """The inputs between the first taps of neighbouring units."""
        return Fraction(self.down, self.up)

    @property
    def first(self) -> Fraction:
        """Where the first tap of the unit at 0 lies."""
        return Fraction(-self.before, self.up)

    @property
    def last(self) -> Fraction:
        """Where the last tap of the unit at 0 lies."""
        return self.first + Fraction((self.kernel - 1) * self.dilation, self.up)

    def inputs(self, positions: np.ndarray, size: int) -> np.ndarray:
        """Return the inputs, of `size`, that the units at `positions` read, in order and each once."""
        taps = positions[:, None] * self.down - self.before + np.arange(self.kernel) * self.dilation
        found = taps[taps % self.up == 0] // self.up
        if self.mode == "edge":
            found = np.clip(found, 0, size - 1)
        elif self.mode == "wrap":
            found = found % size
        elif self.mode in ("reflect", "symmetric"):
            shift = 0 if self.mode == "reflect" else 1
            found = np.where(found < 0, -found - shift, found)
            found = np.where(found >= size, 2 * size - 2 + shift - found, found)
        return np.unique(found[(found >= 0) & (found < size)])


def reads_of(
    call: Call, data_format: str, geometries: Mapping[type, ConvGeometry]
) -> tuple[tuple[Reads, ...] | None, ...]:
    """Return what a call reads of each of its inputs: one `Reads` an axis, or None for everything.

    Args:
        call: of the layer.
        data_format: of the model.
        geometries: the windows of layers that are not known here, by class.

    Raises:
        ValueError: if the layer is not known, or its padding depends on a size that is not.
    """
    sizes = [spatial(shape, data_format) for shape in call.input_shapes]
    if len(sizes) == 1:
        return (_single(call, sizes[0], data_format, geometries),)
    if not _is_pointwise(call, data_format):
        raise _unknown(call)
    return tuple(_same_position(call, shape, data_format) for shape in sizes)


def _single(
    call: Call, sizes: Shape, data_format: str, geometries: Mapping[type, ConvGeometry]
) -> tuple[Reads, ...] | None:
    layer = call.operation
    geometry = next((geometries[kind] for kind in type(layer).__mro__ if kind in geometries), None)
    geometry = geometry or _geometry(layer, len(sizes))
    if geometry is not None:
        return _windows(call, geometry, sizes)
    if isinstance(layer, _TRANSPOSED):
        return tuple(_transposed(layer, axis) for axis in range(len(sizes)))
    if isinstance(layer, (_L.UpSampling1D, _L.UpSampling2D, _L.UpSampling3D)):
        factors = layer.size if isinstance(layer.size, (tuple, list)) else (layer.size,)
        return tuple(_upsampling(factor, getattr(layer, "interpolation", "nearest")) for factor in factors)
    if isinstance(layer, (_L.Cropping1D, _L.Cropping2D, _L.Cropping3D)):
        pairs = layer.cropping if len(sizes) > 1 else (layer.cropping,)
        return tuple(Reads(before=-pair[0]) for pair in pairs)
    if _is_pointwise(call, data_format):
        return _same_position(call, sizes, data_format)
    if _sees_everything(call):
        return None
    raise _unknown(call)


def _geometry(layer: Any, rank: int) -> ConvGeometry | None:
    """Return the window of a layer that has one: Keras's, or one of ours, which keep it."""
    if isinstance(layer, DeformableConv):
        return None
    if isinstance(geometry := getattr(layer, "geometry", None), ConvGeometry):
        return geometry
    if isinstance(layer, _CONVOLUTIONS):
        return ConvGeometry(
            _axes(layer.kernel_size, rank), _axes(layer.strides, rank), _axes(layer.dilation_rate, rank), layer.padding
        )
    if isinstance(layer, _POOLINGS):
        return ConvGeometry(_axes(layer.pool_size, rank), _axes(layer.strides, rank), padding=layer.padding)
    if isinstance(layer, ContrastNormalization):
        if isinstance(layer, DivisiveNormalization) and layer.floor is None:
            return None  # divides by the mean over the image
        # Local contrast is taken of what the local mean has been taken from.
        widen = 2 if isinstance(layer, LocalContrastNormalization) else 1
        return ConvGeometry(tuple(widen * (size - 1) + 1 for size in layer.kernel_size), padding="same")
    if isinstance(layer, (_L.ZeroPadding1D, _L.ZeroPadding2D, _L.ZeroPadding3D)):
        pairs = layer.padding if rank > 1 else (layer.padding,)
        return ConvGeometry((1,) * rank, padding=tuple(map(tuple, pairs)))
    return None


def _axes(value: Any, rank: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank


def _windows(call: Call, geometry: ConvGeometry, sizes: Shape) -> tuple[Reads, ...]:
    windows = []
    for axis, pair in enumerate(geometry.pads(sizes)):
        if pair is None:
            raise ValueError(
                f"The padding 'same' of {label(call)} depends on the size of axis {axis}, which is not known: "
                "pass `input_sizes`."
            )
        arguments = (geometry.kernel_size, geometry.strides, geometry.dilation_rate)
        kernel, stride, dilation = (values[axis] for values in arguments)
        windows.append(Reads(kernel, stride, 1, dilation, pair[0], geometry.padding_mode))
    return tuple(windows)


def _transposed(layer: Any, axis: int) -> Reads:
    kernel, stride, dilation = layer.kernel_size[axis], layer.strides[axis], layer.dilation_rate[axis]
    extra = layer.output_padding
    extra = extra[axis] if isinstance(extra, (tuple, list)) else extra
    span = (kernel - 1) * dilation + 1
    # What is cut off the full result before its first output: the padding of the convolution that this is the
    # transpose of.
    total = span - stride if extra is None else span - span % 2 - extra
    cut = max(total, 0) // 2 if layer.padding == "same" else 0
    return Reads(kernel, up=stride, dilation=dilation, before=span - 1 - cut)


def _upsampling(factor: int, interpolation: str) -> Reads:
    if interpolation == "nearest":
        return Reads(factor, up=factor, before=factor - 1)
    # The weight is a function of the distance to the sample point (j + 1/2) / factor - 1/2 that ends at the radius.
    # At the radius itself it is zero, but for Lanczos's sine, which there is merely next to it.
    reach = 2 * factor * _RADII[interpolation] - (0 if interpolation.startswith("lanczos") else 1)
    first, last = math.ceil((factor - 1 - reach) / 2), (reach + factor - 1) // 2
    return Reads(last - first + 1, up=factor, before=last)


def _is_pointwise(call: Call, data_format: str) -> bool:
    layer, rank = call.operation, len(call.input_shapes[0])
    channels = rank - 1 if data_format == "channels_last" else 1
    if isinstance(layer, _L.Concatenate) or (not isinstance(layer, _L.Layer) and type(layer).__name__ == "Concatenate"):
        if layer.axis % rank != channels and rank > 2:
            raise ValueError(
                f"A concatenation must join channels, for which `axis` is {channels} here. Received: axis={layer.axis} "
                f"of {label(call)}."
            )
        return True
    if not isinstance(layer, _L.Layer):
        return type(layer).__module__.startswith("keras.") and type(layer).__name__ in _POINTWISE_OPERATIONS
    if isinstance(layer, _L.Dense):
        return channels == rank - 1
    if isinstance(layer, _OVER_AXES):
        return {axis % rank for axis in _axes(layer.axis, 1)} == {channels}
    if isinstance(layer, _L.Reshape):
        shapes = call.input_shapes[0], call.output_shapes[0]
        before, after = (spatial(shape, data_format) for shape in shapes)
        return len(before) == len(after) and before == after and None not in before
    return isinstance(layer, POINTWISE) or (isinstance(layer, _L.Flatten) and rank == 2)


def _same_position(call: Call, sizes: Shape, data_format: str) -> tuple[Reads, ...] | None:
    outputs = spatial(call.output_shapes[0], data_format)
    # An axis of one that is spread over many is read by all of them.
    spread = len(sizes) != len(outputs) or any(a == 1 and b != 1 for a, b in zip(sizes, outputs, strict=True))
    return None if spread else (Reads(),) * len(sizes)


def _sees_everything(call: Call) -> bool:
    return isinstance(call.operation, (*_EVERYTHING, *_OVER_AXES, _L.Reshape, DivisiveNormalization))


def _unknown(call: Call) -> ValueError:
    kind = type(call.operation).__name__
    return ValueError(
        f"The window of {label(call)} is not known. Pass `geometries={{{kind}: ConvGeometry(...)}}` with it; "
        "use size 1 if each unit reads only its own position."
    )
