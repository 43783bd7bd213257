"""A window classifier as the same classifier over every window of an image of any size."""

from __future__ import annotations

import keras

from .certificate import Certificate, certify
from .dense_layers import DenseLayers, Feature
from .window_classifier import Pair, WindowClassifier, pair, scan_size

__all__ = ["Certificate", "certify", "convolutionalize", "scan_size", "window_stride"]


def convolutionalize(model: keras.Model, stride: int | Pair | None = None) -> keras.Model:
    """Turn a classifier of windows into one of all windows of an image.

    Output `[b, i, j]` of the new model is what the classifier gives for the window of image b whose first pixel is
    `(stride * i, stride * j)`. Dense layers become convolutions. Where windows are closer together than the own stride
    of the classifier, layers lose their strides, and those after them run on every fragment of what is then a finer
    grid: the products of a convolution with holes, and no others.

    The weights are copied: training either model leaves the other as it is. Layers that change images at random are
    left out; they do nothing at inference.

    Args:
        model: functional or sequential, nested models too; from one image of known size `(height, width, channels)` to
            one vector or several, in a list or a dictionary. The batch is the only axis that may be unknown.
        stride: int or (height, width) >= 1, pixels between windows; None for `window_stride(model)`. Best is a
            divisor or a multiple of that; others cost as much as their greatest common divisor with it.

    Returns:
        A model from `(batch, H, W, channels)`, of the classifier's dtype and with H and W at least a window, to outputs
        `(batch, (H - height) // stride + 1, (W - width) // stride + 1, features)` in the classifier's structure.
        Axes of size 1 that the classifier has in its output are dropped.

    Raises:
        ValueError: if the model has not that form, or there is a layer whose answers for all windows cannot be exact;
            the message names the layer and the reason. Such are padding inside the window, weights that depend on
            the place, normalization or attention over positions, resizing, and layers that are not known.

    Example:
        >>> import keras
        >>> from layers.fully_convolutional.convolutionalize import convolutionalize
        >>> from keras import layers
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3)])
        >>> image = keras.ops.ones((1, 20, 30, 1))
        >>> [tuple(convolutionalize(model, stride)(image).shape) for stride in (2, 1)]
        [(1, 7, 12, 3), (1, 13, 23, 3)]

    Reference:
        Sermanet et al., 2014, "OverFeat: integrated recognition, localization and detection using convolutional
        networks"; Giusti et al., 2013, "Fast image scanning with deep max-pooling convolutional neural networks"; Long,
        Shelhamer and Darrell, 2015, "Fully convolutional networks for semantic segmentation".
    """
    classifier = WindowClassifier.read(model)
    shift = classifier.stride if stride is None else pair(stride, "stride")
    dense = DenseLayers(shift)
    entry, *rest = classifier.calls
    image = keras.Input((None, None, entry.output_shapes[0][-1]), dtype=entry.dtypes[0], name=dense.name(entry.name))
    features = {entry.outputs[0]: Feature(image, (1, 1), classifier.window, flat=False)}
    for call in rest:
        features[call.outputs[0]] = dense.apply(call, [features[number] for number in call.inputs])
    answers = [dense.finish(features[number], image, classifier.window) for number in classifier.outputs]
    return keras.Model(image, classifier.pack(answers), name=f"{model.name}_dense")


def window_stride(model: keras.Model) -> Pair:
    """Return the (height, width) stride of a window classifier: the product of its layers', in pixels.

    Where outputs have strides that differ, it is their least common multiple.

    Args:
        model: as for `convolutionalize`.

    Raises:
        ValueError: if the model has no graph to read, or its input is not one image of known size.

    Example:
        >>> import keras
        >>> from layers.fully_convolutional.convolutionalize import window_stride
        >>> window_stride(keras.Sequential([keras.Input((8, 8, 1)), keras.layers.MaxPooling2D((2, 3))]))
        (2, 3)
    """
    return WindowClassifier.read(model).stride
