"""README and docs/: their Python runs, their commands, options, files and links exist, and each page is found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pages import PAGES, anchors, blocks, command_lines, links, options, parse, scripts
from places import ROOT

IN_PROCESS = {"docs/layers.md"}
"""Pages whose blocks need no files and leave none: they run here, which saves importing TensorFlow for each."""
OF_OTHER_PROGRAMS = {"--constraint"}
"""Options of pip."""
WITHOUT_THE_PROJECT = {"docs/serving.md"}
"""Pages whose blocks need nothing of the project but a saved model, or a file that was exported from it."""

PACKAGES = ("layers", "pipelines", "cnnapp", "ui")
PYTHON = [(page, number) for page in PAGES for number in range(len(blocks(page)))]
RUN = [
    # A conversion to ONNX or LiteRT takes minutes.
    pytest.param(page, number, marks=[pytest.mark.slow] if "exports/" in blocks(page)[number] else [])
    for page, number in PYTHON
]


def test_there_is_something_to_run():
    assert {page for page, _ in PYTHON} >= {"docs/layers.md", "docs/python.md", "docs/serving.md"}
    assert len(PYTHON) >= 12
    assert sum(len(command_lines(page)) for page in PAGES) >= 60


@pytest.mark.parametrize(("page", "number"), RUN, ids=lambda value: str(value))
def test_a_block_of_python_runs(page: str, number: int, tmp_path: Path):
    """In a folder of its own with the shipped models and two images; training is cut to one epoch."""
    code = blocks(page)[number]
    if page in IN_PROCESS:
        exec(compile(code, f"{page}, block {number}", "exec"), {})
        return
    (tmp_path / "saved_models").symlink_to(ROOT / "saved_models")
    for name, model in (("seven.png", "digits"), ("scene.png", "digit-segmentation")):
        image = sorted((ROOT / "saved_models" / model / "1" / "golden").glob("*.png"))[0]
        (tmp_path / name).write_bytes(image.read_bytes())
    code = code.replace('model="convnet")', f'model="convnet", epochs=1, root="{tmp_path / "made"}")')
    if page in WITHOUT_THE_PROJECT:
        _export(code, tmp_path)
        without = "import sys\nsys.modules.update(dict.fromkeys(('layers', 'pipelines', 'cnnapp', 'ui', 'keras')))\n"
        code = f"{without}{code}\nprint(len(globals().get('present', globals().get('boxes', ()))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    if page in WITHOUT_THE_PROJECT:
        assert int(done.stdout) >= 2


def _export(code: str, folder: Path) -> None:
    """Export what a block reads."""
    for name, extension in set(re.findall(r"exports/([a-z-]+)-1[a-z0-9-]*(\.[a-z]+)", code)):
        kind = {".onnx": "onnx", ".tflite": "litert"}[extension]
        command = [sys.executable, "-m", "cnnapp", "export", name, "--format", kind]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(command, capture_output=True, cwd=folder, env=environment, check=True)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_parses(page: str):
    wrong = {line: said for line in command_lines(page) if (said := parse(line))}
    assert not wrong


def test_a_wrong_command_line_is_found():
    assert parse("cnnapp list") == parse("cnnapp evaluate --card") == parse("cnnapp export digits --format onnx") == ""
    assert "No such command" in parse("cnnapp nothing --data x")
    assert "unknown task 'nothing'" in parse("cnnapp train nothing --data x")
    assert "No such option" in parse("cnnapp export digits --nothing")
    assert "valid integer" in parse("cnnapp serve digits --port many")


@pytest.mark.parametrize("page", PAGES)
def test_every_option_it_names_exists(page: str):
    """Of the command line, or of a script beside which it stands."""
    known = options() | OF_OTHER_PROGRAMS
    for line in scripts(page):
        known |= set(re.findall(r'"(--[a-z][a-z-]*)"', (ROOT / line.split()[0]).read_text()))
    prose = "\n".join(part for part in PAGES[page].split("\n\n") if not part.startswith("    "))
    named = set(re.findall(r"`(--[a-z][a-z0-9-]*)", prose))
    assert not named - known


@pytest.mark.parametrize("page", PAGES)
def test_every_script_it_names_exists(page: str):
    for line in scripts(page):
        script, *asked = line.split()
        text = (ROOT / script).read_text()
        for option in (option for option in asked if option.startswith("--")):
            assert f'"{option}"' in text, line


@pytest.mark.parametrize("page", PAGES)
def test_every_target_and_link_exists(page: str):
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:`|^    )make ([a-z][a-z-]*)", PAGES[page], flags=re.MULTILINE)):
        assert f"\n{target}:" in makefile, target
    for link in links(page):
        path, _, anchor = link.partition("#")
        place = (ROOT / page).parent / path if path else ROOT / page
        assert place.exists(), link
        if anchor:
            assert anchor in anchors(place.resolve().relative_to(ROOT.resolve()).as_posix()), link


def test_every_page_is_in_the_tables_of_contents():
    pages = {Path(page).name for page in PAGES if page.startswith("docs/")} - {"README.md"}
    assert pages <= set(links("docs/README.md"))
    assert {f"docs/{page}" for page in pages} <= set(links("README.md"))


def test_every_module_that_the_architecture_names_exists():
    files = [path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.*")]
    named = re.findall(r"`([\w./]+\.(?:py|toml))`", PAGES["docs/architecture.md"])
    assert len(named) > 100
    tests = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")]
    assert not [name for name in named if not any(f"/{file}".endswith(f"/{name}") for file in (*files, *tests))]


def test_every_picture_is_shown():
    shown = {Path(link).name for page in PAGES for link in links(page) if link.endswith(".png")}
    assert shown == {path.name for path in (ROOT / "docs" / "pictures").glob("*.png")}


def test_percentages_have_one_form():
    """``99.64 %``, with a space."""
    tight = {page: re.findall(r".{20}\d%.{5}", text) for page, text in PAGES.items()}
    assert not {page: found for page, found in tight.items() if found}


def test_the_readme_is_short():
    assert len(PAGES["README.md"].encode()) <= 8600
