"""What is missing is named, with a command that is true for every way of installation."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from pipelines.core import extras
from pipelines.core.errors import ConfigError
from places import ROOT

REQUIRES = [
    "numpy>=2.0",
    'matplotlib>=3.9; extra == "train"',
    'tensorboard>=2.19; extra == "train"',
    'scikit-learn>=1.5; extra == "train"',
    'ray[serve]<2.61,>=2.60; extra == "ray"',
    'cnnapp[train,ray]; extra == "all"',
    'strange>=1; python_version < "3.0" and extra == "train"',
]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch):
    """An installation with these requirements."""
    monkeypatch.setattr(extras.metadata, "requires", lambda name: REQUIRES)
    extras._brought_by.cache_clear()
    yield
    extras._brought_by.cache_clear()


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def test_what_is_there_is_not_asked_for():
    extras.need("training", "train")
    assert extras.has("train")


def test_all_that_is_missing_is_named_once_with_its_command(monkeypatch: pytest.MonkeyPatch):
    without(monkeypatch, "sklearn", "tensorboard")
    assert not extras.has("train")
    with pytest.raises(ConfigError) as caught:
        extras.need("training", "train")
    assert str(caught.value) == (
        "training needs scikit-learn and tensorboard, of cnnapp's extra 'train', and they are not installed; install "
        "them with: pip install 'scikit-learn>=1.5' 'tensorboard>=2.19'"
    )


def test_only_the_packages_that_are_named_are_asked_for(monkeypatch: pytest.MonkeyPatch):
    without(monkeypatch, "sklearn")
    extras.need("a picture", "train", "matplotlib")
    with pytest.raises(
        ConfigError, match=r"digits needs scikit-learn, .* it is not installed; .* 'scikit-learn>=1.5'$"
    ):
        extras.need("digits", "train", "scikit-learn")


def test_an_extra_of_an_extra_is_its_own(monkeypatch: pytest.MonkeyPatch):
    assert extras.install_command("ray") == "pip install 'ray[serve]<2.61,>=2.60'"
    command = extras.install_command("all")
    assert command.startswith("pip install 'matplotlib>=3.9' 'ray[serve]<2.61,>=2.60' 'scikit-learn>=1.5'")
    assert "cnnapp" not in command  # the index knows another package of that name, or none
    assert "strange" not in command


def test_without_metadata_what_is_named_is_still_asked_for(monkeypatch: pytest.MonkeyPatch):
    def none(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extras.metadata, "requires", none)
    without(monkeypatch, "rasterio")
    extras.need("training", "train")  # nothing is known of it
    with pytest.raises(ConfigError, match=r"pip install 'rasterio'$"):
        extras.need("the image", "geo", "rasterio")


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]  # type: ignore[no-any-return]


def test_every_extra_that_the_code_asks_for_is_there_with_its_packages():
    """By the text of the calls, so that a name with a slip of the pen is not first found by a user."""
    known = {
        extra: {Requirement(each).name.lower() for each in lines}
        for extra, lines in project()["optional-dependencies"].items()  # type: ignore[attr-defined]
    }
    places = {"need": 1, "has": 0, "install_command": 0}
    asked = 0
    for folder in ("pipelines", "cnnapp", "ui"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                if getattr(node.func.value, "id", "") != "extras":
                    continue
                extra, *packages = (ast.literal_eval(each) for each in node.args[places[node.func.attr] :])
                assert set(packages) <= known[extra], f"{path}: {extra} {packages}"
                asked += 1
    assert asked > 15


def test_no_hint_names_a_package_of_ours():
    for folder in ("layers", "pipelines", "cnnapp", "ui"):
        for path in (ROOT / folder).rglob("*.py"):
            assert "install 'cnnapp[" not in path.read_text(), path


BLOCKED = sorted(
    {
        *("sklearn", "matplotlib", "tensorflow_datasets", "tensorflow_serving", "tensorboard", "scipy", "rasterio"),
        *("streamlit", "ray", "onnx", "onnxruntime", "tf2onnx", "orjson", "prometheus_client", "starlette"),
        *("uvicorn", "importlib_resources", "pandas", "pyarrow", "filelock"),
    }
)
"""What the extras bring, and what comes with that."""

COMMANDS: dict[str, tuple[str, ...]] = {
    "help": ("--help",),
    "list": ("list",),
    "verify": ("verify", "digits", "--quick"),
    "inspect": ("inspect", "digits"),
    "explain": ("explain", "digits", "{digits}"),
    "predict digits": ("predict", "digits", "{digits}", "--json", "digits.json", "--draw", "drawn"),
    "predict digit-scenes": ("predict", "digit-scenes", "{digit-scenes}", "--json", "digit-scenes.json"),
    "predict digit-segmentation": (
        *("predict", "digit-segmentation", "{digit-segmentation}"),
        *("--json", "digit-segmentation.json", "--draw", "drawn"),
    ),
    "train": ("train", "classification", "--data", "digits", "--name", "x"),
    "evaluate": ("evaluate", "digits"),
    "demo": ("demo",),
    "check": ("check", "digits"),
    "ui": ("ui",),
    "serve": ("serve", "digits"),
    "export": ("export", "digits", "--format", "onnx"),
    "inspect --draw": ("inspect", "digits", "--draw", "x.png"),
    "explain --draw": ("explain", "digits", "{digits}", "--draw", "x"),
    "predict --tile": ("predict", "digit-segmentation", "{digit-segmentation}", "--tile", "64"),
}
"""Command lines, where a name in braces is an image of that model."""

RUN = """
import contextlib, io, json, sys
blocked, requires, commands = json.loads(sys.argv[1])
for name in blocked:
    sys.modules[name] = None  # an import of it fails
from pipelines.core import extras
extras.metadata.requires = lambda name: requires
from cnnapp.cli import console
from cnnapp.cli.main import main
found = {}
for name, command in commands.items():
    sys.argv = ["cnnapp", *command]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        except BaseException as error:
            status = repr(error)
    found[name] = [status, err.getvalue()]
print(json.dumps(found))
"""


def declared() -> list[str]:
    """Return what a fresh installation of this checkout would say that it requires."""
    extra = project()["optional-dependencies"]
    lines = [f'{each}; extra == "{name}"' for name, each_of in extra.items() for each in each_of]  # type: ignore[attr-defined]
    return [*project()["dependencies"], *lines]  # type: ignore[misc]


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory):
    """What the commands say in an installation without extras: by name the exit status and standard error."""
    images = {path.name: path / "1" / "golden" / "input-0.png" for path in (ROOT / "saved_models").iterdir()}
    images = {name: str(path) for name, path in images.items() if path.is_file()}
    commands = {name: [each.format(**images) for each in command] for name, command in COMMANDS.items()}
    folder = tmp_path_factory.mktemp("slim")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    environment.pop("CNNAPP_SAVED_MODELS", None)
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([BLOCKED, declared(), commands])],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("extra", ["train", "ui", "ray", "onnx", "geo", "all"])
def test_where_all_is_installed_nothing_is_missing(extra: str, monkeypatch: pytest.MonkeyPatch):
    """Each package is looked for by the name that it is imported by."""
    monkeypatch.setattr(extras.metadata, "requires", lambda name: declared())
    extras.need("this", extra)
    assert extras.install_command(extra).count("'") >= 2


def test_the_blocked_modules_are_those_of_the_extras():
    extra = project()["optional-dependencies"]
    names = {Requirement(each).name for key in ("train", "ui", "ray", "onnx", "geo") for each in extra[key]}  # type: ignore[index]
    assert {extras._MODULES.get(name, name.replace("-", "_")) for name in names} <= set(BLOCKED)


@pytest.mark.parametrize("model", ["digits", "digit-scenes", "digit-segmentation"])
def test_predicting_needs_no_extra(slim, model: str):
    folder, found = slim
    assert found[f"predict {model}"] == [0, ""]
    assert len(json.loads((folder / f"{model}.json").read_text())["answers"]) == 1


@pytest.mark.parametrize("name", ["help", "list", "verify", "inspect", "explain"])
def test_looking_at_models_needs_no_extra(slim, name: str):
    status, err = slim[1][name]
    assert status == 0, err


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("train", "scikit-learn"),
        ("evaluate", "matplotlib"),
        ("demo", "scikit-learn"),
        ("check", "scikit-learn"),
        ("ui", "streamlit"),
        ("serve", "ray[serve]"),
        ("export", "tf2onnx"),
        ("inspect --draw", "matplotlib"),
        ("explain --draw", "matplotlib"),
        ("predict --tile", "rasterio"),
    ],
)
def test_a_command_that_needs_an_extra_says_what_to_install(slim, name: str, package: str):
    status, err = slim[1][name]
    assert status == 2, err
    assert f"'{package}" in err.split("pip install")[1]
