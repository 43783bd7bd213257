"""The proof that a set can be used: every example is read and decoded once before anything is computed from it.

An image that cannot be decoded would otherwise end a training where it is first needed, which for test images is behind
the last epoch. So all of them are gone through at once: each is read with its label by what reads it later, decoded by
the graph's own decoder, and looked at by the task. All that cannot be used are named together, or left out.

What was good is remembered (:mod:`pipelines.data.verdicts`), so that the next run need not decode it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pickle
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import PIL
import tensorflow as tf

from pipelines.core.errors import DataError
from pipelines.core.progress import Reporter
from pipelines.data import verdicts
from pipelines.data.inspection import End, in_threads, items_of, look_at, read_one
from pipelines.data.splits import SPLIT_NAMES, Example, Item, Label, Split, Splits, Unusable
from pipelines.data.verdicts import Stamp, Verdicts
from pipelines.intake.limits import LIMITS

__all__ = ["Examiner", "on_card", "proven"]

_NAMED = 20
_ON_CARD = 300

_Asked = tuple[int, Item[Label], Sequence[Stamp | None]]
_Bad = tuple[int, Item[Label], Unusable]


class Examiner(Protocol):
    """What a proof asks of a task."""

    @property
    def name(self) -> str:
        """Its name."""

    def examine(self, example: Example[Any], size: tuple[int, int]) -> None:
        """Raise ``DataError`` for an example that cannot be learned from, whose image has this (height, width)."""


def proven(
    splits: Splits[Label],
    task: Examiner,
    reporter: Reporter,
    *,
    skip: bool = False,
    parts: Collection[str] = SPLIT_NAMES,
) -> Splits[Label]:
    """Go through all examples once, and see to it that each can be used.

    Args:
        splits: the data.
        task: what they are for.
        reporter: where progress is shown, and what is skipped.
        skip: leave out the examples that cannot be used, instead of refusing the set.
        parts: the parts that will be used.

    Returns:
        The data; with ``skip``, without those that cannot be used, which are listed in ``skipped`` and change the
        fingerprint. Every other image stays in its part.

    Raises:
        DataError: naming all that cannot be used; with ``skip``, if a part or a class is left without images.
    """
    wanted = [part for part in SPLIT_NAMES if part in parts]
    total = sum(splits[part].size for part in wanted)
    with (
        contextlib.closing(verdicts.opened(reporter.say)) as kept,
        reporter.meter("checking that images can be decoded", total) as meter,
    ):
        prover = _Prover(task, kept)
        found = {part: list(prover.unusable(splits[part], meter.advance)) for part in wanted}
    bad = [fault for part in wanted for _, _, fault in found[part]]
    if not bad:
        return splits
    counted, listed = f"{splits.source}: {len(bad):,} of {total:,} images cannot be used", _listed(bad)
    if any(isinstance(item, End) for part in wanted for _, item, _ in found[part]):
        raise DataError(f"{counted}:\n{listed}\nMend or remove them")
    if not skip:
        advice = "" if len(bad) == total else ", or leave them out with --skip-bad-images"
        raise DataError(f"{counted}:\n{listed}\nMend or remove them{advice}")
    reporter.say(f"{counted}, and are skipped:\n{listed}")
    rest = {part: splits[part].without([place for place, _, _ in found.get(part, [])]) for part in SPLIT_NAMES}
    left = replace(
        splits,
        train=rest["train"],
        validation=rest["validation"],
        test=rest["test"],
        skipped=tuple(bad),
        fingerprint=_fingerprint(splits, bad),
    )
    for part in wanted:
        _refuse_gaps(left, part, [item for _, item, _ in found[part]])
    return left


def on_card(splits: Splits[Any]) -> dict[str, Any]:
    """Return what a card or a report says of the examples that were left out; nothing where there are none.

    Args:
        splits: as of :func:`proven`.

    Returns:
        ``skipped``: their number, and the first 300 with part and reason; of files not where they lay.
    """
    if not splits.skipped:
        return {}
    images = [{"part": one.part, "image": one.id, "reason": _reason(one)} for one in splits.skipped[:_ON_CARD]]
    return {"skipped": {"count": len(splits.skipped), "images": images}}


def _reason(one: Unusable) -> str:
    where = Path(one.where)
    return one.reason if where.as_posix().endswith(one.id) else f"{'/'.join(where.parts[-2:])}: {one.reason}"


def _listed(bad: Sequence[Unusable]) -> str:
    lines = [f"  {one}" for one in bad[:_NAMED]]
    if len(bad) > _NAMED:
        lines.append(f"  and {len(bad) - _NAMED:,} more; `cnnapp check` with this data set lists all of them")
    return "\n".join(lines)


def _fingerprint(splits: Splits[Any], bad: Iterable[Unusable]) -> str:
    digest = hashlib.sha256(splits.fingerprint.encode())
    for one in bad:
        digest.update(f"\n{one.part}\t{one.id}".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _refuse_gaps(splits: Splits[Any], part: str, left_out: Sequence[Item[Any]]) -> None:
    """Refuse a part that has nothing left, or that is to be learned from and has lost all images of a class."""
    split, advice = splits[part], "mend or replace some of those above"
    if left_out and not split.size:
        raise DataError(f"{splits.source}: the {part} part has no image left that can be used; {advice}")
    lost = set().union(*map(_classes_in, left_out))
    if not lost or split.items is None:
        return
    for item in split.items():
        there = _classes_in(item)
        lost = lost - there if part == "train" else lost if not there else set()
        if not lost:
            return
    name = splits.classes[min(lost)]
    what = f"no image of class {name!r} left" if part == "train" else "no image left in which there is something"
    raise DataError(f"{splits.source}: the {part} part has {what}; {advice}")


def _classes_in(item: Item[Any]) -> set[int]:
    try:
        return set(item.classes())
    except (DataError, OSError):
        return set()


# === Going through them ===


class _Prover:
    """Looks at examples in several threads, and remembers those that were good."""

    def __init__(self, task: Examiner, kept: Verdicts) -> None:
        self._task, self._kept = task, kept
        self._reader = f"{_decoder()}:{task.name}:{_source_of(type(task))}".encode()

    def unusable(self, split: Split[Label], advance: Callable[[], None]) -> Iterator[_Bad[Label]]:
        """Give place, item and fault of each example that cannot be used."""

        def unknown() -> Iterator[_Asked[Label]]:
            for place, item in enumerate(items_of(split)):
                stamps = [verdicts.stamp_of(path) for path in item.files]
                if self._is_known(item, stamps):
                    advance()
                else:
                    yield place, item, stamps

        for (place, item, _), fault in in_threads(self._prove, unknown()):
            advance()
            if fault is not None:
                yield place, item, _unusable(split.name, item, fault)

    def _is_known(self, item: Item[Any], stamps: Sequence[Stamp | None]) -> bool:
        """Say whether an example is known to be good by what its files look like, without opening them."""
        if not item.files:
            return False
        hashes = [None if stamp is None else self._kept.hash_of(stamp) for stamp in stamps]
        return None not in hashes and self._kept.holds(self._key(item.meaning, *filter(None, hashes)))

    def _prove(self, asked: _Asked[Any]) -> str | None:
        _, item, stamps = asked
        return self._prove_files(item, stamps) if item.files else self._prove_content(item)

    def _prove_files(self, item: Item[Any], stamps: Sequence[Stamp | None]) -> str | None:
        hashes = [None if stamp is None else verdicts.hash_of(stamp) for stamp in stamps]
        if None in hashes:
            return look_at(item, self._task.examine).fault
        key = self._key(item.meaning, *filter(None, hashes))
        if not self._kept.holds(key):
            fault = look_at(item, self._task.examine).fault
            if fault is not None:
                return fault
            if [verdicts.stamp_of(path) for path in item.files] != stamps:
                return None  # It changed while it was looked at; which of the two was read is not known.
            self._kept.keep(key)
        for stamp, digest in zip(stamps, hashes, strict=True):
            if stamp is not None and digest is not None:
                self._kept.keep_file(stamp, digest)
        return None

    def _prove_content(self, item: Item[Any]) -> str | None:
        """Look at an example that has no file of its own: it is read anyway, and decoded where its bytes are new."""
        try:
            example = read_one(item)
        except DataError as error:
            return str(error)
        key = _content_of(example)
        if key is not None and self._kept.holds(self._key("content", key)):
            return None
        fault = look_at(Item(item.id, lambda: example), self._task.examine).fault
        if fault is None and key is not None:
            self._kept.keep(self._key("content", key))
        return fault

    def _key(self, meaning: str, *hashes: bytes) -> bytes:
        return hashlib.sha256(b"\0".join([self._reader, meaning.encode("utf-8", "surrogateescape"), *hashes])).digest()


def _unusable(part: str, item: Item[Any], fault: str) -> Unusable:
    """Tell what is at fault from why."""
    for where in (*map(str, item.files), item.id):
        if fault.startswith(f"{where}: "):
            return Unusable(part, item.id, where, fault.removeprefix(f"{where}: "))
    where, colon, reason = fault.partition(": ")
    return Unusable(part, item.id, where, reason) if colon else Unusable(part, item.id, item.id, fault)


# === What is remembered ===


def _content_of(example: Example[Any]) -> bytes | None:
    """Return the hash of an image and its label; None for labels that cannot be written down."""
    try:
        label = pickle.dumps(example.label, protocol=5)
    except Exception:  # Of which types labels are is the task's to choose, and what pickling them raises theirs.
        return None
    return hashlib.sha256(hashlib.sha256(example.image).digest() + label).digest()


@functools.cache
def _decoder() -> str:
    """Return what a verdict depends on besides the data: the decoders, the limits, and the way from a file to them."""
    digest = hashlib.sha256(f"{tf.version.VERSION} {tf.version.GIT_VERSION} {PIL.__version__} {LIMITS}".encode())
    root = Path(__file__).parents[1]
    for folder in ("intake", "images", "data"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _source_of(kind: type) -> str:
    """Return a task's class, and the hash of the module that it is in."""
    path = getattr(sys.modules.get(kind.__module__), "__file__", None)
    content = b""
    if path is not None:
        with contextlib.suppress(OSError):
            content = Path(path).read_bytes()
    return f"{kind.__module__}.{kind.__qualname__}:{hashlib.sha256(content).hexdigest()}"
