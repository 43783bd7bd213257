"""The command line, command by command."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from drawings import draw_shape, make_folder
from places import ROOT


@pytest.fixture
def run(models: Path, command_line):
    """Run a command line on the saved classifiers."""
    return command_line


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for number, kind in enumerate(("disc", "cross", "disc")):
        draw_shape(kind, number).save(folder / "deep" / f"{number}.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_predict_takes_files_folders_and_globs(run, photos: Path):
    status, out, _ = run("predict", "shapes", photos, photos / "deep" / "0.png", str(photos / "**" / "*.png"))
    assert status == 0
    lines = out.strip().splitlines()
    assert len(lines) == 3 + 1 + 3
    assert all(re.search(r"\.png: (disc|cross) \(\d+\.\d %\)", line) for line in lines)


def test_predict_reports_bad_files_and_answers_the_rest(run, photos: Path):
    bad = photos / "deep" / "bad.png"
    bad.write_text("nothing")
    status, out, err = run("predict", "shapes", photos, "nowhere.png", "--json", "o/a.json", "--csv", "o/a.csv")
    assert status == 1
    assert len(out.strip().splitlines()) == 3
    assert "bad.png: is not an image" in err
    assert "nowhere.png: there is no such file" in err
    assert "2 of 5 images could not be read" in err
    record = json.loads(Path("o/a.json").read_text())
    assert len(record["answers"]) == 3
    assert [failure["source"] for failure in record["failed"]] == [str(bad), "nowhere.png"]
    with open("o/a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5
    assert float(rows[0]["disc"]) + float(rows[0]["cross"]) == pytest.approx(1, abs=1e-5)
    assert rows[-1]["error"] == "nowhere.png: there is no such file"


def test_predict_says_when_there_is_nothing_to_do(run, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    status, _, err = run("predict", "shapes", "empty")
    assert (status, "holds no images" in err) == (1, True)
    status, _, err = run("predict", "shapes", "*.jpg")
    assert (status, "no file matches" in err) == (1, True)
    status, _, err = run("predict", "shape", "a.png")
    assert (status, "Did you mean 'shapes'" in err) == (1, True)


def test_evaluate_writes_a_report_that_needs_nothing_else(run, shapes: Path):
    status, out, _ = run("evaluate", "shapes", "--data", shapes)
    assert status == 0
    assert "accuracy" in out
    folder = next(Path("reports").iterdir())
    report = json.loads((folder / "report.json").read_text())
    assert report["accuracy_95"][0] <= report["accuracy"] <= report["accuracy_95"][1]
    assert set(report["classes"]) == {"cross", "disc"}
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 2
    assert not re.search(r"(src|href)=[\"']?https?:", page)


def test_evaluate_refuses_other_classes_and_unknown_splits(run, shapes: Path):
    status, _, err = run("evaluate", "shapes", "--data", "digits")
    assert status == 1
    assert "its classes are not those of shapes/" in err
    status, _, err = run("evaluate", "shapes", "--data", shapes, "--split", "tset")
    assert status == 2
    assert "Did you mean 'test'" in err


def test_verify_list_and_check(run, shapes: Path, tmp_path: Path):
    status, out, _ = run("verify", "shapes", "--quick")
    assert status == 0
    assert "largest difference" in out
    status, out, _ = run("list")
    assert status == 0
    assert "shapes/1" in out
    status, out, _ = run("check", "digits")
    assert status == 0
    assert "No problems found" in out
    make_folder(tmp_path / "d", count=12)
    (tmp_path / "d" / "disc" / "bad.png").write_text("no")
    status, out, _ = run("check", tmp_path / "d")
    assert status == 1
    assert "bad.png: is not an image" in out


def test_train_says_wrong_options_before_anything_else(run):
    status, _, err = run("train", "classification", "--data", "digits", "--name", "x", "--conv", "tyled")
    assert status == 2
    assert "unknown conv 'tyled'" in err
    assert "Did you mean 'tiled'" in err
    status, _, err = run("train", "classification", "--data", "digit", "--name", "x")
    assert status == 1
    assert "Did you mean 'digits'" in err
    assert not Path("runs/x").exists()
    status, _, _ = run("train", "classification", "--data", "digits", "--name", "x", "--epoch", "3")
    assert status == 2


def test_train_prints_the_path_of_what_it_made(run, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path / "made"))
    status, out, err = run(
        "train", "classification", "--data", shapes, "--name", "mine", "--epochs", 1, "--image-size", 12, "--no-flip"
    )
    assert status == 0
    assert Path(out.strip()) == tmp_path / "made" / "mine" / "1"
    assert "epoch 1/1" in err
    assert "on CPU" in err or "GPU" in err
    assert yaml.safe_load((tmp_path / "runs" / "mine" / "run.yaml").read_text())["image_size"] == [12, 12]
    assert yaml.safe_load((tmp_path / "runs" / "mine" / "run.yaml").read_text())["log_dir"] is None
    assert "finished" in run("runs")[1]
    assert json.loads((Path(out.strip()) / "model_card.json").read_text())["training"]["flip"] is False


def test_a_dry_run_measures_and_writes_nothing(run, shapes: Path, tmp_path: Path):
    status, out, err = run("train", "classification", "--data", shapes, "--epochs", 2, "--image-size", 12, "--dry-run")
    assert (status, "2 epochs" in out) == (0, True), err
    assert re.search(r"^time +at most \d+s", out, flags=re.MULTILINE)
    assert re.search(r"^memory +\d+\.\d GiB", out, flags=re.MULTILINE)
    assert re.search(r"^parameters +\d", out, flags=re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_model_is_refused_by_the_name_of_the_file(run, trained, tmp_path: Path):
    import shutil

    copy = shutil.copytree(trained.path, tmp_path / "copy")
    with open(copy / "variables" / "variables.data-00000-of-00001", "r+b") as file:
        file.write(b"\0\1\2\3")
    for command in (["verify", copy], ["predict", copy, "x.png"]):
        status, _, err = run(*command)
        assert status == 1
        assert "variables/variables.data-00000-of-00001: differs" in err


def test_the_demo_goes_the_whole_way(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(tmp_path / "made"))
    status, out, _ = run("demo", "--epochs", 1)
    assert status == 0
    assert "cnnapp ui" in out
    assert (tmp_path / "made" / "digits" / "1" / "saved_model.pb").is_file()
    assert (tmp_path / "reports" / "demo" / "report.html").is_file()
    assert len(list((tmp_path / "reports" / "demo").glob("answer-*.png"))) == 6


@pytest.mark.parametrize(
    "command", [[], ["--help"], ["train", "--help"], ["predict", "-h"], ["train", "classification", "-h"]]
)
def test_help_teaches(run, command: list[str]):
    _, out, err = run(*command)
    assert "Usage" in out + err


def test_the_installed_command_runs():
    done = subprocess.run(
        [sys.executable, "-m", "cnnapp", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "From labelled images to a served model" in done.stdout
