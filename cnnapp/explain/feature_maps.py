"""What lies between an image and its answer: the maps of every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from cnnapp.explain.contact_sheet import MOST, contact_sheet
from pipelines.core import extras
from pipelines.core.errors import ConfigError, unknown

__all__ = ["FeatureMaps"]


@dataclass(frozen=True, eq=False)
class FeatureMaps(Mapping[str, np.ndarray]):
    """The maps of the layers of a network for one image, by the layers' names, in the order in which they run.

    Args:
        source: how the image was named: its path, or what it is.
        maps: float32 of shape (rows, columns, channels), by name.

    Example:
        >>> found = FeatureMaps("a.png", {"conv": np.zeros((4, 6, 2), "float32")})
        >>> list(found), found["conv"].shape
        (['conv'], (4, 6, 2))
        >>> found.draw("conv").mode
        'RGB'
    """

    source: str
    maps: dict[str, np.ndarray]

    def __post_init__(self) -> None:
        """Keep the maps from being changed."""
        for each in self.maps.values():
            each.setflags(write=False)

    def __getitem__(self, layer: str) -> np.ndarray:
        """Return the maps of a layer."""
        return self.maps[layer]

    def __iter__(self) -> Iterator[str]:
        """Give the names of the layers."""
        return iter(self.maps)

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self.maps)

    def draw(self, layer: str, columns: int = 8, width: int = 960, square: bool = False) -> Image.Image:
        """Draw the channels of a layer, each from its own smallest value (dark) to its own largest (bright).

        A channel that is the same everywhere is drawn dark.

        Args:
            layer: its name.
            columns: channels in a row.
            width: of the picture, in pixels.
            square: as of :func:`cnnapp.explain.contact_sheet.contact_sheet`.

        Returns:
            A picture of mode RGB; of more than 64 channels the first 64, and how many are left out.

        Raises:
            ConfigError: if there is no such layer.
        """
        if layer not in self.maps:
            raise ConfigError(unknown("layer", layer, self.maps))
        extras.need("a picture of maps", "ui", "matplotlib")
        from matplotlib import colormaps

        maps = self.maps[layer]
        rows, wide, channels = maps.shape
        low, high = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
        drawn = (maps - low)[..., :MOST] / np.where(high > low, high - low, 1.0)[:MOST]
        pictures = np.rint(colormaps["viridis"](drawn)[..., :3] * 255).astype(np.uint8)
        title = f"{layer}: {channels} {'maps' if channels > 1 else 'map'} of {rows} x {wide}"
        return contact_sheet([pictures[:, :, channel] for channel in range(drawn.shape[-1])], title, channels,
                             columns, width, square)  # fmt: skip
