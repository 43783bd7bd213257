"""What the inputs besides images may be: TensorFlow takes any number, also those that mean nothing or have no end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from cnnapp.service.protocol import Refusal
from pipelines.training.config import Scale, Scales

__all__ = ["check"]

_Share = Annotated[float, Field(ge=0, le=1)]
_RANGES: Mapping[str, TypeAdapter[Any]] = {
    "score_threshold": TypeAdapter(_Share),
    "overlap_threshold": TypeAdapter(_Share),
    "soft_nms_sigma": TypeAdapter(Annotated[float, Field(ge=0, allow_inf_nan=False)]),
    "scale": TypeAdapter(Scale),
    "scales": TypeAdapter(Scales),
}


def check(inputs: Mapping[str, np.ndarray], classes: int) -> None:
    """Check the inputs that have a range.

    Args:
        inputs: of a request, by name.
        classes: how many the model has.

    Raises:
        Refusal: with status 400, naming the input, what was received and what was expected.

    Example:
        >>> check({"score_threshold": np.array(0.5, np.float32), "class_id": np.array(9)}, classes=10)
    """
    for name in inputs.keys() & _RANGES.keys():
        try:
            _RANGES[name].validate_python(inputs[name].tolist())
        except ValidationError as error:
            first = error.errors()[0]
            raise Refusal(400, f"{name}: received {_shown(first['input'])}; {first['msg'].lower()}") from None
    chosen = inputs.get("class_id")
    if chosen is not None and not -1 <= int(chosen) < classes:
        raise Refusal(400, f"class_id: received {int(chosen)}; expected 0 to {classes - 1}, or -1 for the answer's")


def _shown(value: Any) -> str:
    return f"{len(value)} of them" if isinstance(value, (list, tuple)) else str(np.float32(value))
