"""The card of a saved model: what it says of itself, and the hashes of its files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.core.errors import ModelError

__all__ = ["CARD", "LABELS", "WARMUP", "ModelCard", "check_files", "file_hashes", "read_card", "versions", "write_card"]

CARD = "model_card.json"
LABELS = "labels.txt"
WARMUP = "assets.extra/tf_serving_warmup_requests"


class ModelCard(BaseModel):
    """What a saved model says of itself."""

    model_config = ConfigDict(extra="forbid")

    format: int = Field(1, description="Version of this record's form.")
    task: str = Field(description="classification, detection or segmentation.")
    name: str
    version: int
    created: str = Field(description="Time of the export, ISO 8601, UTC.")
    description: str = Field(description="In words: what it tells apart, in what kind of images.")
    classes: list[str] = Field(description="Names, in the order of the scores.")
    input: dict[str, Any] = Field(description="What the network is shown; as pipelines.images.preprocessing.ImageSpec.")
    metrics: dict[str, Any] = Field(description="Figures by split. Test images were used once, after every choice.")
    training: dict[str, Any] = Field(description="The configuration, with what was chosen from the data filled in.")
    history: dict[str, Any] = Field(description="How training went.")
    data: dict[str, Any] = Field(description="Source, sizes of the splits, fingerprint.")
    software: dict[str, str] = Field(description="Versions it was made with.")
    parameters: int = Field(description="Trainable and fixed numbers of the network.")
    standardisation: dict[str, float] = Field(
        default_factory=dict, description="Mean and standard deviation of the training pixels, 0 to 255, of its input."
    )
    evidence: str = Field("", description="What the signature explain gives: for example Grad-CAM, and of which layer.")
    files: dict[str, str] = Field(description="SHA-256 of every other file, by path inside the directory.")


def file_hashes(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a saved model but its card, by path inside the directory."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file() and path != directory / CARD)
    return {path.relative_to(directory).as_posix(): _sha256(path) for path in paths}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(directory: Path) -> list[int]:
    """Return the numbers of the versions under ``saved_models/<name>``, ascending."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.is_dir() and path.name.isdecimal())


def read_card(directory: Path) -> ModelCard:
    """Read the card of a saved model.

    Raises:
        ModelError: if there is no card, or it is not one of ours.
    """
    path = directory / CARD
    try:
        return ModelCard.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(f"{directory}: holds no {CARD}; it is not a saved model of this application") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        raise ModelError(f"{path}: is damaged or of another version: {field}: {first['msg']}") from None


def write_card(directory: Path, card: ModelCard) -> None:
    """Write the card of a saved model; whoever reads it meanwhile finds the old one or the new one, whole.

    Args:
        directory: of the saved model.
        card: what it says of itself.

    Raises:
        ModelError: if it cannot be written.
    """
    path, building = directory / CARD, directory / f".{CARD}.{os.getpid()}"
    try:
        building.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
        os.replace(building, path)
    except OSError as error:
        building.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written: {error.strerror}") from None


def check_files(directory: Path, card: ModelCard) -> list[str]:
    """Compare the files of a saved model with the hashes on its card.

    Args:
        directory: of the saved model.
        card: its card.

    Returns:
        One line for each file that is missing or differs; none where all are as they were written.
    """
    problems = []
    for name, expected in card.files.items():
        path = directory / name
        if not path.is_file():
            problems.append(f"{name}: is missing")
        elif _sha256(path) != expected:
            problems.append(f"{name}: differs from what was exported")
    return problems
