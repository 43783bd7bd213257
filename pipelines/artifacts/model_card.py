"""The card of a saved model: what it says of itself. It is read and written together with the list of the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from pipelines.artifacts import manifest
from pipelines.artifacts.manifest import MANIFEST, SIGNATURE
from pipelines.core.errors import ModelError
from pipelines.reporting.notes import note
from pipelines.storage import regular_file
from pipelines.storage.names import fault_of

__all__ = [
    "CARD",
    "FORMAT",
    "LABELS",
    "WARMUP",
    "ModelCard",
    "check_files",
    "doubts",
    "faults",
    "file_hashes",
    "listed_files",
    "read_card",
    "versions",
    "write_card",
]

CARD = "model_card.json"
LABELS = "labels.txt"
WARMUP = "assets.extra/tf_serving_warmup_requests"
FORMAT = 2
"""Of the record: 1 is that of earlier versions; a model whose card has 2 has a manifest, and is refused without."""

_LARGEST = 128 * 2**20  # bytes of a card: of figures of some thousand classes
_TRIES = 3
_Found = TypeVar("_Found")


def _safe(name: str) -> str:
    fault = fault_of(name)
    if fault is not None:
        raise ValueError(f"received {name[:80]!r}; {fault}")
    return name


class ModelCard(BaseModel):
    """What a saved model says of itself."""

    model_config = ConfigDict(extra="forbid")

    format: int = Field(1, ge=1, le=FORMAT, description="Version of this record's form.")
    task: str = Field(description="classification, detection or segmentation.")
    name: Annotated[str, AfterValidator(_safe)]
    version: int = Field(ge=0, lt=10**9)
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
    files: dict[str, str] = Field(description="SHA-256 of every file but card and manifest, by path.")


def file_hashes(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a saved model but card, manifest and signature, by path inside the directory.

    Raises:
        ModelError: if something in it is no regular file.
    """
    names = [name for name in manifest.files_in(directory) if name != CARD]
    return {name: regular_file.digest(directory / name)[0] for name in names}


def versions(directory: Path) -> list[int]:
    """Return the numbers of the versions under ``saved_models/<name>``, ascending."""
    if not directory.is_dir():
        return []
    numbered = [path.name for path in directory.iterdir() if path.name.isascii() and path.name.isdecimal()]
    return sorted(int(name) for name in numbered if str(int(name)) == name and (directory / name).is_dir())


def read_card(directory: Path) -> ModelCard:
    """Read the card of a saved model. The names of its classes are those in the graph, whatever the card says.

    Raises:
        ModelError: if there is no card, it is not one of ours, or it or the file of class names is not as the manifest
            lists them.
    """
    card, found = _settled(directory, lambda: _read(directory))
    for text in found:
        note(text)
    return card


def doubts(directory: Path) -> list[str]:
    """Say why a saved model that can be read does not count as verified, even if every file is as it is listed.

    Args:
        directory: of the saved model.

    Returns:
        A sentence for each reason: it has no manifest; its card names other classes than its graph.

    Raises:
        ModelError: as :func:`read_card`.
    """
    return _settled(directory, lambda: _read(directory))[1]


def _settled(directory: Path, read: Callable[[], _Found]) -> _Found:
    """Read again what did not fit the manifest, where that was written anew meanwhile."""
    for _ in range(_TRIES):
        before = manifest.read_manifest(directory)
        try:
            return read()
        except ModelError:
            if manifest.read_manifest(directory) == before:
                raise
    return read()


def _read(directory: Path) -> tuple[ModelCard, list[str]]:
    """Return the card, and the doubts about it."""
    path, listed = directory / CARD, manifest.read_manifest(directory)
    try:
        card = ModelCard.model_validate_json(manifest.read_listed(directory, CARD, listed, _LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"{directory}: holds no {CARD}; it is not a saved model of this application") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        reason = first["msg"].removeprefix("Value error, ")
        raise ModelError(f"{path}: is damaged or of another version: {field}: {reason}") from None
    if listed is None and card.format > 1:
        raise ModelError(f"{directory}: {MANIFEST}: is missing; download it again or retrain it")
    found = []
    if listed is None:
        found.append(
            f"{directory}: was saved without {MANIFEST} by an earlier version, so that changes to its card are not "
            "noticed; `cnnapp export MODEL --format saved_model` writes it again with one"
        )
    names = _names_in_graph(directory, listed)
    if names is not None and names != card.classes:
        found.append(_differing(path, card.classes, names))
        card = card.model_copy(update={"classes": names})
    return card, found


def _names_in_graph(directory: Path, listed: manifest.Manifest | None) -> list[str] | None:
    """Return the names of the classes that the graph was written with; None where it has no such file."""
    name = f"assets/{LABELS}"
    try:
        text = manifest.read_listed(directory, name, listed, _LARGEST).decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        raise ModelError(f"{directory}: {name}: is damaged: it is not UTF-8; download it again or retrain it") from None
    return text.removesuffix("\n").split("\n") if text else []


def _differing(path: Path, said: list[str], names: list[str]) -> str:
    if len(said) != len(names):
        return f"{path}: names {len(said)} classes, and the graph has {len(names)}, which are used"
    number = next(number for number, (one, other) in enumerate(zip(said, names, strict=True)) if one != other)
    return (
        f"{path}: was edited: it calls class {number} {said[number]!r}, and the graph calls it {names[number]!r}; the "
        "names in the graph are used"
    )


def write_card(directory: Path, card: ModelCard) -> None:
    """Write the card of a saved model, and its manifest with it; killed meanwhile, the old one or the new one is there.

    Args:
        directory: of the saved model.
        card: what it says of itself.

    Raises:
        ModelError: if it cannot be written, or the one that is there is not the one that the manifest lists.
    """
    path = directory / CARD
    try:
        manifest.rewrite(directory, CARD, (card.model_dump_json(indent=1) + "\n").encode())
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror}") from None
    if (directory / SIGNATURE).exists():
        note(f"{directory}: its signature is of the card before; sign it again")


def listed_files(directory: Path, card: ModelCard) -> dict[str, str]:
    """Return the SHA-256 of the files that a saved model is made of, by path: of the manifest, or of an old card.

    Args:
        directory: of the saved model.
        card: its card.

    Raises:
        ModelError: if the manifest is damaged.
    """
    listed = manifest.read_manifest(directory)
    return card.files if listed is None else {name: entry.sha256 for name, entry in listed.files.items()}


def check_files(directory: Path, card: ModelCard, contents: bool = True) -> list[str]:
    """Compare the files of a saved model with its manifest, or, where it has none, with the hashes on its card.

    Args:
        directory: of the saved model.
        card: its card.
        contents: whether every file is read; else what can be told without, by names and sizes.

    Returns:
        One line for each file that is missing, differs, is not listed or is no regular file; none where all are as they
        were written.
    """

    def checked() -> None:
        try:
            listed = manifest.read_manifest(directory)
        except ModelError as error:
            raise _Problems([str(error).removeprefix(f"{directory}/")]) from None
        problems = (
            _by_card(directory, card, contents) if listed is None else _by_manifest(directory, card, listed, contents)
        )
        if problems:
            raise _Problems(problems)

    try:
        _settled(directory, checked)
    except _Problems as found:
        return found.lines
    except ModelError as error:
        return [str(error).removeprefix(f"{directory}/")]
    return []


class _Problems(ModelError):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(lines[0])
        self.lines = lines


def _by_manifest(directory: Path, card: ModelCard, listed: manifest.Manifest, contents: bool) -> list[str]:
    problems = manifest.check(directory, listed, contents)
    others = {name: entry.sha256 for name, entry in listed.files.items() if name != CARD}
    return problems or ([] if others == card.files else [f"{CARD}: lists other files than {MANIFEST}"])


def _by_card(directory: Path, card: ModelCard, contents: bool) -> list[str]:
    """Look at the files that the card of an earlier version lists."""
    try:
        there = set(manifest.files_in(directory))
    except ModelError as error:
        return [str(error).removeprefix(f"{directory}: ")]
    problems = []
    for name, expected in card.files.items():
        if name not in there:
            problems.append(f"{name}: is missing")
        elif contents and _digest(directory / name) != expected:
            problems.append(f"{name}: differs from what was exported")
    return problems


def _digest(path: Path) -> str:
    try:
        return regular_file.digest(path)[0]
    except OSError:
        return ""


def faults(directory: Path) -> list[str]:
    """Say what a saved model lacks, as far as it is seen without reading it all: to pass over what is half deleted.

    Args:
        directory: of the saved model.

    Returns:
        One line for each fault; none where it is whole.
    """
    try:
        card = _settled(directory, lambda: _read(directory))[0]
    except ModelError as error:
        return [str(error).removeprefix(f"{directory}: ").removeprefix(f"{directory}/")]
    return check_files(directory, card, contents=False)
