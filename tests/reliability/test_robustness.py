"""Files that were made to be hard to read, through command line, service and page: each is answered or refused.

A sample of them always; all of them with `slow`, in processes of their own, whose time and memory are measured.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from streamlit.testing.v1 import AppTest

from places import ROOT
from services import running_service

MODEL = ROOT / "saved_models" / "digits" / "1"
APP = str(ROOT / "ui" / "app.py")
SECONDS = 600
"""Of computing, for all files by one of the ways."""
MEMORY = 3 * 2**30
"""Bytes of a process, TensorFlow's own gigabyte included."""


@pytest.fixture(scope="module")
def files(shared_data: Path) -> list[Path]:
    folder = shared_data / "robustness"
    if not folder.is_dir():
        pytest.skip("the files that are hard to read are not beside this checkout")
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def sample(files: list[Path]) -> list[Path]:
    """Every fortieth, and those that once took long, much memory, or were read otherwise than shown."""
    known = ("bomb", "dos", "timeout", "transparency", "dispose", "oom", "16bit")
    return sorted({*files[::40], *(path for path in files if any(word in path.name for word in known))})


def said_of(path: Path, files: list[Path]) -> tuple[int, int]:
    """Return how many files were answered and how many refused, each with a reason in a line."""
    found = json.loads(path.read_text())
    answered, failures = found["answers"], found["failed"]
    assert len(answered) + len(failures) == len(files)
    for one in failures:
        assert one["error"].strip()
        assert "\n" not in one["error"]
        assert "Traceback" not in one["error"]
    return len(answered), len(failures)


# === A sample, in this process ===


def test_the_command_line_answers_or_refuses_each_of_a_sample(command_line, sample: list[Path], tmp_path: Path):
    status, _, err = command_line("predict", MODEL, *sample, "--json", tmp_path / "found.json")
    answered, failed = said_of(tmp_path / "found.json", sample)
    assert answered > failed > 0
    assert status == 1
    assert "Traceback" not in err


def test_a_service_answers_or_refuses_each_of_a_sample(sample: list[Path]):
    from cnnapp.service.limits import Limits
    from cnnapp.service.model import LoadedModel
    from cnnapp.service.protocol import Refusal

    model = LoadedModel(MODEL, Limits())
    statuses = set()
    for path in sample:
        body = json.dumps({"instances": [{"b64": base64.b64encode(path.read_bytes()).decode()}]}).encode()
        try:
            (found,) = model.answer([model.read(body)])
        except Refusal as refusal:
            found = refusal
        if isinstance(found, Refusal):
            assert "\n" not in str(found)
            statuses.add(found.status)
    assert statuses == {400}


def test_the_page_shows_or_refuses_each_of_a_sample(sample: list[Path]):
    assert ask_page(sample[::3]) == []


def ask_page(files: list[Path]) -> list[str]:
    """Upload files to the page, as they are and in a zip; return what it raised."""
    page = AppTest.from_file(APP, default_timeout=600)
    page.query_params["model"] = str(MODEL)
    page.run()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, path in enumerate(files):
            archive.write(path, f"{number}-{path.name}.png")
    # A browser offers only names that end as images do; what is in them is another matter.
    given = [(f"{path.name}.png", path.read_bytes(), "image/png") for path in files if path.stat().st_size]
    page.file_uploader[0].set_value([*given, ("all.zip", buffer.getvalue(), "application/zip")]).run()
    assert len(page.session_state["answers"]) > 0
    return [str(error.value) for error in page.exception]


# === All of them, in processes of their own ===


def run(*command: object) -> tuple[int, str, float, int]:
    """Run a command line; return its status, what it printed, the seconds it computed and the most memory it took."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cnnapp", *map(str, command)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, said, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "options"),
    [("digits", ()), ("digit-segmentation", ()), ("digit-segmentation", ("--tile", 256)), ("digit-scenes", ())],
    ids=str,
)
def test_the_command_line_answers_or_refuses_every_file(
    model: str, options: tuple[object, ...], files: list[Path], tmp_path: Path
):
    path = ROOT / "saved_models" / model / "1"
    status, said, seconds, memory = run("predict", path, *files, *options, "--json", tmp_path / "found.json")
    assert status == 1
    assert "Traceback" not in said
    answered, failed = said_of(tmp_path / "found.json", files)
    assert answered > 600
    assert failed > 100
    assert seconds < SECONDS
    assert memory < MEMORY


@pytest.mark.slow
def test_check_names_every_file_that_cannot_be_read(files: list[Path], tmp_path: Path):
    for number, path in enumerate(files):
        folder = tmp_path / "set" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / f"{number}-{path.stem}.png")
    status, said, seconds, memory = run("check", tmp_path / "set")
    assert status == 1
    assert "Traceback" not in said
    assert said.count("error ") > 100
    assert seconds < SECONDS
    assert memory < MEMORY


@pytest.mark.slow
@pytest.mark.service
def test_a_service_answers_or_refuses_every_file_and_goes_on(files: list[Path], tmp_path: Path):
    with running_service(tmp_path / "log.txt", MODEL) as service:
        process = psutil.Process(service.process.pid)
        statuses: dict[int, int] = {}
        for path in files:
            body = {"instances": [{"b64": base64.b64encode(path.read_bytes()).decode()}]}
            answer = requests.post(f"{service.url}/v1/models/digits:predict", json=body, timeout=120)
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if answer.status_code != 200:
                assert "\n" not in answer.json()["error"]
        assert set(statuses) <= {200, 400, 413}
        assert statuses[200] > 600
        memory = max(one.memory_info().rss for one in (process, *process.children(recursive=True)))
        assert memory < MEMORY
    assert "Traceback" not in service.log.read_text()


@pytest.mark.slow
def test_the_page_shows_or_refuses_every_file(files: list[Path]):
    before = psutil.Process().memory_info().rss
    for chunk in np.array_split(np.array(files, object), 8):
        assert ask_page(list(chunk)) == []
    assert psutil.Process().memory_info().rss - before < MEMORY
