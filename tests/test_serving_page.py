"""docs/serving.md: its Python runs, and what it says of signatures and warm-up is what the shipped models have."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT
from typer.main import get_command

from cnnapp.cli.main import app
from cnnapp.service.limits import Limits
from cnnapp.service.metrics import Metrics
from pipelines.classification.serving import ImageServing
from pipelines.detection.serving import ScanServing
from pipelines.segmentation.serving import MaskServing

PAGE = (ROOT / "docs" / "serving.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
MODELS = {"classification": "digits", "detection": "digit-scenes", "segmentation": "digit-segmentation"}


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_python_runs_without_the_project(number: int, tmp_path: Path):
    (tmp_path / "saved_models").symlink_to(ROOT / "saved_models")
    image = ROOT / "saved_models" / "digit-segmentation" / "1" / "golden" / "input-0.png"
    (tmp_path / "scene.png").write_bytes(image.read_bytes())
    for name, extension in set(re.findall(r"exports/([a-z-]+)-1[a-z0-9-]*(\.[a-z]+)", BLOCKS[number])):
        kind = {".onnx": "onnx", ".tflite": "litert"}[extension]
        command = [sys.executable, "-m", "cnnapp", "export", name, "--format", kind]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=True)
    without = "import sys\nsys.modules.update(dict.fromkeys(('layers', 'pipelines', 'cnnapp', 'ui', 'keras')))\n"
    shown = "\nprint(len(globals().get('present', globals().get('boxes', ()))))"
    done = subprocess.run(
        [sys.executable, "-c", without + BLOCKS[number] + shown],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) >= 2


@pytest.mark.parametrize("task", MODELS)
def test_inputs_and_outputs_are_those_of_the_models(task: str):
    import tensorflow as tf

    signatures = tf.saved_model.load(str(ROOT / "saved_models" / MODELS[task] / "1")).signatures
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {task} |")).split("|")[2]
    outputs = signatures["serving_default"].structured_outputs
    assert set(re.findall(r"`([a-z_]+)`", row)) == set(outputs)
    for kind in {tensor.dtype.name for tensor in outputs.values()}:
        assert kind in row
    for name, signature in signatures.items():
        assert f"`{name}`" in PAGE
        for given in signature.structured_input_signature[1]:
            assert f"`{given}`" in PAGE or name in ("score_map", "windows", "logits")


def test_warm_up_is_as_it_says():
    assert ImageServing.warmup_batches == (1, 8, 32)
    assert MaskServing.warmup_batches == ScanServing.warmup_batches == (1, 2)


def test_limits_of_the_service_are_as_it_says():
    rows = dict(re.findall(r"^\| `--([a-z]+)` \| ([\d,]+) \|", PAGE, flags=re.MULTILINE))
    assert {name: float(value.replace(",", "")) for name, value in rows.items()} == Limits().model_dump()
    options = get_command(app).commands["serve"].params  # type: ignore[attr-defined]
    assert {option.name: option.default for option in options if option.name in rows} == Limits().model_dump()


def test_figures_of_the_service_are_as_it_says():
    rows = dict(re.findall(r"^\| `(cnnapp_[a-z_]+)` \| ([a-z, ]+) \|", PAGE, flags=re.MULTILINE))
    metrics = Metrics()
    metrics.answered("a", 1, "b", 200, 0.1, images=1, batch=1)
    metrics.held("a", 1, 0)
    metrics.described("a", 1, [{"process": 1, "memory": 1}])
    found = {}
    for name, labels in re.findall(r"^(cnnapp_\w+)\{(.*?)\}", metrics.page().decode(), flags=re.MULTILINE):
        kept = set(re.findall(r"(\w+)=", labels)) - {"le"}
        found[re.sub(r"_(bucket|sum|count)$", "", name)] = kept
    assert {name: set(labels.split(", ")) for name, labels in rows.items()} == found
