"""What lies between an image and the answer of a network: feature maps by name, and the evidence for a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import keras
import tensorflow as tf

from layers.analysis.receptive_field import AxisField, receptive_fields

__all__ = ["ClassEvidence", "Grid", "class_evidence", "feature_maps"]

ClassMap = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@dataclass(frozen=True)
class Grid:
    """Where the cells of a map lie in what the network is shown, along one axis, in its pixels.

    Args:
        start: the border of the first cell; a pixel's own borders are its index and the next.
        step: side of a cell.
        count: number of cells.
    """

    start: float
    step: float
    count: int

    @property
    def stop(self) -> float:
        """The border behind the last cell."""
        return self.start + self.count * self.step


@dataclass(frozen=True)
class ClassEvidence:
    """How a classifier's evidence for a class is found.

    Args:
        how: "class activation map", whose mean is the logit, or "Grad-CAM".
        layer: name of the layer whose maps it is made of.
        grids: where the cells lie, for rows and columns.
        run: from float32 pixels (batch, height, width, channels) and int64 class ids (batch,), -1 for the class of the
            answer, to float32 maps (batch, rows, columns) and logits (batch, classes).
        both: from the same pixels to the maps of the layer and the logits made of these.
    """

    how: str
    layer: str
    grids: tuple[Grid, Grid]
    run: ClassMap
    both: keras.Model


def feature_maps(model: keras.Model) -> keras.Model | None:
    """Return a model of the same input whose outputs are the maps of all layers, by their names.

    Args:
        model: a functional model of images, whose last layer may be a model itself.

    Returns:
        From (batch, height, width, channels) to a dictionary of tensors (batch, rows, columns, channels), those of
        every layer that gives maps but the input, in the order in which they run; None where none does.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, name="conv")])
        >>> feature_maps(model).output["conv"].shape
        (None, 6, 6, 4)
    """
    found = {name: tensor for name, tensor in _outputs(model).items() if len(tensor.shape) == 4}
    return keras.Model(model.input, found, name="feature_maps") if found else None


def _outputs(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """Return the outputs of all layers, in terms of the model's own input, those of a model at its end opened up."""
    found: dict[str, keras.KerasTensor] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if not isinstance(layer, keras.Model):
            found[layer.name] = layer.output
            continue
        inside = _outputs(layer)
        before = next(reversed(found.values())) if found else model.input
        found |= dict(zip(inside, keras.Model(layer.input, list(inside.values()))(before), strict=True))
    return found


def class_evidence(model: keras.Model) -> ClassEvidence | None:
    """Find the evidence of a classifier for a class, over the image.

    Where global average pooling and a dense layer end the network, it is the class activation map (Zhou 2016): the
    dense layer applied at every position. That is exact, in that its mean over all positions is the logit. Other
    networks get Grad-CAM (Selvaraju 2017), of the last layer with maps of more than one position: the rectified sum of
    its maps, each weighed by the mean derivative of the logit with respect to it.

    Args:
        model: from images (batch, height, width, channels) to logits (batch, classes).

    Returns:
        How it is found; None where no layer has maps of more than one position.

    Reference:
        Zhou, Khosla, Lapedriza, Oliva, Torralba (2016), "Learning Deep Features for Discriminative Localization";
        Selvaraju et al. (2017), "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization".
    """
    outputs = _outputs(model)
    maps = {name: x for name, x in outputs.items() if len(x.shape) == 4 and x.shape[1] * x.shape[2] > 1}
    if not maps:
        return None
    name = next(reversed(maps))
    both = keras.Model(model.input, [maps[name], next(reversed(outputs.values()))])
    dense = _pooled_head(model)
    if dense is None:
        return ClassEvidence("Grad-CAM", name, _grids(model, name, maps[name].shape), _gradients(both), both)
    run = _activations(both, dense)
    return ClassEvidence("class activation map", name, _grids(model, name, maps[name].shape), run, both)


def _pooled_head(model: keras.Model) -> keras.layers.Dense | None:
    """Return the dense layer of a network that ends with global average pooling, dropout or none, and that layer."""
    layers = [
        layer for inner in model.layers for layer in (inner.layers if isinstance(inner, keras.Model) else [inner])
    ]
    layers = [layer for layer in layers if not isinstance(layer, keras.layers.Dropout)]
    kinds = (keras.layers.GlobalAveragePooling2D, keras.layers.Dense)
    if len(layers) < 2 or not all(isinstance(layer, kind) for layer, kind in zip(layers[-2:], kinds, strict=True)):
        return None
    linear = layers[-1].activation is keras.activations.linear
    return layers[-1] if linear else None


def _chosen(logits: tf.Tensor, class_ids: tf.Tensor) -> tf.Tensor:
    return tf.where(class_ids < 0, tf.argmax(logits, axis=-1), class_ids)


def _activations(both: keras.Model, dense: keras.layers.Dense) -> ClassMap:
    def run(pixels: tf.Tensor, class_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        maps, logits = both(pixels, training=False)
        chosen = _chosen(logits, class_ids)
        kernel = tf.gather(tf.convert_to_tensor(dense.kernel), chosen, axis=1)
        evidence = tf.einsum("bhwk,kb->bhw", tf.cast(maps, tf.float32), kernel)
        if dense.use_bias:
            evidence += tf.gather(tf.convert_to_tensor(dense.bias), chosen)[:, None, None]
        return evidence, logits

    return run


def _gradients(both: keras.Model) -> ClassMap:
    def run(pixels: tf.Tensor, class_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            maps, logits = both(pixels, training=False)
            score = tf.gather(logits, _chosen(logits, class_ids), axis=1, batch_dims=1)
        weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1)), logits

    return run


def _grids(model: keras.Model, layer: str, shape: tuple[Any, ...]) -> tuple[Grid, Grid]:
    """Return where the cells of a layer's maps lie in the input: around the middle of what each of them sees."""
    sizes = model.input_shape[1:3]
    axes: tuple[AxisField, ...] | None = None
    try:
        fields = receptive_fields(model)
        axes = next((field.axes for field in fields if field.name.split("/")[-1] == layer), None)
    except ValueError:
        pass  # A layer whose window is not known: the maps are taken to cover the whole.
    if axes is None:
        axes = tuple(
            AxisField(Fraction(1), Fraction(size, count), Fraction(size - count, 2 * count))
            for size, count in zip(sizes, shape[1:3], strict=True)
        )
    rows, columns = (
        Grid(float(axis.center + Fraction(1, 2) - axis.jump / 2), float(axis.jump), int(count))
        for axis, count in zip(axes, shape[1:3], strict=True)
    )
    return rows, columns
