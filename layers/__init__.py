"""Keras layers that Keras does not have, and what helps to see and count them; docs/layers.md shows them.

Importing this package imports nothing; the first use of one of its names imports Keras and all layers, and registers
them, so that models which hold them can be loaded. Where Keras is there already that happens at once: whoever has
imported it may load a model next, by a layer's registered name.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .public import *  # noqa: F403
    from .public import __all__ as __all__
else:

    def __getattr__(name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        public = import_module(".public", __name__)
        # A sub-package is an attribute by now.
        return globals()[name] if name in globals() else getattr(public, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *import_module(".public", __name__).__all__})


if "keras" in sys.modules:
    import_module(".public", __name__)
