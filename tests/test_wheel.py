"""What ``pip install cnnapp-*.whl`` gives: complete models, and commands that work in an empty folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.version import Version

from places import ROOT

PACKAGES = ("layers", "pipelines", "cnnapp", "ui")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SHIPPED = PROJECT["tool"]["cnnapp"]["shipped-models"]


def tracked(*paths: str) -> list[str]:
    """Return the files that git has, or has not been told to ignore; skip where there is no repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode or not done.stdout:
        pytest.skip("this is no checkout of git")
    return [path for path in done.stdout.splitlines() if (ROOT / path).is_file()]


def test_the_models_that_ship_are_those_of_the_repository():
    assert {"/".join(path.split("/")[1:3]) for path in tracked("saved_models")} == set(SHIPPED)


def test_the_files_of_a_shipped_model_are_those_of_its_manifest():
    """What is not in it would not get into the wheel."""
    for model in SHIPPED:
        listed = json.loads((ROOT / "saved_models" / model / "manifest.json").read_text())["files"]
        found = {path.removeprefix(f"saved_models/{model}/") for path in tracked(f"saved_models/{model}")}
        assert found == {*listed, "manifest.json"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of a copy of the checkout in which something else was trained, too."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in tracked():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, copy / path)
    trained = copy / "saved_models" / "digits" / "2"
    trained.mkdir()
    (trained / "model_card.json").write_text("{}")
    (copy / "saved_models" / "digits" / "1" / "stray.txt").write_text("")
    command = [sys.executable, "-m", "pip", "wheel", str(copy), "--no-deps", "--wheel-dir", str(out)]
    if Version(metadata.version("setuptools")) >= Version("77"):
        command.append("--no-build-isolation")  # nothing has to be fetched
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel is installed in; what it depends on is that of this environment."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    subprocess.run(command, capture_output=True, check=True)
    return folder


@pytest.fixture
def run(site: Path, tmp_path: Path):
    """Runs Python in an empty folder, with the installed packages and without the checkout."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        dropped = ("CNNAPP_SAVED_MODELS", "CNNAPP_RUNS")
        environment = {name: value for name, value in os.environ.items() if name not in dropped}
        environment |= {"PYTHONPATH": str(site), "COLUMNS": "300", **variables}
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.mark.slow
def test_models_are_complete_and_what_was_trained_beside_them_is_not_there(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        content = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    prefix = "cnnapp/saved_models/"
    found = {name.removeprefix(prefix): data for name, data in content.items() if name.startswith(prefix)}
    expected = {path.removeprefix("saved_models/") for path in tracked("saved_models")}
    assert set(found) == expected
    for model in SHIPPED:
        for name, entry in json.loads(found[f"{model}/manifest.json"])["files"].items():
            assert hashlib.sha256(found[f"{model}/{name}"]).hexdigest() == entry["sha256"]


@pytest.mark.slow
def test_the_packages_are_complete_and_nothing_else_is_there(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = f"cnnapp-{PROJECT['project']['version']}.dist-info"
    assert {name.split("/")[0] for name in names} == {*PACKAGES, info}
    sources = {path for path in tracked(*PACKAGES) if path.endswith(".py")}
    assert {name for name in names if name.endswith(".py")} == sources
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert "ui/.streamlit/config.toml" in names


@pytest.mark.slow
def test_models_are_found_by_name_in_an_empty_folder(run, site: Path, tmp_path: Path):
    models = site / "cnnapp" / "saved_models"
    image = models / "digits" / "1" / "golden" / "input-3.png"
    answer = run("-m", "cnnapp", "predict", "digits", str(image)).stdout
    assert f"{image}: 3 (100.0 %)" in answer
    listed = run("-m", "cnnapp", "list").stdout
    assert str(models) in listed
    assert "digits-lenet5/1" in listed
    assert "usage" in run("-m", "cnnapp", "--help").stdout.lower()
    assert "golden examples" in run("-m", "cnnapp", "verify", "digit-segmentation", "--quick").stdout
    assert not list(tmp_path.iterdir())  # nothing was written


@pytest.mark.slow
def test_every_way_in_finds_the_installed_packages(run, site: Path):
    """Among them the page and the service, in processes of their own."""
    said = run("-m", "cnnapp", "verify", "digits").stdout
    assert said.count("largest difference") == 5, said


@pytest.mark.slow
def test_the_demo_writes_to_the_empty_folder(run, site: Path, tmp_path: Path):
    before = sorted(path for path in site.rglob("*") if "__pycache__" not in path.parts)
    said = run("-m", "cnnapp", "demo", "--epochs", "1").stdout
    assert "test accuracy" in said
    assert (tmp_path / "saved_models" / "digits" / "1" / "saved_model.pb").is_file()
    assert (tmp_path / "reports" / "demo" / "report.html").is_file()
    assert "digits/1 (hidden by the one above)" in run("-m", "cnnapp", "list").stdout
    assert sorted(path for path in site.rglob("*") if "__pycache__" not in path.parts) == before


PAGE = """
import sys
from pathlib import Path
from importlib.util import find_spec
from streamlit.testing.v1 import AppTest
app = Path(find_spec("ui").origin).parent / "app.py"
page = AppTest.from_file(str(app), default_timeout=300).run()
assert not page.exception and not page.error, (page.exception, page.error)
print(app)
print(page.selectbox[0].options)
import cnnapp
print(cnnapp.__file__)
"""

THEME = """
import sys
from importlib.util import find_spec
from pathlib import Path
from streamlit import config
config._main_script_path = str(Path(find_spec("ui").origin).parent / "app.py")
print(config.get_option("theme.light.primaryColor"))
"""


@pytest.mark.slow
def test_the_page_offers_the_installed_models_in_its_own_colours(run, site: Path):
    app, options, module = run("-c", PAGE).stdout.splitlines()
    assert Path(app) == site / "ui" / "app.py"
    assert Path(module) == site / "cnnapp" / "__init__.py"
    assert "digits/1" in options
    assert "digit-scenes/1" in options
    colour = run("-c", THEME).stdout.strip()
    assert f'primaryColor = "{colour}"' in (ROOT / "ui" / ".streamlit" / "config.toml").read_text()
