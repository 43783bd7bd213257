"""tensorflow-datasets: any of its image classification sets, by name, and what the other tasks share with them."""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from pipelines.core import extras
from pipelines.core.errors import DataError
from pipelines.data.splits import SPLIT_NAMES, Example, Item, Label, Split, Splits, split_of
from pipelines.images import image_io

__all__ = ["VALIDATION_NAMES", "find_builder", "fingerprint", "load", "open_builder", "parts", "read_stored"]

_CHARACTERS = ("mnist", "emnist", "kmnist", "svhn", "omniglot", "binary_alpha_digits", "cmaterdb", "mnist_corrupted")
VALIDATION_NAMES = ("validation", "val", "valid")
"""What sets call their validation part."""

_VALIDATION = {"train": 0.9, "validation": 0.1}


def load(name: str, data_dir: Path | None, seed: int) -> Splits[int]:
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
    builder = open_builder(name, data_dir)
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
    own = next((part for part in VALIDATION_NAMES if part in info.splits), None)
    stored = {"test": "test"} if own is None else {"test": "test", "validation": own}
    found = parts(
        builder,
        name,
        seed,
        stored,
        lambda example, image, key: int(example["label"]),
        lambda example, key: (int(example["label"]),),
    )
    return Splits(
        source=f"tfds:{name}",
        classes=tuple(features["label"].names),
        mirrored=not any(info.name.startswith(known) for known in _CHARACTERS),
        fingerprint=fingerprint(builder, seed),
        train=found["train"],
        validation=found["validation"],
        test=found["test"],
    )


# === What all tasks share ===


def open_builder(name: str, data_dir: Path | None) -> Any:
    """Find a set and prepare it where it is not; ``DataError`` if that cannot be done."""
    builder = find_builder(name, data_dir)
    _prepare(builder, name)
    return builder


def fingerprint(builder: Any, seed: int) -> str:
    """Return the SHA-256 of what a prepared set says of itself, and of the seed."""
    content = f"{builder.info.full_name}:{seed}:" + ":".join(
        f"{part}={split.num_examples}={split.num_bytes}" for part, split in sorted(builder.info.splits.items())
    )
    return hashlib.sha256(content.encode()).hexdigest()


def find_builder(name: str, data_dir: Path | None) -> Any:
    """Find a set, prepared or not; ``DataError`` if there is none of that name."""
    extras.need(f"tfds:{name}", "train", "tensorflow-datasets", "importlib_resources")
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    logging.getLogger("absl").setLevel(logging.ERROR)
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


def parts(
    builder: Any,
    source: str,
    seed: int,
    stored: dict[str, str],
    label_of: Callable[[dict[str, Any], bytes, str], Label],
    classes_of: Callable[[dict[str, Any], str], Collection[int]],
) -> dict[str, Split[Label]]:
    """Make the three parts of a prepared set.

    Args:
        builder: of the set.
        source: how the ids of the examples call it.
        seed: seed of the split of the training images, for the parts that are not stored.
        stored: the stored splits that are "test" and "validation", as far as there are any.
        label_of: from an example, its image and its id to what the task learns of it.
        classes_of: from an example and its id to the class indices in it, without its image.

    Returns:
        The parts by their names; images are read when they are asked for.
    """
    splits = builder.info.splits
    count = splits["train"].num_examples
    numbers: dict[str, Sequence[int]] = {part: range(splits[name].num_examples) for part, name in stored.items()}
    if len(stored) == 2:
        numbers["train"] = range(count)
    else:
        by_hash: dict[str, list[int]] = {part: [] for part in SPLIT_NAMES if part not in stored}
        for number in range(count):
            shares = _VALIDATION if "test" in stored else None
            by_hash[split_of(f"{builder.name}/train/{number}", seed, shares)].append(number)
        numbers |= by_hash
    return {
        part: _split(builder, source, part, stored.get(part, "train"), numbers[part], label_of, classes_of)
        for part in SPLIT_NAMES
    }


def _split(
    builder: Any,
    source: str,
    name: str,
    stored: str,
    numbers: Sequence[int],
    label_of: Callable[[dict[str, Any], bytes, str], Label],
    classes_of: Callable[[dict[str, Any], str], Collection[int]],
) -> Split[Label]:
    chosen = numbers if isinstance(numbers, range) else frozenset(numbers)

    def item(number: int, example: dict[str, Any]) -> Item[Label]:
        key = f"{source}/{stored}/{number}"

        def read() -> Example[Label]:
            image = image_io.read(example["image"], key)
            return Example(key, image, label_of(example, image, key))

        return Item(key, read, classes=lambda: classes_of(example, key))

    def items() -> Iterator[Item[Label]]:
        for number, example in enumerate(read_stored(builder, stored)):
            if number in chosen:
                yield item(number, example)

    return Split.of(name, len(numbers), items)


def read_stored(builder: Any, stored: str) -> Iterator[dict[str, Any]]:
    """Read the examples of a stored split, always in the same order, with the image as its encoded bytes."""
    import tensorflow_datasets as tfds

    dataset = builder.as_dataset(split=stored, shuffle_files=False, decoders={"image": tfds.decode.SkipDecoding()})
    yield from dataset.as_numpy_iterator()
