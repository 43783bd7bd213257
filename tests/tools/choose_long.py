"""Choose tests that `make test` can do without: the longest ones, every line of which other tests run.

`make test` is for every change and has to be short; `make test-all` runs everything. What the first leaves out is
listed in ``tests/helpers/long_tests.txt``. This adds to the list until the others take a given share of the time. From
the folder of the project::

    make cover FLAGS="-vv --durations=0" | tee times.txt
    python tests/tools/choose_long.py --times times.txt --coverage .coverage --share 0.5

Cases of a parametrised test go first, of which another case stays. What stays is each test that alone runs a line of
the packages, or that compares, by its name, with something independent; and the files named in ``STAY``, whose tests
start processes in which lines are not counted, or hold what the project promises. Whether faults are still caught is
for ``planted_faults.py`` to say.
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from coverage.numbits import numbits_to_nums

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "helpers"))

from long_tests import LIST, LONG

__all__ = ["choose", "lines_of", "main", "times_of"]

STAY = (
    "tests/cnnapp/service/",
    "tests/reliability/",
    "tests/test_architecture.py",
    "tests/test_docs.py",
    "tests/test_fourth_task.py",
    "tests/test_shipped.py",
    "tests/test_wheel.py",
    "tests/tools/",
    "tests/ui/test_browser",
    "tests/ui/test_explain_browser.py",
    "tests/ui/test_layers_browser.py",
    "tests/ui/test_session_end.py",
)
_TIME = re.compile(r"^\s*([\d.]+)s (setup|call|teardown)\s+(\S+?::.*?)\s*$")
# What a case of several, or the only one, has to take at least, for it to be worth leaving out.
_CASE, _ALONE = 0.4, 5.0
# That a line is run by others is not enough for what only these compare with something independent.
_COMPARED = re.compile("finite_differences|equal|same_bits|published|differ")


def times_of(report: str) -> dict[str, dict[str, float]]:
    """Return the seconds of each test by phase: setup, call, teardown.

    Args:
        report: what ``pytest -vv --durations=0`` printed.

    Example:
        >>> times_of("0.25s call     tests/test_a.py::test_b[1-x y]")
        {'tests/test_a.py::test_b[1-x y]': {'call': 0.25}}
    """
    found: dict[str, dict[str, float]] = {}
    for line in report.splitlines():
        if match := _TIME.match(line):
            found.setdefault(match[3], {})[match[2]] = float(match[1])
    return found


def lines_of(path: Path) -> dict[str, set[tuple[int, int]]]:
    """Return the lines that each test runs itself, not for its fixtures: number of the file, and of the line.

    Args:
        path: of the data of ``pytest --cov --cov-context=test``. Lines of fixtures have names of their own.
    """
    found: dict[str, set[tuple[int, int]]] = defaultdict(set)
    rows = "SELECT file_id, context.context, numbits FROM line_bits JOIN context ON context.id = context_id"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as data:
        for file, context, bits in data.execute(rows):
            test, _, phase = context.rpartition("|")
            found[test if phase == "run" else context] |= {(file, line) for line in numbits_to_nums(bits)}
    return found


def choose(
    times: dict[str, dict[str, float]], lines: dict[str, set[tuple[int, int]]], share: float
) -> Iterator[tuple[str, float]]:
    """Give the tests that can be left out, with their seconds, until the others take a share of the time.

    Args:
        times: of each test by phase.
        lines: that each test runs.
        share: of the time of all that the others may take, 0 to 1.

    Example:
        >>> times = {"t.py::a[0]": {"call": 9.0}, "t.py::a[1]": {"call": 8.0}, "t.py::b": {"call": 7.0}}
        >>> lines = {"t.py::a[0]": {(0, 1)}, "t.py::a[1]": {(0, 1), (0, 2)}, "t.py::b": {(0, 2)}}
        >>> list(choose(times, lines, 0.5))
        [('t.py::a[0]', 9.0), ('t.py::b', 7.0)]
    """
    seconds = {test: sum(phases.values()) - phases.get("setup", 0) for test, phases in times.items()}
    left = sum(sum(phases.values()) for phases in times.values())
    wanted = share * left
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for places in lines.values():
        for place in places:
            counts[place] += 1
    cases: dict[str, int] = defaultdict(int)
    for test in seconds:
        cases[test.partition("[")[0]] += 1
    gone: set[str] = set()
    for several, least in ((True, _CASE), (False, _ALONE)):
        for test in sorted(seconds, key=lambda test: (-seconds[test], test)):
            name, own = test.partition("[")[0], lines.get(test, set())
            if left <= wanted or seconds[test] < least:
                break
            last = cases[name] < 2
            if test in gone or (last and (several or _COMPARED.search(name))):
                continue
            if any(counts[place] < 2 for place in own):
                continue
            for place in own:
                counts[place] -= 1
            cases[name] -= 1
            left -= seconds[test]
            gone.add(test)
            yield test, seconds[test]


def _stays(test: str) -> bool:
    # A name with a path of this machine is another one elsewhere.
    return test.startswith(STAY) or str(Path.cwd().parent) in test


def main(arguments: Sequence[str] | None = None) -> None:
    """Add to the list, and say what."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--times", type=Path, required=True, help="what pytest -vv --durations=0 printed")
    parser.add_argument("--coverage", type=Path, required=True, help="data of --cov --cov-context=test of the same run")
    parser.add_argument("--share", type=float, default=0.5, help="of the time, which the others may take [0.5]")
    options = parser.parse_args(arguments)
    times = times_of(options.times.read_text(errors="replace"))
    lines = lines_of(options.coverage)
    for test in [test for test in times if _stays(test)]:
        # They stay: their lines count, and their time.
        lines[f"{test}|stays"] = lines.pop(test, set())
        times[test] = {"setup": sum(times[test].values())}
    found = dict(choose(times, lines, options.share))
    for test, seconds in found.items():
        print(f"{seconds:7.1f} {test}")
    print(f"{sum(found.values()):7.1f} seconds of {sum(sum(each.values()) for each in times.values()):.1f}")
    LIST.write_text("".join(f"{test}\n" for test in sorted(LONG | set(found))), encoding="utf-8")


if __name__ == "__main__":
    main()
