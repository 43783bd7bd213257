"""What can be asked of a training run: one validated record, the same for the command line and for Python."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pipelines.core.choices import Choices
from pipelines.core.errors import ConfigError, unknown
from pipelines.core.options import Joined, option

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


_NOT_OF_THE_RUN = {"data_dir", "log_dir", "checkpoint_minutes", "resume", "overwrite", "test"}

Pixels = Annotated[int, Field(ge=1, le=4096)]
Size = Annotated[tuple[Pixels, Pixels], BeforeValidator(_size), Joined("x", "SIZE")]


class TrainingConfig(BaseModel):
    """How a network is trained, whatever the task. ``None`` means: chosen from the data, and said."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = option("digits", "Data set: a name, `tfds:NAME`, or a path.", group="data", common=True, required=True)
    data_dir: Path | None = option(
        None, "Folder that holds prepared tensorflow-datasets.", group="data", otherwise="that of tensorflow-datasets"
    )
    skip_bad_images: bool = option(
        False,
        "Leave out images that cannot be decoded and labels that cannot be read, and list them on the card, instead of "
        "refusing the data set.",
        group="data",
    )
    seed: int = option(
        0,
        "Random seed of the split, the initial weights, the order of images and the augmentation.",
        group="run",
        common=True,
        ge=0,
        lt=2**31,
    )
    deterministic: bool = option(
        False, "Use deterministic operations: slower, and bit-identical from run to run.", group="run"
    )
    epochs: int | None = option(
        None,
        "Maximum number of passes over the training images.",
        group="training",
        common=True,
        otherwise="by the number of images",
        ge=1,
    )
    batch_size: int | None = option(
        None,
        "Global batch size: images in a training step, over all devices together.",
        group="training",
        common=True,
        otherwise="by the number of images",
        ge=1,
    )
    optimizer: Literal["adamw", "muon", "sgd"] = option(
        "adamw",
        "AdamW, Muon (fewer, slightly slower steps), or SGD with Nesterov momentum 0.9.",
        group="training",
    )
    learning_rate: float | None = option(
        None,
        "Peak learning rate.",
        group="training",
        common=True,
        otherwise="0.002, or 0.1 with sgd",
        gt=0,
    )
    warmup: float = option(
        0.05,
        "Fraction of the training steps over which the learning rate rises linearly to its peak.",
        group="training",
        ge=0,
        lt=1,
    )
    schedule: Literal["cosine", "constant"] = option(
        "cosine",
        "Learning rate after the warm-up: a cosine decay to a hundredth of the peak, or constant.",
        group="training",
    )
    weight_decay: float | None = option(
        None,
        "Decoupled weight decay; it applies to kernels, not to biases and normalisation.",
        group="training",
        otherwise="0.05, or 0.0005 with sgd",
        ge=0,
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = option(
        "float32", "Numeric precision of the training; the saved model is always float32.", group="training"
    )
    patience: int = option(
        20,
        "Early stopping: end after this many epochs without a better validation result.",
        group="training",
        ge=1,
    )
    log_dir: Path | None = option(
        None,
        "Folder of the run: its TensorBoard logs, and the state that --resume needs.",
        group="run",
        otherwise="runs/NAME",
    )
    checkpoint_minutes: float = option(
        5.0,
        "Minutes between two checkpoints within an epoch; there is one after each epoch as well.",
        group="run",
        gt=0,
    )
    resume: bool = option(False, "Resume an interrupted run from its last checkpoint.", group="run", common=True)
    overwrite: bool = option(
        False, "Begin anew where the folder of the run holds an unfinished one, which is lost then.", group="run"
    )

    def identity(self) -> dict[str, Any]:
        """Return the options that tell a run from others, as plain values: not where things lie."""
        return self.model_dump(mode="json", exclude=_NOT_OF_THE_RUN)

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

    def kinds_in_words(self, *names: str) -> str:
        """Return the kinds of layers that were chosen, for one line: ``"conv standard, pool max"``.

        Args:
            *names: of fields; those that are left to the network are left out.
        """
        return ", ".join(f"{name} {getattr(self, name)}" for name in names if getattr(self, name) is not None)

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
Scales = Annotated[
    tuple[Scale, ...], BeforeValidator(_numbers), Joined(",", "NUMBERS"), Field(min_length=1, max_length=32)
]
