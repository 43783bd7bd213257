"""``--trust`` and ``cnnapp sign``, on the command line, the page's way to a model and the service's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import keras
import pytest

import cnnapp
from cnnapp.cli import console
from cnnapp.service.limits import Limits
from cnnapp.service.model import LoadedModel
from cnnapp.service.processes import admission
from cnnapp.service.server import Service
from hostile_models import disguised, write_hostile
from pipelines.artifacts.trust import policy
from pipelines.artifacts.trust.signature import MAKE_KEYS
from pipelines.core.errors import ConfigError, ModelError
from places import ROOT

DIGITS = ROOT / "saved_models" / "digits" / "1"
DIGIT = next((DIGITS / "golden").glob("*.png"))


@pytest.fixture
def run(command_line, monkeypatch: pytest.MonkeyPatch):
    """Runs a command line; what it sets for this process is undone."""
    for variable in (policy.TRUST, policy.REQUIRE_SIGNED, policy.KEY):
        monkeypatch.setenv(variable, "")
    monkeypatch.setattr(console.settings, "quiet", False)
    return command_line


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A model with the card of another, that writes a file when it is called."""
    directory = tmp_path / "models" / "digits" / "1"
    write_hostile(directory, "write", tmp_path)
    return disguised(directory, DIGITS)


COMMANDS = {
    "predict": [DIGIT],
    "evaluate": [],
    "explain": [DIGIT],
    "verify": ["--quick"],
    "export": ["--format", "litert"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_refuses_it_with_what_was_found_and_what_allows_it(command: str, run, hostile: Path, tmp_path: Path):
    status, out, err = run(command, hostile, *COMMANDS[command])
    assert (status, out) == (1, "")
    assert "is refused, it would run WriteFile (writes files) in signature 'serving_default'" in err
    assert "--trust" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "written").exists()


def test_trust_prints_what_it_runs_and_loads_it(run, hostile: Path):
    _, _, err = run("predict", hostile, DIGIT, "--trust")
    assert f"trusted: {hostile} runs what it contains:\n  WriteFile (writes files) in signature" in err
    assert os.environ[policy.TRUST] == "1"  # for the processes of a service, and the page


def test_trust_is_an_option_of_every_command_that_loads_models(run):
    for command in (*COMMANDS, "inspect", "serve", "ui"):
        assert "--trust" in run(command, "--help")[1], command
    assert "--trust" not in run("check", "--help")[1]


def test_python_refuses_and_trusts(hostile: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(policy.TRUST, raising=False)
    with pytest.raises(cnnapp.ModelError, match="trust=True in Python"):
        cnnapp.load(hostile)
    assert cnnapp.load(hostile, trust=True).card.name == "digits"
    assert "trusted: " in capsys.readouterr().err


def test_the_page_says_why_it_does_not_load_it(hostile: Path, monkeypatch: pytest.MonkeyPatch):
    from ui.components import model_picker

    said = []
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(hostile.parent.parent))
    monkeypatch.setattr(model_picker.st, "error", lambda text, icon: said.append(text))
    assert model_picker.load("digits") is None
    assert "would run WriteFile" in said[0]


def test_a_process_of_the_service_does_not_load_it(hostile: Path, tmp_path: Path):
    with pytest.raises(ModelError, match="would run WriteFile"):
        LoadedModel(hostile, Limits.parse())
    assert not (tmp_path / "written").exists()


@pytest.mark.slow
def test_the_service_refuses_it_before_it_starts_its_processes(hostile: Path):
    with admission.looked_through([DIGITS, hostile]) as refuse, pytest.raises(ModelError, match="would run WriteFile"):
        refuse()
    with admission.looked_through([DIGITS]) as refuse:
        refuse()


def test_a_keras_file_with_code_is_refused(run, tmp_path: Path):
    inputs = keras.Input((8, 8, 1))
    path = tmp_path / "lambda.keras"
    keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2, name="twice", output_shape=(8, 8, 1))(inputs)).save(path)
    status, out, err = run("inspect", path)
    assert (status, out) == (1, "")
    assert "Lambda (runs Python code kept in the file) in layer 'twice'" in err
    status, out, err = run("inspect", path, "--trust")
    assert "trusted: " in err
    assert "twice" in out


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Keys made as the help says."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    for command in MAKE_KEYS:
        subprocess.run(command.split(), cwd=tmp_path, capture_output=True, check=True)
    return tmp_path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = Path(shutil.copytree(DIGITS, tmp_path / "models" / "digits" / "1"))
    if not (directory / "manifest.json").exists():
        (directory / "manifest.json").write_text("{}")
    return directory


def test_a_model_is_signed_and_verified_on_the_command_line(run, model: Path, keys: Path):
    status, out, err = run("sign", model, "--key", keys / "private.pem")
    assert (status, err) == (0, "")
    assert out.startswith(f"{model}/model.sig: ")
    status, out, err = run("verify", model, "--quick", "--key", keys / "public.pem")
    assert (status, err) == (0, "")
    assert out.startswith(f"signed with the key that belongs to {keys}/public.pem: ")
    assert "golden examples: largest difference" in out
    (model / "assets" / "more").write_text("x")
    status, out, err = run("verify", model, "--quick", "--key", keys / "public.pem")
    assert (status, out) == (1, "")
    assert "assets/more was added after the model was signed" in err


def test_the_help_says_how_keys_are_made(run):
    said = " ".join(run("sign", "--help")[1].split())
    assert all(command in said for command in MAKE_KEYS)


def test_where_signatures_are_required_nothing_else_is_loaded(run, model: Path, keys: Path, monkeypatch):
    monkeypatch.setenv(policy.REQUIRE_SIGNED, "1")
    monkeypatch.setenv(policy.KEY, str(keys / "public.pem"))
    status, out, err = run("predict", model, DIGIT, "--trust")
    assert (status, out) == (1, "")
    assert f"{model}: is not signed" in err
    with pytest.raises(ModelError, match="is not signed"):
        Service((model,))
    assert run("sign", model, "--key", keys / "private.pem")[0] == 0
    assert run("predict", model, DIGIT)[0] == 0
    assert Service((model,)).models()
    monkeypatch.setenv(policy.KEY, "")
    with pytest.raises(ConfigError, match="CNNAPP_SIGNING_KEY"):
        Service((model,))


def test_a_renamed_model_is_no_longer_signed(run, model: Path, keys: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(model.parent.parent))
    assert run("sign", "digits", "--key", keys / "private.pem")[0] == 0
    assert run("models", "rename", "digits", "numbers")[0] == 0
    renamed = model.parent.parent / "numbers" / "1"
    assert not (renamed / "model.sig").exists()
    assert run("verify", renamed, "--quick")[0] == 0
