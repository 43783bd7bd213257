"""What can be asked of a training run: one validated record, the same for the command line and for Python."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pipelines.core.choices import Choices
from pipelines.core.errors import ConfigError, unknown

__all__ = ["TrainingConfig"]


def _size(value: object) -> object:
    """Take ``96``, ``"96"`` and ``"64x96"`` (height x width) for a size."""
    if isinstance(value, str):
        try:
            parts = [int(part) for part in value.lower().split("x")]
        except ValueError:
            raise ValueError("must be a number of pixels such as 96, or height x width such as 64x96") from None
        value = parts[0] if len(parts) == 1 else tuple(parts)
    return (value, value) if isinstance(value, int) else value


Pixels = Annotated[int, Field(ge=1, le=4096)]
Size = Annotated[tuple[Pixels, Pixels], BeforeValidator(_size)]


class TrainingConfig(BaseModel):
    """How a network is trained, whatever the task. ``None`` means: chosen from the data, and said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = Field("digits", description="Where the labelled images are.")
    data_dir: Path | None = Field(None, description="The folder that holds prepared tensorflow-datasets.")
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the split, the weights, the order and the augmentation.")
    deterministic: bool = Field(False, description="Slower operations that give the same bits every time.")
    epochs: int | None = Field(None, ge=1, description="Passes over the training images.")
    batch_size: int | None = Field(None, ge=1, description="Images a step, over all devices together.")
    optimizer: Literal["adamw", "muon", "sgd"] = Field(
        "adamw", description="AdamW, Muon (fewer steps, each a little slower), or SGD with Nesterov momentum 0.9."
    )
    learning_rate: float | None = Field(None, gt=0, description="Peak of the schedule.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps spent rising to the learning rate.")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="What follows the warm-up.")
    weight_decay: float | None = Field(None, ge=0, description="Decoupled decay of kernels (not of biases and norms).")
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="Arithmetic in training; the saved model is always float32."
    )
    patience: int = Field(20, ge=1, description="Epochs without a better validation result before stopping.")
    log_dir: Path | None = Field(None, description="Where TensorBoard logs go, and the state that --resume needs.")
    resume: bool = Field(False, description="Go on with a run that was stopped, from its last whole epoch.")

    def identity(self) -> dict[str, Any]:
        """Return the options that tell a run from others, as plain values: not where things lie."""
        return self.model_dump(mode="json", exclude={"data_dir", "log_dir", "resume", "test"})

    @classmethod
    def parse(cls, **options: object) -> Self:
        """Validate options.

        Raises:
            ConfigError: for an option that does not exist or a value that does not fit, with the nearest name.
        """
        try:
            return cls(**options)  # type: ignore[arg-type]
        except ValidationError as error:
            raise ConfigError("; ".join(cls._explain(e) for e in error.errors())) from None

    @classmethod
    def _explain(cls, error: typing.Any) -> str:
        name = str(error["loc"][0]) if error["loc"] else "options"
        received = error["input"]
        if error["type"] == "extra_forbidden":
            return unknown("option", name, cls.model_fields)
        if error["type"] in ("literal_error", "unknown_name"):
            return unknown(name.replace("_", " "), str(received), cls.choices(name))
        if error["type"] == "unfit_name":
            return str(error["msg"])
        message = error["msg"].removeprefix("Value error, ")
        return f"{name.replace('_', '-')}: received {received!r}; {message[0].lower()}{message[1:]}"

    @classmethod
    def choices(cls, name: str) -> tuple[str, ...]:
        """Return the values that a field of fixed choices can take, e.g. ``choices("conv")``."""
        field = cls.model_fields[name]
        return _literals(field.annotation) + tuple(value for part in field.metadata for value in _literals(part))


def _literals(annotation: object) -> tuple[str, ...]:
    if typing.get_origin(annotation) is Literal:
        return tuple(str(value) for value in typing.get_args(annotation))
    if isinstance(annotation, Choices):
        return annotation.names()
    return tuple(value for part in typing.get_args(annotation) for value in _literals(part))


def _numbers(value: object) -> object:
    """Take ``"1,0.7,0.5"`` for numbers."""
    if isinstance(value, str):
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            raise ValueError("must be numbers with commas between them, such as 1,0.7,0.5") from None
    return (value,) if isinstance(value, (int, float)) else value


Scale = Annotated[float, Field(gt=0, le=16)]
Scales = Annotated[tuple[Scale, ...], BeforeValidator(_numbers), Field(min_length=1, max_length=32)]
