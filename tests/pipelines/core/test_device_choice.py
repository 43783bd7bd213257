"""Which devices TensorFlow is shown. No GPU is needed: the module is stood in for."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipelines.core import device_choice
from pipelines.core.errors import ConfigError


class FakeTensorFlow:
    def __init__(self, gpus: int, running: bool = False) -> None:
        self.gpus = [f"GPU {number}" for number in range(gpus)]
        self.visible, self.running = list(self.gpus), running
        self.config = SimpleNamespace(
            list_physical_devices=lambda kind: self.gpus,
            get_visible_devices=lambda kind: self.visible,
            set_visible_devices=self.show,
        )

    def show(self, devices: list, kind: str) -> None:
        if self.running:
            raise RuntimeError("Visible devices cannot be modified after being initialized")
        self.visible = devices


@pytest.mark.parametrize(
    ("device", "gpus", "seen"),
    [
        (None, 2, ["GPU 0", "GPU 1"]),
        ("auto", 0, []),
        ("cpu", 2, []),
        ("cpu", 0, []),
        ("gpu", 2, ["GPU 0", "GPU 1"]),
        ("gpu:1", 2, ["GPU 1"]),
        ("GPU:0", 1, ["GPU 0"]),
    ],
)
def test_the_devices_of_the_choice_are_shown(device, gpus, seen, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(device_choice.VARIABLE, raising=False)
    if device:
        monkeypatch.setenv(device_choice.VARIABLE, device)
    tensorflow = FakeTensorFlow(gpus)
    device_choice.apply(tensorflow)
    assert tensorflow.visible == seen


@pytest.mark.parametrize(
    ("device", "gpus", "there"), [("gpu", 0, "has cpu."), ("gpu:2", 2, "has cpu, gpu:0, gpu:1."), ("gpu:0", 0, "cpu")]
)
def test_a_gpu_that_is_not_there_is_refused_with_those_that_are(device, gpus, there, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(device_choice.VARIABLE, device)
    with pytest.raises(ConfigError, match=f"received '{device}'.*{there}"):
        device_choice.apply(FakeTensorFlow(gpus))


@pytest.mark.parametrize("device", ["tpu", "gpu:", "gpu:x", "cpu:0", "gpu 1"])
def test_other_names_are_refused(device: str):
    with pytest.raises(ConfigError, match="expected auto, cpu, gpu"):
        device_choice.check(device)


def test_it_is_too_late_where_tensorflow_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(device_choice.VARIABLE, "cpu")
    with pytest.raises(ConfigError, match="runs already"):
        device_choice.apply(FakeTensorFlow(1, running=True))
    device_choice.apply(FakeTensorFlow(0, running=True))  # nothing to change
