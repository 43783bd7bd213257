"""tensorflow-datasets: any of its image classification sets, by name."""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from pipelines import intake
from pipelines.data.splits import Example, Split, Splits, split_of
from pipelines.errors import DataError

__all__ = ["load"]

_CHARACTERS = ("mnist", "emnist", "kmnist", "svhn", "omniglot", "binary_alpha_digits", "cmaterdb", "mnist_corrupted")
_VALIDATION = {"train": 0.9, "validation": 0.1}


def load(name: str, data_dir: Path | None, seed: int) -> Splits:
    """Load a set of tensorflow-datasets, downloading and preparing it where that is possible.

    Args:
        name: as in ``tfds.load``: ``"fashion_mnist"``, ``"cifar10:3.0.2"``, ...
        data_dir: the folder that holds prepared sets; tfds's own default otherwise.
        seed: seed of the split of the training images, where the set has no validation part of its own.

    Returns:
        The set's own test images; its own validation images, or a tenth of the training images.

    Raises:
        DataError: if the set does not exist, is not prepared and cannot be downloaded, has no test part, or is not
            made of an image and a class label.
    """
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    logging.getLogger("absl").setLevel(logging.ERROR)
    builder = _builder(tfds, name, data_dir)
    _prepare(builder, name)
    info = builder.info
    features = info.features or {}
    if "image" not in features or "label" not in features or not hasattr(features["label"], "names"):
        raise DataError(
            f"tfds:{name}: has the features {', '.join(sorted(features))}; expected 'image' and a class 'label'"
        )
    if "test" not in info.splits:
        raise DataError(
            f"tfds:{name}: has no test split (it has: {', '.join(sorted(info.splits))}); "
            "export it as a folder per class, which is then split by name"
        )
    if "train" not in info.splits:
        raise DataError(f"tfds:{name}: has no train split (it has: {', '.join(sorted(info.splits))})")
    parts = _parts(builder, name, seed)
    mirrored = not any(info.name.startswith(known) for known in _CHARACTERS)
    content = f"{info.full_name}:{seed}:" + ":".join(
        f"{part}={split.num_examples}={split.num_bytes}" for part, split in sorted(info.splits.items())
    )
    return Splits(
        source=f"tfds:{name}",
        classes=tuple(features["label"].names),
        mirrored=mirrored,
        fingerprint=hashlib.sha256(content.encode()).hexdigest(),
        **parts,
    )


def _builder(tfds: Any, name: str, data_dir: Path | None) -> Any:
    if data_dir is not None and not data_dir.is_dir():
        raise DataError(f"{data_dir}: there is no such folder (--data-dir)")
    try:
        return tfds.builder(name.replace("==", ":"), data_dir=None if data_dir is None else os.fspath(data_dir))
    except tfds.core.DatasetNotFoundError:
        prepared = [path.name for path in data_dir.iterdir() if path.is_dir()] if data_dir else []
        near = difflib.get_close_matches(name, [*prepared, *tfds.list_builders()], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        held = f"; prepared in {data_dir}: {', '.join(sorted(prepared)) or 'nothing'}." if data_dir else "."
        raise DataError(f"there is no tensorflow-dataset {name!r}{held}{hint}") from None
    except (AssertionError, ValueError, OSError) as error:
        raise DataError(f"tfds:{name}: cannot be opened: {str(error).splitlines()[0]}") from None


def _prepare(builder: Any, name: str) -> None:
    # A builder that was read from its files alone has no code to download with, and needs none.
    if Path(builder.data_path).is_dir():
        return
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        _reach(builder)
        builder.download_and_prepare()
    except Exception as error:  # Downloads fail in as many ways as there are hosts and formats.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"tfds:{name}: is not prepared in {builder.data_path}, and could not be downloaded ({reason[:200]}). "
            "Prepare it on a machine with network access ('tfds build' or tfds.load), copy the folder, and name the "
            "folder that holds it with --data-dir"
        ) from None


def _reach(builder: Any) -> None:
    """Fail at once where there is no network; the downloader itself would try again for minutes."""
    url = next(iter(getattr(builder, "url_infos", None) or {}), None)
    host = urlsplit(url).hostname if url else None
    if host is not None and not getproxies():
        try:
            socket.getaddrinfo(host, None)
        except OSError as error:
            raise ConnectionError(f"{host}: {error.strerror}") from None


def _parts(builder: Any, name: str, seed: int) -> dict[str, Split]:
    splits = builder.info.splits
    test = _split(builder, name, "test", "test", range(splits["test"].num_examples))
    own = next((part for part in ("validation", "val", "valid") if part in splits), None)
    count = splits["train"].num_examples
    if own is not None:
        validation = _split(builder, name, "validation", own, range(splits[own].num_examples))
        return {"train": _split(builder, name, "train", "train", range(count)), "validation": validation, "test": test}
    numbers: dict[str, list[int]] = {part: [] for part in _VALIDATION}
    for number in range(count):
        numbers[split_of(f"{builder.name}/train/{number}", seed, _VALIDATION)].append(number)
    return {
        "train": _split(builder, name, "train", "train", numbers["train"]),
        "validation": _split(builder, name, "validation", "train", numbers["validation"]),
        "test": test,
    }


def _split(builder: Any, source: str, name: str, stored: str, numbers: range | list[int]) -> Split:
    chosen = numbers if isinstance(numbers, range) else frozenset(numbers)

    def examples() -> Iterator[Example]:
        import tensorflow_datasets as tfds

        dataset = builder.as_dataset(split=stored, shuffle_files=False, decoders={"image": tfds.decode.SkipDecoding()})
        for number, example in enumerate(dataset.as_numpy_iterator()):
            if number in chosen:
                key = f"{source}/{stored}/{number}"
                yield Example(key, intake.read(example["image"], key), int(example["label"]))

    return Split(name, len(numbers), examples)
