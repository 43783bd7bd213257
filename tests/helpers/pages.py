"""The pages of the documentation: what they show, and what they show it with."""

from __future__ import annotations

import re
import shlex
from functools import cache
from itertools import takewhile
from typing import Any

from typer.main import get_command

from cnnapp.cli.main import app
from places import ROOT

__all__ = ["PAGES", "anchors", "blocks", "command_lines", "links", "options", "parse", "scripts"]

PAGES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))}
"""Their text, by their path in the repository."""

_PROGRAM = r"(?:\$ )?(?:\.venv/bin/|python -m )?(cnnapp(?: .*)?)"


def blocks(page: str) -> list[str]:
    """Return the fenced blocks of Python on a page."""
    return re.findall(r"```python\n(.*?)```", PAGES[page], flags=re.DOTALL)


def command_lines(page: str) -> list[str]:
    """Return what a page shows of the command line: in blocks, and between backticks."""
    prose = _prose(page).replace("\\\n", " ")
    shown = [line.strip() for line in prose.splitlines() if line.startswith("    ") or line.startswith("$ ")]
    found = [match[1] for line in shown if (match := re.fullmatch(_PROGRAM, line))]
    return [*found, *re.findall(r"`(cnnapp [^`]*)`", prose.replace("\n", " "))]


def scripts(page: str) -> list[str]:
    """Return the command lines of scripts of the repository that a page shows."""
    return re.findall(r"(?:`|^    )python ((?:docs|benchmarks|tests)/[^`\n#]*)", PAGES[page], flags=re.MULTILINE)


def links(page: str) -> list[str]:
    """Return where a page points to inside the repository, pictures included."""
    return [link for link in re.findall(r"\]\(([^)]+)\)", _prose(page)) if "://" not in link]


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", PAGES[page], flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def parse(line: str) -> str:
    """Return what is wrong with a command line, as the command line itself says it; "" if nothing is.

    Nothing is run. Arguments may be missing where a page speaks of a command or an option, without an example of it.
    """
    command: Any = _root()
    words = takewhile(lambda word: word not in (">", "|", "&&"), shlex.split(line, comments=True))
    context, rest = None, [word for word in words if word != "..."]
    try:
        while True:
            context = command.make_context(rest[0], rest[1:], parent=context)
            rest = [*getattr(context, "_protected_args", []), *context.args]
            if not hasattr(command, "resolve_command") or not rest:
                return ""
            _, command, tail = command.resolve_command(context, rest)
            rest = [rest[0], *tail]
    except Exception as error:
        return "" if type(error).__name__ in ("Exit", "MissingParameter", "NoArgsIsHelpError") else str(error)


def _prose(page: str) -> str:
    return re.sub(r"```python\n.*?```", "", PAGES[page], flags=re.DOTALL)


@cache
def options() -> frozenset[str]:
    """Return the long options of all commands."""
    found = {"--help"}
    waiting: list[tuple[Any, Any]] = [(_root(), None)]
    while waiting:
        command, parent = waiting.pop()
        context = command.context_class(command, parent=parent, info_name=command.name)
        if hasattr(command, "list_commands"):  # some groups make their commands when they are asked for
            waiting += [(command.get_command(context, name), context) for name in command.list_commands(context)]
        for parameter in command.params:
            found |= {name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--")}
    return frozenset(found)


@cache
def _root() -> Any:
    return get_command(app)
