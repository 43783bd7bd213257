"""Which tests run a line, as coverage.py recorded it with a context for each test."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from coverage.numbits import numbits_to_nums

__all__ = ["LinesRun"]


class LinesRun:
    """The lines that each test runs.

    Args:
        path: of the data of ``pytest --cov --cov-context=test``.
        packages: the folders whose files count.
    """

    def __init__(self, path: Path, packages: Sequence[str]) -> None:
        self._packages = packages
        rows = "SELECT file.path, context.context, numbits FROM line_bits JOIN file ON file.id = file_id "
        rows += "JOIN context ON context.id = context_id"
        self._lines: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._sizes: dict[str, int] = defaultdict(int)
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as data:
            for file, context, bits in data.execute(rows):
                test = context.rpartition("|")[0]
                if test:
                    lines = numbits_to_nums(bits)
                    self._lines[self._inside(file)][test] += lines
                    self._sizes[test] += len(lines)

    def tests_of(self, file: Path, line: int) -> list[str]:
        """Return the tests that run a line, those first that run the fewest lines in all.

        Args:
            file: inside the project.
            line: its number, from 1.
        """
        found = [test for test, lines in self._lines[file.as_posix()].items() if line in lines]
        return sorted(found, key=lambda test: (self._sizes[test], test))

    def _inside(self, file: str) -> str:
        parts = Path(file).parts
        # The innermost: a checkout may lie in a folder that is called like a package.
        last = max((at for at, part in enumerate(parts[:-1]) if part in self._packages), default=0)
        return "/".join(parts[last:])
