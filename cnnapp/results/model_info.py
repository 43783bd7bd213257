"""What is known of any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

__all__ = ["Facts"]


class Facts(Protocol):
    """What is known of any model: a saved model's card has it, and more."""

    @property
    def task(self) -> str:
        """Classification, detection or segmentation."""

    @property
    def name(self) -> str:
        """The name of the model."""

    @property
    def version(self) -> int:
        """Its version."""

    @property
    def classes(self) -> Sequence[str]:
        """Names, in the order of the class ids."""

    @property
    def input(self) -> Mapping[str, Any]:
        """What the network is shown; under ``options`` the optional inputs and their defaults."""
