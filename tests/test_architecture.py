"""The laws of the house: which folder may import which, and that everything public is documented."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from places import ROOT

PACKAGES = ["layers", "pipelines", "cnnapp", "ui"]
"""An import points left in this list."""

ROOMS = {
    "layers": [["core"], ["convolutional"], ["pooling"], ["normalization"], ["analysis"], ["fully_convolutional"]],
    "pipelines": [
        ["core"], ["storage"], ["intake"], ["reporting"], ["images"], ["models"], ["data"], ["artifacts"], ["export"],
        ["training"],
        ["classification", "detection", "segmentation"], ["tasks"],
    ],
    "cnnapp": [
        ["sessions"], ["results"], ["explain"], ["service"], ["prediction"], ["reports"], ["playground"], ["cli"],
    ],
    "ui": [["components"], ["topics"], ["views"]],
}  # fmt: skip
"""The folders of each package from the ground up: a folder imports from those before it, and not from one beside it."""

MOST_MODULES = 13
"""A fuller folder is split into folders with names."""

ALONE = {
    "layers/analysis/conv_matrix.py": {"scipy"},
    "layers/convolutional/locally_connected.py": {"h5py"},
    "layers/core/hdf5.py": {"h5py"},
    "layers/core/backend.py": {"tensorflow", "jax", "torch"},
}
"""What files of `layers` may import besides Keras and NumPy, inside the functions that need it."""

HEAVY = {"tensorflow", "keras", "matplotlib", "sklearn", "streamlit", "scipy", "rasterio", "ray", "pandas"}
"""What the `__init__` of a package imports neither itself nor through others; `layers` is Keras all through."""

MODULES = sorted(path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py"))


def dotted(path: Path) -> str:
    """Return the name that a file is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


NAMES = {dotted(path): path for path in MODULES}


@functools.cache
def import_nodes(path: Path, top_level: bool = False) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Return the imports of a file: all, or those that run when it is imported."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if top_level else ast.walk(tree)
    return tuple(node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)))


@functools.cache
def for_types_alone(path: Path) -> set[int]:
    """Return the lines of imports under `if TYPE_CHECKING`, which never run."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            lines |= {inner.lineno for inner in ast.walk(node) if isinstance(inner, (ast.Import, ast.ImportFrom))}
    return lines


def imported(path: Path, node: ast.Import | ast.ImportFrom) -> set[str]:
    """Return what an import names: of the project's modules, the module itself and not what is in it."""
    if isinstance(node, ast.Import):
        return {name.name for name in node.names}
    base = node.module or ""
    if node.level:
        here = dotted(path).split(".")
        parents = here if path.name == "__init__.py" else here[:-1]
        base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
    inside = {f"{base}.{name.name}" for name in node.names}
    return {name if name in NAMES else base for name in inside}


def imports(path: Path, top_level: bool = False, types: bool = True) -> set[str]:
    """Return all that a file imports, by full names."""
    typed = set() if types else for_types_alone(path)
    nodes = (node for node in import_nodes(path, top_level) if types or node.lineno not in typed)
    return {name for node in nodes for name in imported(path, node)}


def packages(path: Path, top_level: bool = False) -> set[str]:
    """Return the top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports(path, top_level)}


def room_of(name: str) -> tuple[int, str] | None:
    """Return the place of a module's folder in `ROOMS`, and the folder; None for what lies in none."""
    package, _, rest = name.partition(".")
    folder = rest.split(".")[0]
    for place, rooms in enumerate(ROOMS.get(package, [])):
        if folder in rooms:
            return place, folder
    return None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_import_points_left(path: Path):
    place = PACKAGES.index(path.relative_to(ROOT).parts[0])
    assert not packages(path) & set(PACKAGES[place + 1 :])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_imports_from_those_above_it(path: Path):
    own, package = room_of(dotted(path)), path.relative_to(ROOT).parts[0]
    if own is None:
        return
    for name in imports(path):
        other = room_of(name) if name.split(".")[0] == package else None
        assert other is None or other[1] == own[1] or other[0] < own[0], f"{dotted(path)} imports {name}"


def test_every_folder_has_its_place():
    for package, rooms in ROOMS.items():
        there = {path.name for path in (ROOT / package).iterdir() if (path / "__init__.py").exists()}
        assert there == {room for beside in rooms for room in beside}


def test_no_import_goes_in_a_circle():
    """Imports inside functions count: they hide a circle, and do not undo it."""
    graph = {
        dotted(path): {name for name in imports(path, types=False) if name in NAMES and name != dotted(path)}
        for path in MODULES
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_no_folder_holds_more_modules_than_can_be_looked_over():
    for folder in {path.parent for path in MODULES}:
        modules = [path.name for path in folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
        assert len(modules) <= MOST_MODULES, f"{folder.relative_to(ROOT)}: {len(modules)}"


@pytest.mark.parametrize("path", [path for path in MODULES if "layers" in path.relative_to(ROOT).parts[:1]], ids=str)
def test_layers_import_keras_and_numpy_alone_and_themselves_relatively(path: Path):
    allowed = {"keras", "numpy"} | set(sys.stdlib_module_names)
    assert all(isinstance(node, ast.Import) or node.level or node.module != "layers" for node in import_nodes(path))
    own = {name for node in import_nodes(path) if not getattr(node, "level", 0) for name in imported(path, node)}
    found = {name.split(".")[0] for name in own}
    assert "layers" not in found
    assert found - allowed <= ALONE.get(path.relative_to(ROOT).as_posix(), set())
    top = {name.split(".")[0] for name in imports(path, top_level=True)} - {"layers"}
    assert top <= allowed


def test_the_init_of_a_package_imports_nothing_heavy():
    names = sorted(dotted(path) for path in MODULES if path.name == "__init__.py" and "layers" not in dotted(path))
    code = (
        f"import sys, importlib; [importlib.import_module(name) for name in {names}]; "
        f"print(sorted(set(sys.modules) & {HEAVY}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


TASK_TABLES = {"pipelines/tasks/registry.py", "cnnapp/results/table.py", "ui/components/panels.py"}
TASK_NAMES = {"classification", "detection", "segmentation"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_compares_a_task_by_its_name(path: Path):
    """A task's name stands in its own folder and in the three tables; elsewhere the task is asked."""
    relative = path.relative_to(ROOT).as_posix()
    if relative in TASK_TABLES or relative.startswith(tuple(f"pipelines/{task}/" for task in TASK_NAMES)):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        inner: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            inner = [node.left, *node.comparators]
        elif isinstance(node, ast.Dict):
            inner = list(node.keys)
        elif isinstance(node, ast.Subscript):
            inner = [node.slice]
        elif isinstance(node, ast.Match):
            inner = [case.pattern.value for case in node.cases if isinstance(case.pattern, ast.MatchValue)]
        flat = [part for one in inner if one is not None for part in getattr(one, "elts", [one])]
        named = {part.value for part in flat if isinstance(part, ast.Constant)} & TASK_NAMES
        if isinstance(node, ast.Dict) and len(named) < 2:
            continue  # no table of tasks: "segmentation" is a field of COCO's as well
        assert not named, f"{relative}:{node.lineno} compares {named}"


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
        if parts[0] == "ui" or path.name == "__main__.py":
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
        if path.name not in ("app.py", "__init__.py", "__main__.py") and "__all__" not in path.read_text()
    ]
    assert not missing


def test_lists_of_public_names_are_sorted():
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                names = ast.literal_eval(node.value)
                assert len(names) == len(set(names)), path
