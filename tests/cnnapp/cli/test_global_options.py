"""Options before the command and behind it: how much is said, and on which device is computed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cnnapp.cli import console
from pipelines.core import device_choice
from pipelines.core.progress import Reporter
from places import ROOT

DIGIT = next((ROOT / "saved_models" / "digits" / "1" / "golden").glob("*.png"))


@pytest.fixture
def run(command_line, monkeypatch: pytest.MonkeyPatch):
    """Runs a command line on the shipped models; what it sets for this process is undone."""
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(ROOT / "saved_models"))
    monkeypatch.setenv(device_choice.VARIABLE, "auto")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setattr(Reporter, "quiet_by_default", False)
    monkeypatch.setattr(console.settings, "quiet", False)
    monkeypatch.setattr(console.settings, "verbose", False)
    return command_line


def test_the_version_is_that_of_the_package(run):
    status, out, _ = run("--version")
    assert status == 0
    assert out.startswith(f"cnnapp {version('cnnapp')} (TensorFlow {version('tensorflow')}")


@pytest.mark.parametrize("place", ["before", "behind"])
def test_quiet_reaches_the_reporters_and_leaves_the_result(place: str, run, tmp_path: Path):
    words = ["predict", "digits", DIGIT, "--csv", "out.csv"]
    status, out, err = run(*(["-q", *words] if place == "before" else [*words, "--quiet"]))
    assert (status, out, err) == (0, "out.csv\n", "")
    assert Reporter().quiet
    status, out, _ = run("predict", "digits", DIGIT)
    assert (status, "%" in out) == (0, True)
    assert not Reporter().quiet  # nothing is left of it for the next command


def test_without_a_file_the_prediction_is_the_result(run):
    status, out, _ = run("predict", "digits", DIGIT, "-q")
    assert (status, "%" in out) == (0, True)


def test_quiet_says_what_is_wrong(run, tmp_path: Path):
    status, out, err = run("-q", "predict", "digits", "nowhere.png", "--json", "a.json")
    assert (status, out) == (1, "a.json\n")
    assert "nowhere.png: there is no such file" in err
    assert run("verify", "digits", "--quick", "-q") == (0, "", "")


def test_evaluate_gives_its_report_alone(run):
    assert run("evaluate", "digits", "-q") == (0, "reports/digits-1/report.html\n", "")


@pytest.mark.parametrize("words", [["-v", "predict", "none", "a.png"], ["predict", "none", "a.png", "--verbose"]])
def test_verbose_shows_where_an_error_came_from(words: list[str], run):
    (Path("a.png")).write_bytes(DIGIT.read_bytes())
    status, _, err = run(*words)
    assert (status, "Traceback" in err, "unknown saved model" in err) == (1, True, True)
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert "Traceback" not in run("predict", "none", "a.png")[2]


@pytest.mark.parametrize("words", [["--device", "tpu", "list"], ["predict", "digits", str(DIGIT), "--device", "gpu:x"]])
def test_a_device_that_is_none_is_refused_at_once(words: list[str], run):
    status, _, err = run(*words)
    assert (status, "expected auto, cpu, gpu" in err) == (2, True)


@pytest.mark.parametrize("words", ["--device CPU predict", "predict --device cpu", "--device gpu predict --device cpu"])
def test_the_device_goes_to_whoever_imports_tensorflow(words: str, run):
    assert run(*words.split(), "none", DIGIT)[0] == 1  # before anything is loaded
    assert os.environ[device_choice.VARIABLE] == "cpu"


@pytest.mark.parametrize("words", ["train classification --data digits --name x", "serve digits"])
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_computed(words: str):
    """In a process of its own, in which nothing has used a device yet."""
    command = [sys.executable, "-m", "cnnapp", *words.split(), "--device", "gpu:1"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "received 'gpu:1'; this machine has cpu" in done.stderr
