"""The inside of a saved model: its network built again, with its layers, its filters, and what its units see."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnapp.explain.evidence import without
from cnnapp.explain.filters import Filters
from cnnapp.explain.network_input import Box, Shown, show
from cnnapp.explain.receptive_view import Sight
from layers.analysis.receptive_field import LayerField
from pipelines.artifacts import memory
from pipelines.artifacts.served_model import ServedModel
from pipelines.core.errors import ConfigError, DataError, ModelError, unknown
from pipelines.core.tensorflow_errors import undecodable
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput

if TYPE_CHECKING:
    from cnnapp.explain.feature_maps import FeatureMaps
    from pipelines.artifacts.class_evidence import ClassEvidence

__all__ = ["Inside", "Unit", "features"]

_SHARE = 0.8  # of the memory that is free
_MOST = 2 << 30  # bytes of all maps of an image, which a page can still hold
_SIDE = 256


@dataclass(frozen=True, eq=False)
class Unit:
    """A unit of a layer, for one image.

    Args:
        layer: its name.
        position: row and column of the unit in the layer's maps.
        values: float32 of shape (channels,), what the unit gives.
        sight: what of the image it depends on. Its influence is on the length of the values: on how strongly the unit
            answers; none where all of them are 0.
    """

    layer: str
    position: tuple[int, int]
    values: np.ndarray
    sight: Sight


class Inside:
    """The network of a saved model, built again to look inside.

    Args:
        served: the saved model.

    Attributes:
        served: likewise.
        model: the network, with its weights.
        maps: a model of the same input that gives the maps of every layer, by name.
        layers: names of those layers, in the order in which they run.

    Raises:
        ModelError: if this version cannot build it.
    """

    def __init__(self, served: ServedModel) -> None:
        from pipelines.artifacts.class_evidence import feature_maps
        from pipelines.tasks import rebuild

        self.served = served
        self.model: Any = rebuild.network(served)
        self.maps: Any = feature_maps(self.model)
        if self.maps is None:
            raise ModelError(f"{served.directory}: no layer of the network gives maps; there is nothing to look at")
        self.layers: tuple[str, ...] = tuple(self.maps.output)
        self.fields = lru_cache(maxsize=8)(self._fields)

    def shown(self, image: ImageInput, name: str | None = None) -> Shown:
        """Return what the network is shown of an image.

        Args:
            image: a path, encoded bytes, an array or a Pillow image.
            name: how errors call it; its path by default.

        Raises:
            DataError: if the image cannot be read, or its maps would not fit into memory.
        """
        name = name or image_io.name_of(image)
        data = image_io.read(image, name)
        self.refuse_too_large(image_io.size_of(data, name), name)
        return show(self.served.card, data, name)

    def refuse_too_large(self, size: tuple[int, int], name: str) -> None:
        """Refuse an image whose maps would not fit into memory, all at once.

        Args:
            size: height and width of the image, in pixels.
            name: how the error calls it.

        Raises:
            DataError: if they are more than 2 GiB, or than is free.
        """
        pixels, most = size[0] * size[1], self.most_pixels()
        if pixels > most:
            share = (most / pixels) ** 0.5
            raise DataError(
                f"{name}: the maps of all layers for {size[1]} x {size[0]} pixels would not fit into memory; give a "
                f"part of the image, or make it smaller, such as {int(size[1] * share)} x {int(size[0] * share)}"
            )

    def most_pixels(self) -> float:
        """Return how many pixels an image may have so that the maps of all layers fit into memory at once."""
        if None not in self.model.input_shape[1:3]:
            return math.inf  # Whatever the size, the network is shown one of its own.
        most = min(_MOST, _SHARE * memory.available() / 2)
        return most / (self.scale**2 * self._bytes_per_pixel)

    @property
    def scale(self) -> float:
        """What images are scaled by for the network, where it takes images of any size."""
        return float(self.served.card.training.get("scale", 1.0))

    def maps_of(self, shown: Shown, layer: str, name: str) -> FeatureMaps:
        """Return the maps of one layer; what comes after it is not computed.

        Args:
            shown: what the network is shown of the image.
            layer: its name.
            name: how the image is called.

        Raises:
            ConfigError: if there is no such layer.
        """
        import keras

        from cnnapp.explain.feature_maps import FeatureMaps

        if layer not in self.layers:
            raise ConfigError(unknown("layer", layer, self.layers))
        maps = keras.Model(self.maps.input, self.maps.output[layer])(shown.pixels[None], training=False)
        return FeatureMaps(name, {layer: keras.ops.convert_to_numpy(maps)[0]})

    def sizes(self, shown: Shown) -> dict[str, tuple[int, int, int]]:
        """Return rows, columns and channels of the maps of every layer, by name, in the order in which they run.

        Args:
            shown: what the network is shown of the image.
        """
        fields = self.fields((shown.pixels.shape[0], shown.pixels.shape[1]))
        found = {layer: [int(count or 1) for count in fields[layer].output_sizes] for layer in self.layers}
        return {layer: (*found[layer], int(self.maps.output[layer].shape[-1])) for layer in self.layers}  # type: ignore[misc]

    @cached_property
    def _bytes_per_pixel(self) -> float:
        from layers.analysis.model_graph import calls

        found = calls(self.model, input_sizes=(_SIDE, _SIDE))
        numbers = sum(math.prod(side or 1 for side in call.output_shapes[0][1:]) for call in found)
        return 4.0 * numbers / _SIDE**2

    def filters(self) -> Filters:
        """Return the filters of the first convolution.

        Raises:
            ModelError: if the network has no such filters: kernels that differ from place to place are not the same
                everywhere, and others do not read the image itself.
        """
        import keras

        name = self.first_convolution
        kernel = None if name is None else self._layer(name).kernel
        if kernel is not None and len(kernel.shape) == 4 and kernel.shape[2] in (1, 3):
            return Filters(str(name), keras.ops.convert_to_numpy(kernel))
        raise ModelError(
            f"{self.served.directory}: the network does not begin with filters that are the same everywhere"
        )

    @cached_property
    def first_convolution(self) -> str | None:
        """The name of the first layer with a kernel, None where there is none."""
        return next((name for name in self.layers if getattr(self._layer(name), "kernel", None) is not None), None)

    @cached_property
    def evidence(self) -> ClassEvidence:
        """How a classifier's evidence for a class is found."""
        from pipelines.artifacts.class_evidence import class_evidence

        found = class_evidence(self.model)
        if found is None:
            raise ModelError(f"{self.served.directory}: no layer of the network has maps of more than one position")
        return found

    def _layer(self, name: str) -> Any:
        parts = [self.model, *(layer for layer in self.model.layers if hasattr(layer, "layers"))]
        return next((layer for part in parts for layer in part.layers if layer.name == name), None)

    def _fields(self, sizes: tuple[int, int]) -> dict[str, LayerField]:
        """Return what the units of every layer see of an input of a height and a width, by name."""
        from layers.analysis.receptive_field import receptive_fields

        found = receptive_fields(self.model, input_sizes=sizes)
        return {field.name.split("/")[-1]: field for field in found}

    def nearest(self, shown: Shown, layer: str, x: float, y: float) -> tuple[int, int]:
        """Return the unit of a layer whose field is centred nearest to a point of the image.

        Args:
            shown: what the network is shown of the image.
            layer: its name.
            x: in pixels of the image, whose left border is 0.
            y: likewise, from the top.

        Returns:
            Row and column in the layer's maps.

        Raises:
            ConfigError: if there is no such layer.
        """
        if layer not in self.layers:
            raise ConfigError(unknown("layer", layer, self.layers))
        sizes = (shown.pixels.shape[0], shown.pixels.shape[1])
        field = self.fields(sizes)[layer]
        found = []
        for axis, (place, size, count) in enumerate(zip(shown.place(x, y), sizes, field.output_sizes, strict=True)):
            count = int(count or 1)
            # Units that see everything are taken to lie evenly.
            jump = size / count if field.axes is None else float(field.axes[axis].jump)
            first = (jump - 1) / 2 if field.axes is None else float(field.axes[axis].center)
            found.append(int(np.clip(round((place - first) / jump), 0, count - 1)))
        return found[0], found[1]

    def supports(self, shown: Shown, positions: dict[str, tuple[int, int]]) -> dict[str, tuple[slice, slice]]:
        """Return the smallest rectangle of the network's pixels with all that a unit depends on.

        Args:
            shown: what the network is shown of the image.
            positions: row and column of a unit, by layer.

        Returns:
            Rows and columns, by layer.
        """
        from layers.analysis.receptive_field import unit_supports

        sizes = (shown.pixels.shape[0], shown.pixels.shape[1])
        fields = self.fields(sizes)
        asked = {fields[layer].name: position for layer, position in positions.items()}
        found = unit_supports(self.model, asked, input_sizes=sizes)
        return {layer: (found[fields[layer].name][0], found[fields[layer].name][1]) for layer in positions}

    def growth(self, shown: Shown, x: float, y: float) -> dict[str, Box]:
        """Return what the unit nearest to a point sees of the image, layer by layer.

        Args:
            shown: what the network is shown of the image.
            x: in pixels of the image.
            y: likewise.

        Returns:
            The receptive field of every layer with maps, by name, in the order in which they run.
        """
        positions = {layer: self.nearest(shown, layer, x, y) for layer in self.layers}
        return {layer: shown.box(*found) for layer, found in self.supports(shown, positions).items()}

    def unit(self, shown: Shown, layer: str, position: tuple[int, int]) -> Unit:
        """Look at a unit, and at what of the image it depends on.

        Args:
            shown: what the network is shown of the image.
            layer: its name.
            position: row and column of the unit in the layer's maps, as :meth:`nearest` gives it.

        Raises:
            ConfigError: if there is no such layer or unit.
        """
        from cnnapp.explain.gradients import of_unit

        if layer not in self.layers:
            raise ConfigError(unknown("layer", layer, self.layers))
        counts = self.fields((shown.pixels.shape[0], shown.pixels.shape[1]))[layer].output_sizes
        if not all(0 <= place < (count or 1) for place, count in zip(position, counts, strict=True)):
            raise ConfigError(f"position: received {position}; {layer} has {' x '.join(map(str, counts))} units")
        values, influence = of_unit(self.maps, layer, shown.pixels, position)
        return Unit(
            layer, position, values, self.sight(shown, self.supports(shown, {layer: position})[layer], influence)
        )

    def sight(self, shown: Shown, support: tuple[slice, slice], influence: np.ndarray) -> Sight:
        """Return a support and an influence, in pixels of the network, as what is seen of the image."""
        return Sight(shown.box(*support), support, influence, shown.region)


def features(inside: Inside, image: ImageInput, name: str) -> FeatureMaps:
    """Ask a saved model for the maps of all its layers; see :meth:`cnnapp.Predictor.features`."""
    import tensorflow as tf

    from cnnapp.explain.feature_maps import FeatureMaps

    served = inside.served
    if not served.has("features"):
        raise without(served, "features")
    data = image_io.read(image, name)
    inside.refuse_too_large(image_io.size_of(data, name), name)
    try:
        found = served.run("features", image_bytes=tf.constant(data))
    except tf.errors.InvalidArgumentError as error:
        raise DataError(f"{name}: {undecodable(error)}") from None
    # A signature gives its outputs sorted by name.
    return FeatureMaps(name, {layer: found[layer].numpy() for layer in inside.layers})
