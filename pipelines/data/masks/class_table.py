"""The classes of masks: which value of a pixel stands for which class, and which for none.

``classes.txt`` has a name a line in the order of the indices, or ``name r g b``; ``classes.csv`` (or
``class_dict.csv``) the columns name, r, g and b. What is named void, ignore, ignored, unlabelled or unlabeled is no
class: of its pixels nothing is said, and the classes behind it move up.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from pipelines.core.errors import ConfigError, DataError
from pipelines.data.formats.parsing import class_names, number, read_bytes, read_lines, short
from pipelines.data.masks.mask_file import Pixels, colour_code
from pipelines.images.masks import IGNORED, MOST_CLASSES
from pipelines.intake.limits import LIMITS
from pipelines.intake.regular_file import is_there

__all__ = ["VOID", "ClassTable", "as_indices", "read_table"]

VOID = frozenset({"void", "ignore", "ignored", "unlabelled", "unlabeled"})
"""The names, in small letters, of what is no class."""

_CSV = ("classes.csv", "class_dict.csv")
_TXT = "classes.txt"
_COLUMNS = ("name", "r", "g", "b")
_LARGEST = 65535
_SHOWN = 4


@dataclass(frozen=True, eq=False)
class ClassTable:
    """The classes of masks.

    Args:
        names: of the classes, in the order of their ids.
        indices: the class id of each value of an index mask, or ``IGNORED``.
        colours: the same of each :func:`~pipelines.data.masks.mask_file.colour_code`; empty where no colours are named.
        source: the name of the file that names the classes; empty where none does.
        named: whether the names are names, and not just the indices.
    """

    names: tuple[str, ...]
    indices: Mapping[int, int]
    colours: Mapping[int, int] = field(default_factory=dict)
    source: str = ""
    named: bool = True

    @classmethod
    def of(
        cls,
        names: Mapping[int, str],
        *,
        where: object,
        ignore: int | None = None,
        colours: Sequence[int] = (),
        source: str = "",
        named: bool = True,
    ) -> ClassTable:
        """Make a table from the names by their indices.

        Args:
            names: by the index, ascending; what is called like one of :data:`VOID` is no class.
            where: the file with the names, or the set, for messages.
            ignore: an index that is no class either.
            colours: the colour code of each name, where there are any.
            source, named: as for the class.

        Raises:
            ConfigError: if ``ignore`` is no index.
            DataError: if there are too many classes.

        Example:
            >>> ClassTable.of({0: "void", 1: "road", 2: "car"}, where="classes.txt").names
            ('road', 'car')
        """
        if ignore is not None and not 0 <= ignore <= _LARGEST:
            raise ConfigError(f"ignore: received {ignore}; expected the index of a mask, 0 to {_LARGEST}")
        none = {value for value, name in names.items() if named and name.lower() in VOID} | {ignore}
        learned = {value: name for value, name in names.items() if value not in none}
        if len(learned) > MOST_CLASSES or (IGNORED in learned and not colours):
            raise DataError(
                f"{where}: names {len(learned):,} classes; expected at most {MOST_CLASSES}, of the indices 0 to "
                f"{MOST_CLASSES - 1}, since {IGNORED} marks unlabelled pixels"
            )
        ids = dict.fromkeys([*names, *(value for value in none if value is not None)], IGNORED)
        ids |= {value: number for number, value in enumerate(learned)}
        by_colour = {code: ids[value] for code, value in zip(colours, names, strict=True)} if colours else {}
        return cls(tuple(learned.values()), ids | {IGNORED: IGNORED}, by_colour, source, named)

    def label(self, pixels: Pixels, name: str) -> tuple[np.ndarray, dict[int, int]]:
        """Turn the values of pixels into class ids.

        Where only grey colours are named, such as black and white, a grey mask holds colours and not indices. Where
        none are named, a colour mask of which all pixels are grey holds indices.

        Args:
            pixels: of a mask.
            name: how messages call the mask.

        Returns:
            uint8 of shape (height, width), ``IGNORED`` where nothing is said or the value is no class; and the number
            of pixels by the value that is no class, ascending.

        Raises:
            DataError: if the mask has colours and the table none.
        """
        if pixels.coloured and not self.colours:
            pixels = as_indices(pixels, name)
        if pixels.values.dtype == np.uint8:
            mask, known = (table[pixels.values] for table in self._bytes)
        else:
            mask, known = _look_up(pixels.values, self.colours if pixels.coloured else self.indices)
        if known.all():
            return mask, {}
        values, counts = np.unique(pixels.values[~known], return_counts=True)
        return mask, dict(zip(values.tolist(), counts.tolist(), strict=True))

    @cached_property
    def _bytes(self) -> tuple[np.ndarray, np.ndarray]:
        """Give the class id of each grey value of 8 bits, and whether it has one."""
        values = np.arange(256)
        codes = values * colour_code(1, 1, 1)
        if self.colours and set(self.colours) <= set(codes.tolist()):
            mask, known = _look_up(codes, self.colours)
            known[IGNORED] = True
            return mask, known
        return _look_up(values, self.indices)

    def describe(self, strange: Mapping[int, int], coloured: bool) -> str:
        """Say what is wrong with values that are no class, as :meth:`label` gives them."""
        listed = [f"{self.call(value, coloured)} ({count:,} pixels)" for value, count in strange.items()]
        some = ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "")
        return f"holds {some}: {self.advise(next(iter(strange)), coloured)}"

    def advise(self, value: int, coloured: bool) -> str:
        """Say what to do about a value that is no class."""
        table = f" of {self.source}" if self.source else ""
        if coloured:
            what = f"none of the {len(self.colours)} colours{table}"
            return f"{what}; add a row for it, named void if it marks unlabelled pixels"
        mend = "name it there, or if" if self.source else "if"
        return f"none of the {len(self.names)} classes{table}; {mend} it marks unlabelled pixels, pass --ignore {value}"

    @staticmethod
    def call(value: int, coloured: bool) -> str:
        """Write a value as people do."""
        if coloured:
            return f"the colour {value >> 16},{value >> 8 & 255},{value & 255}"
        return f"the value {value}"


def as_indices(pixels: Pixels, name: str) -> Pixels:
    """Take the colours of a mask, if all of them are grey, for indices; ``DataError`` if they are not."""
    if not pixels.coloured:
        return pixels
    grey = (pixels.values & 255).astype(np.uint8)
    if (pixels.values != grey * np.int32(colour_code(1, 1, 1))).any():
        raise DataError(
            f"{name}: holds colours that no class table names; list them in {_CSV[0]} next to the images, with the "
            "columns name,r,g,b"
        )
    return replace(pixels, values=grey, coloured=False)


def _look_up(values: np.ndarray, table: Mapping[int, int]) -> tuple[np.ndarray, np.ndarray]:
    codes = np.array(sorted(table), np.int64)
    ids = np.array([table[code] for code in codes.tolist()], np.uint8)
    at = np.searchsorted(codes, values).clip(max=len(codes) - 1)
    known = codes[at] == values
    return np.where(known, ids[at], np.uint8(IGNORED)), known


# === Files ===


def read_table(folder: Path, ignore: int | None) -> ClassTable | None:
    """Read the classes that are named in a folder.

    Args:
        folder: of the set.
        ignore: as for :meth:`ClassTable.of`; for colours the row, from 0.

    Returns:
        None where none are named.

    Raises:
        DataError: for what is wrong with the file.
    """
    for name in _CSV:
        if is_there(folder / name):
            return _of_rows(folder / name, _read_csv(folder / name), ignore)
    file = folder / _TXT
    if not is_there(file):
        return None
    lines = read_lines(file, LIMITS.table_bytes)
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{file}: is empty; expected the name of a class on each line, in the order of the indices")
    with_colours = [_ends_with_colour(line) for line in lines]
    if all(with_colours):
        return _of_rows(file, [(at, line.rsplit(maxsplit=3)) for at, line in enumerate(lines, 1)], ignore)
    if any(with_colours):
        line = with_colours.index(False) + 1
        raise DataError(
            f"{file}: line {line}: received {short(lines[line - 1])}; expected 'name r g b' as on the others"
        )
    names = class_names(lines, file, (f"line {line}" for line in range(1, len(lines) + 1)))
    return ClassTable.of(dict(enumerate(names)), where=file, ignore=ignore, source=file.name)


def _ends_with_colour(line: str) -> bool:
    words = line.split()
    return len(words) >= 4 and all(word.isdecimal() for word in words[-3:])


def _read_csv(file: Path) -> Iterable[tuple[int, list[str]]]:
    """Give the name, red, green and blue of each row, with its line."""
    reader = csv.reader(io.StringIO(read_bytes(file, LIMITS.table_bytes).decode("utf-8-sig", "replace"), newline=""))
    try:
        columns = [word.strip().lower() for word in next(reader, [])]
        if any(columns.count(name) != 1 for name in _COLUMNS):
            raise DataError(f"{file}: line 1: received the columns {short(columns)}; expected name, r, g and b")
        places = [columns.index(name) for name in _COLUMNS]
        for row in reader:
            if any(word.strip() for word in row):
                if len(row) <= max(places):
                    raise DataError(
                        f"{file}: line {reader.line_num}: has {len(row)} columns; expected {len(columns)}, as on line 1"
                    )
                yield reader.line_num, [row[place] for place in places]
    except csv.Error as error:
        raise DataError(f"{file}: line {reader.line_num}: is not CSV: {error}") from None


def _of_rows(file: Path, rows: Iterable[tuple[int, list[str]]], ignore: int | None) -> ClassTable:
    listed = list(rows)
    if not listed:
        raise DataError(f"{file}: names no class; expected a row for each, with name, r, g and b")
    fields = [f"line {line}" for line, _ in listed]
    codes: list[int] = []
    for place, (_, words) in zip(fields, listed, strict=True):
        colour = [number(word.strip(), file, place) for word in words[1:]]
        if not all(value in range(256) for value in colour):
            raise DataError(f"{file}: {place}: received the colour {short(words[1:])}; expected whole numbers 0 to 255")
        code = colour_code(*map(int, colour))
        if code in codes:
            raise DataError(
                f"{file}: {place}: the colour {', '.join(words[1:])} is that of {fields[codes.index(code)]}"
            )
        codes.append(code)
    names = class_names([words[0] for _, words in listed], file, fields)
    return ClassTable.of(dict(enumerate(names)), where=file, ignore=ignore, colours=codes, source=file.name)
