"""The filters of a network's first convolution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from cnnapp.explain.contact_sheet import MOST, contact_sheet
from cnnapp.explain.heatmap import colours

__all__ = ["Filters"]


@dataclass(frozen=True, eq=False)
class Filters:
    """What the first convolution of a network multiplies its windows of the image by.

    Args:
        layer: its name.
        kernel: float32 of shape (height, width, channels of the image, filters).

    Raises:
        ValueError: if the kernel is not of that shape.

    Example:
        >>> filters = Filters("conv", np.ones((3, 3, 1, 5), "float32"))
        >>> len(filters), filters.draw().mode
        (5, 'RGB')
    """

    layer: str
    kernel: np.ndarray

    def __post_init__(self) -> None:
        """Check the kernel, and keep it from being changed."""
        if self.kernel.ndim != 4 or self.kernel.shape[2] not in (1, 3):
            raise ValueError(f"kernel: received shape {self.kernel.shape}; expected (height, width, 1 or 3, filters)")
        self.kernel.setflags(write=False)

    def __len__(self) -> int:
        """Return the number of filters."""
        return int(self.kernel.shape[-1])

    @property
    def limit(self) -> float:
        """The largest weight without its sign: the value of the last colour."""
        return float(np.abs(self.kernel).max()) or 1.0

    def draw(self, columns: int = 8, width: int = 960, square: bool = False) -> Image.Image:
        """Draw the filters, all on one scale.

        Args:
            columns: filters in a row.
            width: of the picture, in pixels.
            square: as of :func:`cnnapp.explain.contact_sheet.contact_sheet`.

        Returns:
            A picture of mode RGB; of more than 64 filters the first 64, and how many are left out. Of a grey image
            weights below 0 are blue, those near 0 white and those above 0 vermilion; of a coloured one a filter has the
            colour that it answers most to, and grey stands for 0.
        """
        high, wide, channels, count = self.kernel.shape
        kernels = np.moveaxis(self.kernel, -1, 0)[:MOST]
        if channels == 3:
            shown = np.rint(127.5 + 127.5 * kernels / self.limit).astype(np.uint8)
        else:
            shown = colours(kernels[..., 0], (-self.limit, self.limit))
        title = f"{self.layer}: {count} filters of {high} x {wide}, from {-self.limit:.2g} to {self.limit:.2g}"
        return contact_sheet(list(shown), title, count, columns, width, square)
