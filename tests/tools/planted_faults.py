"""Plant faults of a single line into a copy of the project, one at a time, and say which of them the tests catch.

How good a suite of tests is shows in what it catches, not in how long it runs: whoever makes it faster plants the same
faults before and after, and has to catch no fewer. From the folder of the project::

    make cover                                          # which test runs which line, once
    python tests/tools/planted_faults.py --coverage .coverage --json faults.json

A fault is caught where a test fails that passes without it. Those tests run first that are nearest to the line: with
``--coverage`` the ones that run it, the smallest first; without it the files that are named like the module, then
those that import it, and then those of its folder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from faults import FAULTS, Fault
from lines_run import LinesRun

__all__ = ["Outcome", "main", "place_of"]

PACKAGES = ("layers", "pipelines", "cnnapp", "ui")
SUITES = {"test": ["-m", "not slow"], "all": []}
_PROFILES = {"test": "ci", "all": "full"}
_LEFT_OUT = shutil.ignore_patterns(
    ".venv", ".git", ".*_cache", ".hypothesis", ".coverage*", "__pycache__", "*.egg-info"
)
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py(?:::.*?)?)(?: - .*)?$", re.MULTILINE)
_NO_TESTS, _USAGE = 5, 4
_PATIENCE = 10
_FILES, _NEAREST = 12, 2


@dataclass
class Outcome:
    """What became of a fault.

    Args:
        name: of the fault.
        outcome: "caught", "not caught", "time is up", "no test", or "not planted".
        place: file and line.
        test: the one that caught it, or why nothing could be said.
        seconds: how long it took.
    """

    name: str
    outcome: str
    place: str = ""
    test: str = ""
    seconds: float = 0.0


def place_of(fault: Fault, tree: Path) -> tuple[Path, int, str, str]:
    """Return where a fault is planted.

    Args:
        fault: to be planted.
        tree: a folder of the project.

    Returns:
        The file, the number of the line, the text that is replaced, and by what.

    Raises:
        ValueError: if no form of the line stands exactly once in the packages.
    """
    sources = {path: path.read_text() for package in PACKAGES for path in sorted((tree / package).rglob("*.py"))}
    for text, planted in ((fault.text, fault.planted), *fault.otherwise):
        found = [(path, source) for path, source in sources.items() if text in source]
        if len(found) == 1 and found[0][1].count(text) == 1:
            path, source = found[0]
            return path, source[: source.index(text)].count("\n") + 1, text, planted
    raise ValueError(f"{fault.name}: no line of the packages, or more than one, contains {fault.text!r}")


class Planter:
    """Runs tests over a copy of the project that has a fault.

    Args:
        tree: the project.
        copy: where its copy is made; real data beside the project is linked beside it.
        options: of the command line.
    """

    def __init__(self, tree: Path, copy: Path, options: argparse.Namespace) -> None:
        self._copy, self._options = copy, options
        like = [] if options.like is None else json.loads(options.like.read_text())
        self._like = {one["name"]: one["test"] for one in like if one["outcome"] == "caught"}
        self._lines = None if options.coverage is None else LinesRun(options.coverage, PACKAGES)
        shutil.copytree(tree, copy, ignore=_LEFT_OUT, symlinks=True)
        listed = copy / "tests" / "helpers" / "long_tests.txt"
        short = options.suite == "test" and listed.is_file()
        self._left_out = frozenset(listed.read_text().splitlines() if short else ())
        if (tree.parent / "shared").is_dir():
            (copy.parent / "shared").symlink_to(tree.parent / "shared")

    def plant(self, fault: Fault) -> Outcome:
        """Plant a fault, run the tests that it may fail, and take it out again."""
        started = time.monotonic()
        try:
            path, line, text, planted = place_of(fault, self._copy)
        except ValueError as error:
            return Outcome(fault.name, "not planted", test=str(error))
        inside = path.relative_to(self._copy)
        tests = [*self._tests_like(fault), *self._tests(inside, line)]
        source = path.read_text()
        path.write_text(source.replace(text, planted))
        try:
            outcome, test = self._run(tests)
            if outcome == "not caught":
                # A graph is traced once: of all tests that use it, only the first is known to run its lines.
                outcome, test = self._run(self._files_near(inside)[:_NEAREST])
        finally:
            path.write_text(source)
        return Outcome(fault.name, outcome, f"{inside}:{line}", test, round(time.monotonic() - started, 1))

    def failing(self, tests: Sequence[str]) -> set[str]:
        """Return those of some tests that fail without any fault, and so prove nothing."""
        found: set[str] = set()
        for test in dict.fromkeys(tests):
            done = self._pytest([test], 10 * self._options.limit, stop=True)
            found |= {test} if done is None or done[0] else set()
        return found

    def _tests(self, inside: Path, line: int) -> list[str]:
        folder = Path("tests", *inside.parts[:-1])
        named = folder / f"test_{inside.name}"
        covering = [] if self._lines is None else self._lines.tests_of(inside, line)
        covering = [test for test in covering if test not in self._left_out]
        near = [test for test in covering if test.startswith(f"{named}::")]
        beside = [test for test in covering if test.startswith(f"{folder}/") and test not in near]
        others = [test for test in covering if test not in near and test not in beside]
        chosen = [test for test in (near + beside + others) if (self._copy / test.split("::")[0]).is_file()]
        return chosen[: self._options.most] or self._files_near(inside)

    def _files_near(self, inside: Path) -> list[str]:
        """Return files of tests by what they are called and what they import, and then those of the folder."""
        package, name = ".".join(inside.parts[:-1]), inside.stem
        pattern = rf"\b{package}\.{name}\b|from {package} import [^#\n]*\b{name}\b"
        folder = Path("tests", *inside.parts[:-1])
        found = {path.relative_to(self._copy): path.read_text() for path in (self._copy / "tests").rglob("test_*.py")}

        def far(file: Path) -> int:
            if file.stem == f"test_{name}" and folder in file.parents:
                return 0
            if re.search(pattern, found[file]):
                return 1
            return 2 + next((up for up, above in enumerate((folder, *folder.parents)) if above in file.parents), 9)

        near = sorted(found, key=lambda file: (far(file), "browser" in file.stem, len(found[file])))
        return [str(file) for file in near if "tools" not in file.parts][:_FILES]

    def _tests_like(self, fault: Fault) -> list[str]:
        """Return the tests of the name of the one that caught a fault in another version."""
        name = self._like.get(fault.name, "").partition("::")[2].partition("[")[0]
        if not name:
            return []
        files = sorted((self._copy / "tests").rglob("test_*.py"))
        found = [file for file in files if re.search(rf"^def {name}\(", file.read_text(), re.MULTILINE)]
        return [f"{file.relative_to(self._copy)}::{name}" for file in found]

    def _run(self, tests: Sequence[str]) -> tuple[str, str]:
        done = self._pytest(tests, self._options.limit, stop=True)
        if done is None:
            return "time is up", f"{self._options.limit:g} seconds"
        status, output = done
        if status in (0, _NO_TESTS):
            return ("not caught", f"{len(tests)} tests and files") if status == 0 else ("no test", "")
        found = _FAILED.search(output)
        if status == _USAGE or found is None:
            return "not planted", f"pytest ended with {status}: {output.strip().splitlines()[-1:]}"
        return "caught", found[1]

    def _pytest(self, tests: Sequence[str], seconds: float, stop: bool) -> tuple[int, str] | None:
        listed = self._copy.parent / "tests.txt"
        listed.write_text("\n".join(tests))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "console_output_style=classic"]
        command += [*SUITES[self._options.suite], *(["-x"] if stop else []), f"@{listed}"]
        environment = os.environ | {
            "PYTHONPATH": str(self._copy),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CNNAPP_TEST_PROFILE": _PROFILES[self._options.suite],
            "COLUMNS": "500",
        }
        process = subprocess.Popen(
            command, cwd=self._copy, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (round(seconds),) * 2),
        )  # fmt: skip
        try:
            # Time of the processor, which does not depend on what else runs; this is for what waits for ever.
            output, _ = process.communicate(timeout=_PATIENCE * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None
        return None if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL) else (process.returncode, output)


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant the faults and print the table; the exit status is 1 where one was not caught."""
    options = _options(arguments)
    tree = options.tree.resolve()
    chosen = [fault for fault in FAULTS if not options.only or fault.name in options.only]
    if options.list:
        for fault in chosen:
            try:
                path, line, _, _ = place_of(fault, tree)
                print(f"{fault.name:36} {path.relative_to(tree)}:{line}\n{'':36} {fault.breaks}")
            except ValueError as error:
                print(error)
        return 0
    before = json.loads(options.json.read_text()) if options.json and options.json.exists() else []
    outcomes = [Outcome(**one) for one in before if one["name"] not in (options.only or ())]
    done = {one.name for one in outcomes}
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        planter = Planter(tree, Path(folder) / "copy", options)
        for fault in chosen:
            if fault.name in done:
                continue
            outcomes.append(planter.plant(fault))
            print(_row(outcomes[-1]), flush=True)
            _write(options.json, outcomes)
        caught = [one.test for one in outcomes if one.outcome == "caught"]
        failing = planter.failing(caught) if caught else set()
    for one in outcomes:
        if one.test in failing:
            one.outcome = "not caught"
            one.test += " (fails without the fault too)"
    _write(options.json, outcomes)
    print("\n".join(["", *map(_row, outcomes)]))
    count = sum(one.outcome == "caught" for one in outcomes)
    print(f"{count} of {len(outcomes)} caught")
    return int(count < len(outcomes))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Plant faults of a single line, and say which of them the tests catch."
    )
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("--tree", type=Path, default=here, help="the project; it is copied, and stays as it is")
    parser.add_argument("--list", action="store_true", help="say where the faults go, and what they break; plant none")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="plant these alone, again where they were before")
    parser.add_argument("--suite", choices=SUITES, default="test", help="the tests of `make test`, or of test-all")
    parser.add_argument("--coverage", type=Path, metavar="FILE", help="of `make cover`: which test runs which line")
    parser.add_argument("--like", type=Path, metavar="JSON", help="of another version: what caught a fault runs first")
    parser.add_argument("--most", type=int, default=150, help="run at most so many tests that run the line")
    parser.add_argument("--limit", type=float, default=120, help="seconds of the processor for the tests of one fault")
    parser.add_argument("--json", type=Path, help="where outcomes are written as they come; what is there is kept")
    return parser.parse_args(arguments)


def _row(one: Outcome) -> str:
    return f"{one.outcome:12} {one.name:36} {one.seconds:6.1f} s  {one.place}  {one.test}"


def _write(path: Path | None, outcomes: Iterable[Outcome]) -> None:
    if path is not None:
        path.write_text(json.dumps([asdict(one) for one in outcomes], indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
