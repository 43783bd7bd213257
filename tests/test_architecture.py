"""The laws of the house: which folder may import which, and that everything public is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

FOLDERS = ["layers", "pipelines", "cnnapp", "ui"]
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_import_points_left(path: Path):
    place = FOLDERS.index(path.relative_to(ROOT).parts[0])
    assert not imports(path) & set(FOLDERS[place + 1 :])


def test_layers_import_keras_and_numpy_alone():
    allowed = {"keras", "numpy", "layers"} | set(sys.stdlib_module_names)
    alone = {"toeplitz.py": {"scipy"}, "locally_connected.py": {"h5py"}}  # imported by what needs them, when run
    for path in (ROOT / "layers").glob("*.py"):
        extra = imports(path) - allowed - alone.get(path.name, set())
        assert not extra or path.name == "backend.py", f"{path.name} imports {extra}"


def test_every_package_is_listed_for_installation():
    text = (ROOT / "pyproject.toml").read_text()
    for path in MODULES:
        if path.name == "__init__.py":
            package = ".".join(path.parent.relative_to(ROOT).parts)
            assert f'"{package}"' in text


def test_help_imports_neither_tensorflow_nor_keras():
    code = (
        "import sys; from typer.testing import CliRunner; from cnnapp.cli.main import app; "
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0; "
        "print([name for name in ('tensorflow', 'keras', 'streamlit', 'sklearn') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_tensorflow_is_not_imported_before_a_model_is_loaded():
    """It is imported there in a way that keeps its start-up chatter from the user."""
    code = (
        "import sys, cnnapp.cli.answers.batch_predict, cnnapp.prediction.predictor; "
        "import pipelines.segmentation.tiled_files; "
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_a_command_says_nothing_but_its_answer():
    command = [
        sys.executable,
        "-m",
        "cnnapp",
        "verify",
        "--quick",
        str(ROOT / "saved_models" / "digits" / "1"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout
    assert done.stderr == ""


def public_objects():
    """Give every public function and class of the code below the page, by its full name."""
    for path in MODULES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] == "ui":
            continue
        module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
        for name in getattr(module, "__all__", []):
            yield f"{module.__name__}.{name}", getattr(module, name)


def test_everything_public_is_documented():
    bare = [
        name
        for name, thing in public_objects()
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and not inspect.getdoc(thing)
    ]
    assert not bare


def test_every_module_says_what_is_public():
    missing = [
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if path.name not in ("app.py", "__init__.py") and "__all__" not in path.read_text()
    ]
    assert not missing


def test_lists_of_public_names_are_sorted():
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                names = ast.literal_eval(node.value)
                assert len(names) == len(set(names)), path
