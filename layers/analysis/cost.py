"""What each layer of a network costs: parameters, multiply-adds, memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from ..convolutional.base_conv import BaseConv
from ..convolutional.deformable_conv import DeformableConv
from ..convolutional.filter_bank import FilterBank2D
from ..convolutional.low_rank_conv import LowRankConv2D
from ..core.data_format import spatial
from ..pooling.gem_pooling import GeMPooling, GlobalGeMPooling
from ..pooling.subsampling import Subsampling2D
from .layer_windows import POINTWISE
from .model_graph import Call, calls, data_format_of, label

__all__ = ["LayerCost", "ModelCost", "costs"]

Shape = tuple[int | None, ...]
MultiplyAdds = Callable[[Any, tuple[int, ...], tuple[int, ...]], int]
_L = keras.layers

# The weights of these act once an output position; of the transposed ones, once an input position.
_AT_OUTPUTS = (_L.Conv1D, _L.Conv2D, _L.Conv3D, _L.DepthwiseConv1D, _L.DepthwiseConv2D)
_AT_INPUTS = (_L.Conv1DTranspose, _L.Conv2DTranspose, _L.Conv3DTranspose)
_ELEMENTWISE = (
    *POINTWISE,
    _L.GroupNormalization,
    _L.LayerNormalization,
    _L.RMSNormalization,
    GeMPooling,
    GlobalGeMPooling,
)
# Operations without weights that are sums of products nevertheless; what they cost is not worked out here.
_PRODUCTS = ("Conv", "ConvTranspose", "DepthwiseConv", "Dot", "Einsum", "Inner", "Matmul", "SeparableConv", "Tensordot")


@dataclass(frozen=True)
class LayerCost:
    """What one call of a layer costs, for one example.

    Args:
        name: the layer's, as `receptive_fields` gives it.
        layer_type: name of its class.
        output_shape: without the batch; of the first output, if there are several.
        trainable: parameters that training changes.
        non_trainable: those that it does not, such as moving averages.
        multiply_adds: applications of a weight.
        activation_bytes: of the outputs.
        weight_bytes: of the parameters.
    """

    name: str
    layer_type: str
    output_shape: tuple[int, ...]
    trainable: int
    non_trainable: int
    multiply_adds: int
    activation_bytes: int
    weight_bytes: int

    @property
    def parameters(self) -> int:
        """All parameters."""
        return self.trainable + self.non_trainable


@dataclass(frozen=True)
class ModelCost:
    """What a model costs for one example.

    Args:
        layers: one entry a call of a layer, in the order in which they run, the inputs first.
        total: the sum; its output shape is that of the last layer. Not all activations need be held at once.
    """

    layers: tuple[LayerCost, ...]
    total: LayerCost


def costs(
    model: Any,
    *,
    input_sizes: Sequence[int] | None = None,
    multiply_adds: Mapping[type, MultiplyAdds] | None = None,
) -> ModelCost:
    """Count parameters, multiply-adds and bytes of every layer of a model, for one example.

    A multiply-add is one weight applied to one value: a convolution has one for each entry of the kernel at each
    position of the output, those that meet padding included; a transposed one at each position of the input; a dense
    layer one a weight. Biases, normalisation, activations, pooling and sums count as none. A convolution that is
    computed in another way, by a Fourier transform, counts as if it were not; a deformable one counts the convolution
    that gives its offsets too, and a fixed filter bank its numbers as weights.
    A layer that is called twice has its parameters in the first call.

    Args:
        model: a built functional or sequential Keras model; models inside it are opened.
        input_sizes: size of every spatial axis of the input, where the model leaves it open.
        multiply_adds: of further layers, by class: a function of the layer and the shapes of its input and its output,
            the batch left out.

    Returns:
        A `ModelCost`.

    Raises:
        ValueError: if a size is not known, or a layer has weights that are used in no known way.

    Example:
        >>> import keras
        >>> from layers.analysis.cost import costs
        >>> model = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(6, 5)])
        >>> total = costs(model).total
        >>> total.output_shape, total.parameters, total.multiply_adds
        ((28, 28, 6), 456, 352800)

    Reference:
        Sze, Chen, Yang and Emer, 2017, "Efficient processing of deep neural networks: a tutorial and survey".
    """
    found = calls(model, input_sizes=input_sizes)
    data_format = data_format_of(found)
    counted: set[int] = set()
    rows = []
    for call in found:
        weights = [w for w in getattr(call.operation, "weights", ()) if id(w) not in counted]
        counted.update(map(id, weights))
        outputs = [_known(shape, call) for shape in call.output_shapes]
        sizes = [_bytes(math.prod(shape), dtype) for shape, dtype in zip(outputs, call.dtypes, strict=True)]
        trainable = sum(math.prod(w.shape) for w in weights if w.trainable)
        rows.append(
            LayerCost(
                call.name,
                type(call.operation).__name__,
                outputs[0],
                trainable,
                sum(math.prod(w.shape) for w in weights) - trainable,
                _multiply_adds(call, data_format, multiply_adds or {}),
                sum(sizes),
                sum(_bytes(math.prod(w.shape), w.dtype) for w in weights),
            )
        )
    sums = (sum(getattr(row, name) for row in rows) for name in list(LayerCost.__dataclass_fields__)[3:])
    return ModelCost(tuple(rows), LayerCost("total", type(model).__name__, rows[-1].output_shape, *sums))


def _multiply_adds(call: Call, data_format: str, further: Mapping[type, MultiplyAdds]) -> int:
    layer = call.operation
    own = next((further[kind] for kind in type(layer).__mro__ if kind in further), None)
    if own is not None:
        return int(own(layer, _known(call.input_shapes[0], call), _known(call.output_shapes[0], call)))
    channels_axis = -1 if data_format == "channels_last" else 1
    positions = _positions(call.output_shapes[0], call, data_format)
    if isinstance(layer, FilterBank2D):
        return positions * int(layer.geometry.positions) * (call.output_shapes[0][channels_axis] or 0)
    if isinstance(layer, LowRankConv2D):
        return positions * _entries(layer.rows) + _column_products(layer, call, data_format)
    if isinstance(layer, Subsampling2D):  # its coefficient, once an output
        return positions * (call.output_shapes[0][channels_axis] or 0)
    if isinstance(layer, BaseConv):
        channels = call.input_shapes[0][channels_axis] or 0
        offsets = _entries(layer.offset_kernel) if isinstance(layer, DeformableConv) else 0
        return positions * int(layer.geometry.positions * (channels // layer.groups) * layer.filters + offsets)
    if isinstance(layer, (_L.SeparableConv1D, _L.SeparableConv2D)):
        return positions * _entries(layer.depthwise_kernel, layer.pointwise_kernel)
    if isinstance(layer, _L.Dense):  # on whichever axis is last
        return math.prod(_known(call.output_shapes[0], call)[:-1]) * _entries(layer.kernel)
    if isinstance(layer, _AT_INPUTS):
        positions = _positions(call.input_shapes[0], call, data_format)
    if isinstance(layer, (*_AT_OUTPUTS, *_AT_INPUTS)):
        return positions * _entries(layer.kernel)
    weightless = not getattr(layer, "weights", None) and type(layer).__name__ not in _PRODUCTS
    if weightless or isinstance(layer, _ELEMENTWISE):
        return 0
    raise ValueError(
        f"The multiply-adds of {label(call)} are not known. Pass "
        f"`multiply_adds={{{type(layer).__name__}: function}}`, a function of the layer and the shapes of its input "
        "and its output."
    )


def _entries(*weights: Any) -> int:
    return sum(int(math.prod(weight.shape)) for weight in weights)


def _column_products(layer: LowRankConv2D, call: Call, data_format: str) -> int:
    """Return the products of the columns, which stand at the rows of the output and all columns of the padded input."""
    rows = spatial((1, *_known(call.output_shapes[0], call)), data_format)[0] or 0
    sizes = spatial((1, *_known(call.input_shapes[0], call)), data_format)
    before, after = layer.geometry.pads(sizes)[1] or (0, 0)
    return rows * ((sizes[1] or 0) + before + after) * _entries(layer.columns)


def _positions(shape: Shape, call: Call, data_format: str) -> int:
    return math.prod(size or 0 for size in spatial((1, *_known(shape, call)), data_format))


def _known(shape: Shape, call: Call) -> tuple[int, ...]:
    known = tuple(size for size in shape[1:] if size is not None)
    if len(known) < len(shape) - 1:
        raise ValueError(f"All sizes must be known: pass `input_sizes`. Received: shape {shape} at {label(call)}.")
    return known


def _bytes(count: int, dtype: str) -> int:
    bits = {"bool": 8, "string": 0}.get(dtype) or int("".join(filter(str.isdigit, dtype.split("_")[0])) or 0)
    return math.ceil(count * bits / 8)
