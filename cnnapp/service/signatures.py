"""The signatures of a saved model: what they take and give, as TensorFlow Serving tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.errors import ModelError

__all__ = ["DEFAULT", "Signature", "TensorSpec", "read_metadata", "read_signatures"]

DEFAULT = "serving_default"


@dataclass(frozen=True)
class TensorSpec:
    """The type and shape of an input or output.

    Args:
        dtype: NumPy's name, or "string".
        shape: None where a size may be any; None altogether where even the number of axes may be.
    """

    dtype: str
    shape: tuple[int | None, ...] | None

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Say whether an array of this shape may be given."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            want in (None, size) for want, size in zip(self.shape, shape, strict=True)
        )

    def __str__(self) -> str:
        """Return both in words, e.g. ``"float32 [?, 3]"``."""
        if self.shape is None:
            return f"{self.dtype} of any shape"
        return f"{self.dtype} [{', '.join('?' if size is None else str(size) for size in self.shape)}]"


@dataclass(frozen=True)
class Signature:
    """One way to ask a saved model.

    Args:
        name: that it is asked by.
        inputs: by name.
        outputs: by name.
        defaults: of the inputs that may be left out.
    """

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    defaults: Mapping[str, np.ndarray]

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the inputs that cannot be left out."""
        return tuple(name for name in self.inputs if name not in self.defaults)

    @property
    def padded(self) -> tuple[str, ...]:
        """The names of the outputs whose height and width are those of the largest image of a batch."""
        shapes = {name: spec.shape or () for name, spec in self.outputs.items()}
        return tuple(name for name, shape in shapes.items() if len(shape) > 2 and None in shape[1:3])

    @property
    def joins(self) -> bool:
        """Whether the answer for several requests at once can be cut into what each would get alone."""
        specs = [self.inputs[name] for name in self.required] + list(self.outputs.values())
        if not self.required or any(not spec.shape or spec.shape[0] is not None for spec in specs):
            return False
        # Encoded images may be of several sizes; then only the sizes in the answer tell what is whose.
        encoded = any(self.inputs[name].dtype == "string" for name in self.required)
        return not (encoded and any(None in (spec.shape or ())[1:] for spec in self.outputs.values())) or (
            "sizes" in self.outputs
        )


def read_signatures(directory: Path) -> dict[str, Signature]:
    """Read the signatures of a saved model.

    Args:
        directory: of the saved model.

    Returns:
        Those that can be asked, by name.

    Raises:
        ModelError: if there is no saved model that can be read.
    """
    from tensorflow import dtypes, make_ndarray

    def spec(info: Any) -> TensorSpec:
        kind = dtypes.as_dtype(info.dtype)
        sizes = tuple(None if dim.size < 0 else int(dim.size) for dim in info.tensor_shape.dim)
        name = "string" if kind.name == "string" else np.dtype(kind.as_numpy_dtype).name
        return TensorSpec(name, None if info.tensor_shape.unknown_rank else sizes)

    return {
        name: Signature(
            name,
            {key: spec(definition.inputs[key]) for key in sorted(definition.inputs)},
            {key: spec(definition.outputs[key]) for key in sorted(definition.outputs)},
            {key: make_ndarray(value) for key, value in definition.defaults.items()},
        )
        for name, definition in _definitions(directory).items()
        if definition.inputs
    }


def read_metadata(directory: Path) -> dict[str, Any]:
    """Return the signatures as TensorFlow Serving's REST protocol tells them: protobuf's JSON form.

    Args:
        directory: of the saved model.

    Raises:
        ModelError: as :func:`read_signatures`.
    """
    from google.protobuf.json_format import MessageToDict

    written = {
        name: MessageToDict(definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        for name, definition in _definitions(directory).items()
    }
    return {"signature_def": {"signature_def": written}}


def _definitions(directory: Path) -> Mapping[str, Any]:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel()
    try:
        saved.ParseFromString((directory / "saved_model.pb").read_bytes())
    except (OSError, DecodeError) as error:
        raise ModelError(f"{directory}: its signatures cannot be read: {error}") from None
    definitions: Mapping[str, Any] = saved.meta_graphs[0].signature_def
    return definitions
