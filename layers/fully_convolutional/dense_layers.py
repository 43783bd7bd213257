"""Each layer of a window classifier as the layer that gives its answers for all windows of an image at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from ..analysis.model_graph import Call
from ..convolutional.dilated_conv import DilatedConv2D
from ..pooling.adaptive_pooling import AdaptiveAveragePooling2D, AdaptiveLpPooling2D, BaseAdaptivePooling
from ..pooling.gem_pooling import GeMPooling2D, GlobalGeMPooling2D
from ..pooling.lp_pooling import LpPooling2D
from .rearrangement import Fragments, Patches, Trim, Windows
from .supported_layers import (
    ACROSS,
    ADAPTIVE,
    CHANNELWISE,
    ELEMENTWISE,
    GLOBAL,
    JOINS,
    LEFT_OUT,
    OPERATIONS,
    UNARY,
    WINDOWED,
    check,
    refusal,
    window_of,
)
from .window_classifier import Pair, own_stride

__all__ = ["DenseLayers", "Feature"]

Weights = list[np.ndarray] | None
_L = keras.layers


@dataclass(frozen=True)
class Feature:
    """A tensor of the classifier, and the one that holds its values for all windows.

    Args:
        tensor: of the dense network, `(fragments * batch, height, width, channels)`.
        stride: pixels between neighbours within a fragment, which are those between neighbours in the classifier.
        sizes: (height, width) of the classifier's map.
        flat: whether the classifier sees it as a vector.
    """

    tensor: Any
    stride: Pair
    sizes: Pair
    flat: bool

    @property
    def single(self) -> bool:
        """Whether a window has one position, so that vectors are this feature's channels."""
        return self.sizes == (1, 1)


class DenseLayers:
    """Makes the layers of one dense network, each layer of the classifier once.

    Args:
        shift: (height, width), pixels between windows.
    """

    def __init__(self, shift: Pair) -> None:
        """Start without layers."""
        self.shift = shift
        self._made: dict[Any, keras.Layer] = {}
        self._names: set[str] = set()

    def apply(self, call: Call, features: Sequence[Feature]) -> Feature:
        """Return the dense form of what a call gives for these inputs.

        Raises:
            ValueError: if there is none that is exact.
        """
        layer = call.operation
        check(call)
        if len(features) > 1 or isinstance(layer, JOINS):
            return self._join(call, list(features))
        if not isinstance(layer, _L.Layer):
            activation = UNARY[type(layer).__name__]
            return replace(features[0], tensor=self._glue(_L.Activation, call.name, features[0].tensor, activation))
        return next(form for kinds, form in _FORMS if isinstance(layer, kinds))(self, call, features[0])

    def finish(self, feature: Feature, image: Any, window: Pair) -> Any:
        """Return an output for every window of the image: `(batch, rows, columns, channels)`."""
        feature = self._as_channels(feature)
        if not feature.single:
            raise ValueError(
                "The classifier must output one vector per window; end it with Flatten or global pooling. "
                f"Received: an output of height and width {feature.sizes}."
            )
        fragments, step = self._fragments(feature.stride), self._steps(feature.stride, self.shift)
        return self._glue(Windows, "windows", [feature.tensor, image], window, self.shift, fragments, step)

    # === Layers with a window ===

    def _windowed(self, call: Call, x: Feature) -> Feature:
        layer, window = call.operation, window_of(call.operation)
        if any(pair != (0, 0) for pair in window.pads(x.sizes)):
            raise refusal(call, f"its padding {layer.padding!r} lies inside the window, where the image has pixels")
        strides = own_stride(call)
        own = (x.stride[0] * strides[0], x.stride[1] * strides[1])
        self._check_tiles(call, own)
        before, after = self._fragments(x.stride), self._fragments(own)
        kept = self._steps(x.stride, own)
        # Positions far apart in the image may lie in different fragments: there all are computed, and some kept.
        taken = tuple(step if count == 1 else 1 for step, count in zip(kept, before, strict=True))
        if len(set(taken)) > 1 and isinstance(layer, (_L.DepthwiseConv2D, _L.SeparableConv2D)):
            taken = (1, 1)  # TensorFlow has no depthwise convolution with strides that differ
        y = self._clone(call, x.tensor, strides=taken, padding="valid")
        left = (kept[0] // taken[0], kept[1] // taken[1])
        if (before, left) != (after, (1, 1)):
            y = self._glue(Fragments, f"{call.name}_fragments", y, before, after, left)
        return Feature(y, own, _output_sizes(call), False)

    def _check_tiles(self, call: Call, own: Pair) -> None:
        tile = getattr(call.operation, "tile_shape", (1, 1))
        periods = (own[0] * tile[0], own[1] * tile[1])
        if any(t > 1 and shift % period for t, period, shift in zip(tile, periods, self.shift, strict=True)):
            raise refusal(
                call, f"its kernels repeat every {periods} pixels (height, width), which does not divide the shift "
                f"{self.shift} between windows"
            )  # fmt: skip

    def _cropping(self, call: Call, x: Feature) -> Feature:
        return replace(x, tensor=self._clone(call, x.tensor), sizes=_output_sizes(call))

    def _pool_all(self, call: Call, x: Feature) -> Feature:
        layer = call.operation
        if isinstance(layer, (*ADAPTIVE, BaseAdaptivePooling)) and tuple(layer.output_size) != (1, 1):
            raise refusal(call, f"it pools to {tuple(layer.output_size)} positions with windows of different sizes")
        y = x.tensor
        if isinstance(layer, GlobalGeMPooling2D):
            config = {**layer.get_config(), "pool_size": x.sizes, "strides": 1}
            del config["keepdims"]
            y = self._run(call, GeMPooling2D, config, y)
        elif isinstance(layer, AdaptiveLpPooling2D):
            y = self._glue(LpPooling2D, call.name, y, x.sizes, layer.p, 1, average=layer.average)
        elif not x.single:
            pooling = _L.AveragePooling2D if isinstance(layer, _AVERAGES) else _L.MaxPooling2D
            for pool_size in ((x.sizes[0], 1), (1, x.sizes[1])):  # a column and then a row cost less than all at once
                y = self._glue(pooling, call.name, y, pool_size, strides=1)
        return Feature(y, x.stride, (1, 1), len(call.output_shapes[0]) == 2)

    # === Layers that look at one position, or at a vector ===

    def _elementwise(self, call: Call, x: Feature) -> Feature:
        layer = call.operation
        across = getattr(getattr(layer, "activation", None), "__name__", "") in ACROSS
        factors = [np.shape(layer.scale), np.shape(layer.offset)] if isinstance(layer, _L.Rescaling) else []
        varies = any(factors)
        if any(math.prod(shape[:-1]) > 1 for shape in factors):
            raise refusal(call, "it scales each position of the window differently")
        x = self._as_channels(x) if across or varies else x
        changes = {"noise_shape": None} if x.flat and hasattr(layer, "noise_shape") else {}
        return replace(x, tensor=self._clone(call, x.tensor, **changes))

    def _channelwise(self, call: Call, x: Feature) -> Feature:
        x, layer = self._as_channels(x), call.operation
        axis = getattr(layer, "axis", -1)
        axes = axis if isinstance(axis, (tuple, list)) else (axis,)
        rank = len(call.input_shapes[0])
        if isinstance(layer, _L.Normalization) and not axes:  # one number for all
            return replace(x, tensor=self._clone(call, x.tensor))
        if {a % rank for a in axes} != {rank - 1}:
            raise refusal(call, f"it works along `axis` {axis}, over positions of the window instead of channels only")
        changes: dict[str, Any] = {"axis": -1 if axis in axes else (-1,)} if hasattr(layer, "axis") else {}
        return replace(x, tensor=self._clone(call, x.tensor, **changes))

    def _prelu(self, call: Call, x: Feature) -> Feature:
        x, layer = self._as_channels(x), call.operation
        alpha = _array(layer.alpha)
        if any(size > 1 for size in alpha.shape[:-1]):
            raise refusal(call, "it has a separate slope at each position; `shared_axes=[1, 2]` gives one per channel")
        alpha = alpha.reshape(1, 1, -1)
        return replace(x, tensor=self._clone(call, x.tensor, [alpha], shared_axes=[1, 2]))

    def _dense(self, call: Call, x: Feature) -> Feature:
        layer = call.operation
        sizes = x.sizes if x.flat else (1, 1)
        weights = [_array(layer.kernel).reshape(*sizes, x.tensor.shape[-1], layer.units)]
        if layer.use_bias:
            weights.append(_array(layer.bias))
        # What is left out, such as a constraint, has to do with the kernel's shape, and so with dense layers alone.
        config = {name: value for name, value in layer.get_config().items() if name in _OF_DENSE}
        config |= {"filters": layer.units, "kernel_size": sizes}
        y = self._run(call, _L.Conv2D, config, x.tensor, weights)
        return Feature(y, x.stride, (1, 1) if x.flat else x.sizes, x.flat)

    def _reshaping(self, call: Call, x: Feature) -> Feature:
        shape = call.output_shapes[0][1:]
        if len(shape) == 1:
            return replace(x, flat=True)
        if shape == (*x.sizes, x.tensor.shape[-1]):  # as it was before it was flattened
            return replace(x, flat=False)
        x = self._as_channels(x)
        if x.flat and shape == (1, 1, x.tensor.shape[-1]):
            return replace(x, flat=False)
        raise refusal(call, "it may only flatten, or add or drop axes of size 1")

    def _as_channels(self, x: Feature) -> Feature:
        """Return a vector of all places as one that lies in the channels."""
        if not x.flat or x.single:
            return x
        return replace(x, tensor=self._glue(Patches, "patches", x.tensor, x.sizes), sizes=(1, 1))

    def _left_out(self, call: Call, x: Feature) -> Feature:
        return x

    # === Layers of several inputs ===

    def _join(self, call: Call, features: list[Feature]) -> Feature:
        layer, rank = call.operation, len(call.input_shapes[0])
        concatenates = type(layer).__name__ == "Concatenate"
        if concatenates and layer.axis % rank != rank - 1:
            raise refusal(call, f"it concatenates along `axis` {layer.axis} instead of channels")
        if concatenates or len({x.sizes for x in features}) > 1:
            features = [self._as_channels(x) for x in features]
        if len({(x.sizes, x.flat) for x in features}) > 1:
            raise refusal(call, "it spreads the values of one position over several")
        if len({x.stride for x in features}) > 1:
            if not features[0].single:
                raise refusal(call, "its inputs have different strides")
            features = [self._at_windows(x) for x in features]
        tensors = [x.tensor for x in features]
        if len(set(map(id, tensors))) > 1:
            tensors = self._glue(Trim, f"{call.name}_trim", tensors)
        if not isinstance(layer, _L.Layer):  # as layers, which have names of their own
            return replace(features[0], tensor=self._glue(OPERATIONS[type(layer).__name__], call.name, tensors))
        changes: dict[str, Any] = {"axis": -1} if concatenates else {}
        return replace(features[0], tensor=self._clone(call, tensors, **changes))

    def _at_windows(self, x: Feature) -> Feature:
        """Return a vector where windows begin, and nowhere else."""
        fragments, step = self._fragments(x.stride), self._steps(x.stride, self.shift)
        if (fragments, step) != ((1, 1), (1, 1)):
            x = replace(x, tensor=self._glue(Fragments, "at_windows", x.tensor, fragments, 1, step))
        return replace(x, stride=self.shift)

    # === Strides ===

    def _fragments(self, stride: Pair) -> Pair:
        """Return how many fragments hold every entry that some window needs.

        Windows begin at multiples of the shift, and their entries lie `stride` apart: all are at multiples of the
        greatest common divisor of both.
        """
        height, width = (own // math.gcd(own, shift) for own, shift in zip(stride, self.shift, strict=True))
        return height, width

    def _steps(self, stride: Pair, later: Pair) -> Pair:
        """Return which of the entries that a stride needs, fragments put together, a later one does."""
        axes = zip(stride, later, self.shift, strict=True)
        height, width = (math.gcd(new, shift) // math.gcd(old, shift) for old, new, shift in axes)
        return height, width

    # === Making layers ===

    def _clone(self, call: Call, x: Any, weights: Weights = None, **changes: Any) -> Any:
        """Run a layer with the same weights, and other arguments where said so."""
        kind = type(call.operation)
        if kind is _L.Conv2D and (max(call.operation.dilation_rate) > 1 or call.operation.groups > 1):
            kind = DilatedConv2D  # the same, faster
        return self._run(call, kind, {**call.operation.get_config(), **changes}, x, weights)

    def _run(self, call: Call, kind: Any, config: dict[str, Any], x: Any, weights: Weights = None) -> Any:
        # A layer that is used twice stays one, unless one use has lost its stride and the other not.
        key = (id(call.operation), kind, *(str(config.get(name)) for name in ("strides", "kernel_size", "pool_size")))
        if key in self._made:
            return self._made[key](x)
        layer = self._made[key] = kind.from_config({**config, "name": self.name(call.name)})
        y = layer(x)
        weights = [_array(weight) for weight in call.operation.weights] if weights is None else weights
        if weights:
            layer.set_weights(weights)
        if isinstance(layer, _L.Normalization):
            layer.finalize_state()
        return y

    def _glue(self, kind: Any, name: str, x: Any, *arguments: Any, **keywords: Any) -> Any:
        """Run a layer without weights that the classifier has not."""
        dtype = (x[0] if isinstance(x, list) else x).dtype
        return kind(*arguments, **keywords, name=self.name(name), dtype=dtype)(x)

    def name(self, name: str) -> str:
        """Return a name that no other layer has, made of a call's."""
        name = name.replace("/", "_").replace("#", "_")
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name


def _array(weight: Any) -> np.ndarray:
    array: np.ndarray = keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(weight))
    return array


def _output_sizes(call: Call) -> Pair:
    height, width = call.output_shapes[0][1:3]
    return height or 0, width or 0


_AVERAGES = (_L.GlobalAveragePooling2D, _L.AdaptiveAveragePooling2D, AdaptiveAveragePooling2D)
# The arguments of a dense layer that mean the same for a convolution.
_OF_DENSE = (
    "activation", "activity_regularizer", "bias_constraint", "bias_initializer", "bias_regularizer", "dtype",
    "kernel_initializer", "kernel_regularizer", "trainable", "use_bias",
)  # fmt: skip
_FORMS: tuple[tuple[tuple[Any, ...], Callable[..., Feature]], ...] = (
    (WINDOWED, DenseLayers._windowed),
    ((_L.Cropping2D,), DenseLayers._cropping),
    ((*ADAPTIVE, *GLOBAL), DenseLayers._pool_all),
    (ELEMENTWISE, DenseLayers._elementwise),
    (CHANNELWISE, DenseLayers._channelwise),
    ((_L.PReLU,), DenseLayers._prelu),
    ((_L.Dense,), DenseLayers._dense),
    ((_L.Flatten, _L.Reshape), DenseLayers._reshaping),
    (LEFT_OUT, DenseLayers._left_out),
)
