"""A service as it is run: `cnnapp serve` in a process of its own, with a model of each task."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import signal
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

import cnnapp
from drawings import draw_scene, draw_shape
from pipelines.images import image_io
from services import RunningService, running_service

BODY = 6


@pytest.fixture(scope="module")
def predictors(trained, detector, segmenter) -> dict[str, cnnapp.Predictor]:
    return {loaded.card.name: loaded for loaded in (cnnapp.load(one.path) for one in (trained, detector, segmenter))}


@pytest.fixture(scope="module")
def service(predictors, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    paths = [loaded.served.directory for loaded in predictors.values()]
    log = tmp_path_factory.mktemp("service") / "log.txt"
    # More than gRPC's own 4 MiB, which lies between the gateway and the models.
    limits = ("--body", BODY, "--pixels", 4_000_000, "--queue", 64)
    with running_service(log, *paths, *limits) as running:
        yield running


def png(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def huge() -> bytes:
    """Return a PNG that says it has 400 million pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    end = b"IEND"
    chunks = [struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in (header, end)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


SHAPES = [png(draw_shape(kind, seed, (20 + seed, 30))) for seed in range(10) for kind in ("disc", "cross")]
SCENES = [png(draw_scene(seed, (40 + seed % 7, 50 + seed % 5))[0]) for seed in range(20)]
IMAGES = {"shapes": SHAPES, "scattered": SCENES, "painted": SCENES}


def post(service: RunningService, name: str, content: Any, status: int = 200) -> Any:
    # Not by its argument `json`, which refuses to send what is no number.
    answer = requests.post(f"{service.url}/v1/models/{name}:predict", data=json.dumps(content), timeout=60)
    assert answer.status_code == status, answer.text[:500]
    assert answer.headers["content-type"] == "application/json"
    assert "Traceback" not in answer.text
    return answer.json()


def get(service: RunningService, path: str) -> Any:
    return requests.get(service.url + path, timeout=60)


def test_it_says_where_it_listens_and_an_example_that_works(service, tmp_path: Path):
    said = service.log.read_text()
    assert "listening on http://127.0.0.1:" in said
    assert "/v1/models/shapes/versions/1" in said
    (tmp_path / "image.png").write_bytes(SHAPES[0])
    example = said.split("try it:\n")[1].splitlines()[0]
    done = subprocess.run(["bash", "-c", example], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert json.loads(done.stdout)["predictions"][0]["class_names"] in ("disc", "cross")


@pytest.mark.parametrize("path", ["/v1/models/shapes", "/v1/models/shapes/versions/1"])
def test_status(service, path: str):
    ok = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert get(service, path).json() == {"model_version_status": [ok]}


def test_metadata_is_the_signatures_in_protobufs_form(service, predictors):
    found = get(service, "/v1/models/scattered/metadata").json()
    assert found["model_spec"] == {"name": "scattered", "signature_name": "", "version": "1"}
    signatures = found["metadata"]["signature_def"]["signature_def"]
    serving = signatures["serving_default"]
    assert serving["method_name"] == "tensorflow/serving/predict"
    assert serving["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    assert serving["inputs"]["image_bytes"]["tensor_shape"]["dim"] == [{"size": "-1", "name": ""}]
    threshold = predictors["scattered"].card.input["options"]["score_threshold"]
    assert serving["defaults"]["score_threshold"]["float_val"] == [pytest.approx(threshold, abs=1e-6)]
    from google.protobuf.json_format import ParseDict
    from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap

    assert set(ParseDict(found["metadata"]["signature_def"], SignatureDefMap()).signature_def) == set(signatures)


def expected(predictors, name: str, images: list[bytes], **options: Any) -> dict[str, np.ndarray]:
    return predictors[name].served([image_io.read(image) for image in images], **options)


def compare(found: dict[str, Any], wanted: dict[str, np.ndarray]) -> None:
    assert set(found) == set(wanted)
    for part, values in wanted.items():
        if values.dtype.kind == "f":
            scale = 100 if part == "boxes" else 1
            np.testing.assert_allclose(np.array(found[part], np.float32), values, atol=1e-5 * scale, err_msg=part)
        else:
            np.testing.assert_array_equal(np.array(found[part], values.dtype), values, err_msg=part)


@pytest.mark.parametrize("name", IMAGES)
def test_columns_and_rows_give_what_the_model_gives(service, predictors, name: str):
    images = IMAGES[name][:3]
    wanted = expected(predictors, name, images)
    columns = post(service, name, {"inputs": {"image_bytes": [b64(image) for image in images]}})["outputs"]
    compare(columns, wanted)
    path = f"{name}/versions/1"
    rows = post(service, path, {"instances": [b64(image) for image in images]})["predictions"]
    compare({part: [row[part] for row in rows] for part in wanted}, wanted)


def test_one_float_is_the_same_float(service, predictors):
    """To the bit: the machine, the model and the batch are the same."""
    scores = post(service, "shapes", {"instances": [b64(SHAPES[0])]})["predictions"][0]["scores"]
    assert np.array(scores, np.float32).tolist() == expected(predictors, "shapes", SHAPES[:1])["scores"][0].tolist()


def test_optional_inputs_change_the_answer(service, predictors):
    given = {"image_bytes": [b64(SCENES[0])], "score_threshold": 0.01, "scales": [1.0, 0.7]}
    wanted = expected(predictors, "scattered", SCENES[:1], score_threshold=0.01, scales=(1.0, 0.7))
    compare(post(service, "scattered", {"inputs": given})["outputs"], wanted)
    assert wanted["num_detections"][0] > expected(predictors, "scattered", SCENES[:1])["num_detections"][0]


def asked(served, name: str, signature: str) -> dict[str, Any]:
    """Return something for every input of a signature that has no default."""
    import tensorflow as tf

    specs = served.signature(signature).structured_input_signature[1]
    defaults = set(served.card.input.get("options", {})) | {"class_id"}
    given: dict[str, Any] = {}
    for key, spec in specs.items():
        if key == "image_bytes":
            given[key] = IMAGES[name][0]
        elif spec.shape.rank == 4:
            channels = spec.shape[-1]
            given[key] = np.asarray(draw_scene(1)[0])[None, :, :, :channels].astype(spec.dtype.as_numpy_dtype)
        elif key not in defaults:
            given[key] = {"scale": np.float32(0.5), "class_ids": np.arange(-1, 3)}[key]
    assert all(tf.constant(value).dtype == specs[key].dtype for key, value in given.items())
    return given


@pytest.mark.parametrize("name", IMAGES)
def test_every_signature_can_be_asked(service, predictors, name: str):
    """All that a model has, whatever they are."""
    import tensorflow as tf

    served = predictors[name].served
    told = get(service, f"/v1/models/{name}/metadata").json()["metadata"]["signature_def"]["signature_def"]
    signatures = [one for one, parts in told.items() if parts["inputs"]]
    assert {"serving_default", "pixels", "labels", "features", "explain"} <= set(signatures)
    for signature in signatures:
        given = asked(served, name, signature)
        specs = served.signature(signature).structured_input_signature[1]
        given = {
            key: [value] if key == "image_bytes" and specs[key].shape.rank else value for key, value in given.items()
        }
        sent = {
            key: ([b64(one) for one in value] if isinstance(value, list) else b64(value))
            if key == "image_bytes"
            else value.tolist()
            for key, value in given.items()
        }
        found = post(service, name, {"signature_name": signature, "inputs": sent})["outputs"]
        options = served.card.input.get("options", {}) | {"class_id": -1}
        given |= {key: tf.constant(options[key], spec.dtype) for key, spec in specs.items() if key not in given}
        wanted = {
            key: np.asarray(value.numpy())
            for key, value in served.run(signature, **{key: tf.constant(value) for key, value in given.items()}).items()
        }
        wanted = {key: value.astype(str) if value.dtype.kind in "OS" else value for key, value in wanted.items()}
        compare(found if len(wanted) > 1 else {next(iter(wanted)): found}, wanted)


def test_a_request_of_nearly_the_whole_body_is_answered(service, predictors):
    """More than gRPC takes of itself, which is between the gateway and the models."""
    noise = png(Image.fromarray(np.random.default_rng(0).integers(0, 256, (1200, 1280, 3), np.uint8)))
    assert 0.95 * BODY < len(base64.b64encode(noise)) / 2**20 < BODY
    wanted = expected(predictors, "shapes", [noise])
    compare(post(service, "shapes", {"inputs": {"image_bytes": [b64(noise)]}})["outputs"], wanted)


@pytest.mark.slow
def test_a_large_image_has_a_large_answer(service, predictors):
    """About 3 million pixels, whose classes and confidences are some 40 MiB of JSON."""
    scene = png(draw_scene(3, (56, 72))[0].resize((2000, 1500)))
    remote = cnnapp.connect(service.url, "painted").predict(scene)[0]
    local = predictors["painted"].predict(scene)[0]
    assert remote.class_map.shape == (1500, 2000)
    compare(
        {"class_map": remote.class_map, "confidence": remote.confidence},
        {"class_map": local.class_map, "confidence": local.confidence},
    )


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "GIF", "PPM"])
def test_files_that_tensorflow_does_not_read_are_brought_to_what_it_does(service, predictors, kind: str):
    data = png(draw_shape("disc", 3), kind)
    wanted = expected(predictors, "shapes", [data])
    compare(post(service, "shapes", {"inputs": {"image_bytes": [b64(data)]}})["outputs"], wanted)


@pytest.mark.parametrize(
    ("name", "content", "status", "reason"),
    [
        ("shapes", {"instances": [b64(b"text")]}, 400, r"image_bytes\[0\]: is not an image that can be read"),
        ("shapes", {"instances": [b64(SHAPES[0]), b64(b"")]}, 400, r"image_bytes\[1\]: the file is empty"),
        (
            "shapes",
            {"instances": [b64(SHAPES[0]), b64(SHAPES[0][:70])]},
            400,
            r"image_bytes\[1\]: the image cannot be decoded: the file is damaged or incomplete",
        ),
        ("shapes", {"instances": [b64(huge())]}, 400, "more pixels than the 4,000,000 .* send it smaller"),
        (
            "shapes",
            {"signature_name": "explain", "inputs": {"image_bytes": b64(SHAPES[0]), "class_id": 2}},
            400,
            "class_id: received 2; expected 0 to 1",
        ),
        ("scattered", {"inputs": {"image_bytes": [b64(SCENES[0])], "soft_nms_sigma": -1}}, 400, "^soft_nms_sigma: "),
        ("scattered", {"inputs": {"image_bytes": [b64(SCENES[0])], "scales": [float("nan")]}}, 400, "^scales: "),
        ("scattered", {"signature_name": "windows", "inputs": [[[[1.0] * 3]]]}, 400, r"shape \[1, 1, 1, 3\]"),
        (
            "shapes",
            {"instances": [b64(png(Image.new("L", (2500, 2000))))]},
            400,
            "2500 x 2000 pixels, more than the 4,000,000",
        ),
        ("shapes", {"instances": ["x" * BODY * 2**20]}, 413, f"more than the {BODY} MiB"),
        ("shapes", {"signature_name": "pixel", "instances": [1]}, 400, "Did you mean 'pixels'"),
        ("scattered", {"signature_name": "score_map", "inputs": {"image_bytes": b64(SCENES[0])}}, 400, "scale"),
        ("painted/versions/2", {"instances": [1]}, 404, r"Specific\(painted, 2\)"),
        ("nothing", {"instances": [1]}, 404, r"Latest\(nothing\)"),
    ],
)
def test_what_is_wrong_is_said(service, name, content, status, reason):
    assert re.search(reason, post(service, name, content, status)["error"])


def test_many_at_once_get_each_their_own_answer(service, predictors):
    """Of three models, several sizes, several options, and some that are no images, in one crowd."""
    jobs = []
    for number in range(40):
        name = ("shapes", "scattered", "painted")[number % 3]
        given: dict[str, Any] = {
            "image_bytes": [b64(IMAGES[name][(number + step) % 20]) for step in range(1 + number % 2)]
        }
        if name == "scattered" and number % 2:
            given["score_threshold"] = 0.05
        if number % 10 == 7:
            given["image_bytes"][-1] = b64(IMAGES[name][0][:60])  # a PNG cut off: only TensorFlow sees that
        jobs.append((name, given))
    gate = threading.Barrier(len(jobs))

    def ask(job: tuple[str, dict[str, Any]]) -> requests.Response:
        gate.wait()
        return requests.post(f"{service.url}/v1/models/{job[0]}:predict", json={"inputs": job[1]}, timeout=60)

    with ThreadPoolExecutor(len(jobs)) as pool:
        answers = list(pool.map(ask, jobs))
    for number, ((name, given), answer) in enumerate(zip(jobs, answers, strict=True)):
        if number % 10 == 7:
            assert answer.status_code == 400
            assert "cannot be decoded" in answer.json()["error"]
            continue
        images = [base64.b64decode(one["b64"]) for one in given["image_bytes"]]
        options = {key: value for key, value in given.items() if key != "image_bytes"}
        compare(answer.json()["outputs"], expected(predictors, name, images, **options))


def figures(service) -> dict[str, float]:
    text = get(service, "/monitoring/prometheus/metrics").text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_more_images_than_a_request_may_have_are_refused(service):
    content = {"inputs": {"image_bytes": [b64(SHAPES[0])] * 129}}
    assert (
        "received 129 images in one request; this service takes at most 128"
        in post(service, "shapes", content, 400)["error"]
    )
    assert figures(service)['cnnapp_refusals_total{reason="images"}'] == 1
    content["inputs"]["image_bytes"].pop()
    assert len(post(service, "shapes", content)["outputs"]["class_ids"]) == 128


def test_a_compressed_request_has_the_same_answer(service):
    body = json.dumps({"instances": [b64(SHAPES[0])]}).encode()
    url, packed = f"{service.url}/v1/models/shapes:predict", {"Content-Encoding": "gzip"}
    answers = [
        requests.post(url, data=data, headers=headers, timeout=60).json()
        for data, headers in ((body, {}), (gzip.compress(body), packed))
    ]
    assert answers[0] == answers[1]
    assert requests.post(url, data=gzip.compress(b"0" * 2**26), headers=packed, timeout=60).status_code == 413


def test_requests_that_come_together_are_answered_together(service):
    """All for one model, of which only the first ones may be alone."""
    key = 'cnnapp_batch_images_{}{{model="shapes",signature="serving_default",version="1"}}'
    before = figures(service)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda image: post(service, "shapes", {"instances": [b64(image)]}), SHAPES * 5))
    after = figures(service)
    total, count = (after[key.format(part)] - before.get(key.format(part), 0) for part in ("sum", "count"))
    assert count == 100
    assert total / count > 1.2


def test_figures(service):
    found = figures(service)
    for name in IMAGES:
        assert found[f'cnnapp_model_loads{{model="{name}",version="1"}}'] == 1
        assert found[f'cnnapp_requests_held{{model="{name}",version="1"}}'] == 0
    assert any(name.startswith("cnnapp_replica_memory_bytes") and value > 2**27 for name, value in found.items())
    assert get(service, "/metrics").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/-/healthz"])
def test_health(service, path: str):
    assert (get(service, path).status_code, get(service, path).text) == (200, "success")


def test_nothing_listens_for_other_machines(service):
    process = psutil.Process(service.process.pid)
    for one in [process, *process.children(recursive=True)]:
        for connection in one.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip.removeprefix("::ffff:") in ("127.0.0.1", "::1"), (
                    one.cmdline()[:3],
                    connection.laddr,
                )


@pytest.mark.parametrize("name", IMAGES)
def test_a_remote_predictor_is_as_one_here(service, predictors, name: str, tmp_path: Path):
    remote, local = cnnapp.connect(service.url, name), predictors[name]
    assert (remote.card.task, remote.card.version) == (local.card.task, 1)
    options = local.card.input.get("options", {})
    assert remote.card.input["options"].keys() == options.keys()
    for option, value in options.items():
        np.testing.assert_allclose(remote.card.input["options"][option], value, rtol=1e-6)
    (tmp_path / "a.webp").write_bytes(png(draw_scene(3)[0], "WEBP"))
    images = [*IMAGES[name][:4], tmp_path / "a.webp", np.asarray(draw_shape("disc", 1)), b"no image", SCENES[0][:60]]
    found = list(remote.predict_each(images, batch_size=5))
    for (one, answer), (other, wanted) in zip(found, local.predict_each(images), strict=True):
        assert one == other
        assert type(answer) is type(wanted)
        if isinstance(wanted, cnnapp.DataError):
            assert str(answer) == str(wanted)
            continue
        columns = [
            part for part in ("scores", "boxes", "class_ids", "class_map", "confidence") if hasattr(wanted, part)
        ]
        compare({part: getattr(answer, part) for part in columns}, {part: getattr(wanted, part) for part in columns})


def test_a_remote_predictor_says_what_is_wrong(service):
    with pytest.raises(cnnapp.ModelError, match=r"Latest\(shape\)"):
        cnnapp.connect(service.url, "shape")
    with pytest.raises(cnnapp.ServiceError, match="is `cnnapp serve` running there"):
        cnnapp.connect("127.0.0.1:9", "shapes")
    with pytest.raises(cnnapp.ServiceError, match="not as TensorFlow Serving does"):
        cnnapp.connect(f"{service.url}/metrics?", "shapes")
    remote = cnnapp.connect(service.url.removeprefix("http://"), "shapes/1")
    with pytest.raises(cnnapp.ConfigError, match="unknown option 'score'"):
        remote.predict(SHAPES[:1], score=1.0)
    with pytest.raises(cnnapp.DataError, match="2500 x 2000 pixels"):
        remote.predict(Image.new("L", (2500, 2000)))
    assert remote.predict([]) == []
    assert "shapes/1" in repr(remote)


def test_a_batch_that_is_too_large_for_the_service_is_sent_in_parts(service, predictors):
    noise = np.random.default_rng(0).integers(0, 256, (6, 700, 700, 3), np.uint8)
    found = cnnapp.connect(service.url, "shapes").predict(list(noise))
    for answer, wanted in zip(found, predictors["shapes"].predict(list(noise)), strict=True):
        np.testing.assert_allclose(answer.scores, wanted.scores, atol=1e-5)


@pytest.mark.parametrize("name", IMAGES)
def test_the_command_line_gives_the_same_by_a_server(service, predictors, name: str, command_line, monkeypatch):
    folder = predictors[name].served.directory.parent.parent
    monkeypatch.setenv("CNNAPP_SAVED_MODELS", str(folder))
    Path("images").mkdir()
    for number, image in enumerate(IMAGES[name][:3]):
        Path("images", f"{number}.png").write_bytes(image)
    Path("images", "bad.png").write_text("no image")
    extra = {
        "shapes": (),
        "scattered": ("--score", "0.1", "--overlap", "0.4", "--scales", "1,0.8", "--coco", "coco.json"),
        "painted": ("--masks", "masks", "--coco", "coco.json"),
    }[name]
    said = []
    for where in ((), ("--server", service.url)):
        outputs = ("--json", "a.json", "--csv", "a.csv", "--draw", "drawn")
        status, out, err = command_line("predict", name, "images", *outputs, *extra, *where)
        assert (status, "bad.png: is not an image" in err) == (1, True), err
        files = [Path("a.json"), Path("a.csv"), *sorted(Path("masks").glob("*"))]
        said.append((rounded(out), len(list(Path("drawn").iterdir())), [rounded_file(file) for file in files]))
    assert said[0] == said[1]


def rounded(text: str) -> str:
    return re.sub(r"\d+\.\d+(e-\d+)?", lambda number: f"{float(number[0]):.2f}", text)


def rounded_file(file: Path) -> Any:
    return file.read_bytes() if file.suffix == ".png" else rounded(file.read_text())


def test_pieces_are_not_for_a_server(service, command_line):
    status, _, err = command_line("predict", "painted", "a.png", "--tile", 128, "--server", service.url)
    assert (status, "a service takes whole images only" in err) == (2, True)


def test_requests_in_flight_are_answered_when_it_stops(service):
    """The last one: the service is gone then, and no process of it is left."""
    children = psutil.Process(service.process.pid).children(recursive=True)
    assert len(children) > 3
    content = {"inputs": {"image_bytes": [b64(image) for image in SCENES * 6]}}
    with ThreadPoolExecutor(6) as pool:
        flying = [pool.submit(post, service, "scattered", content) for _ in range(6)]
        time.sleep(0.5)
        started = time.monotonic()
        assert not all(one.done() for one in flying)
        assert service.stop() == 0
        for one in flying:
            assert len(one.result()["outputs"]["boxes"]) == 120
    assert time.monotonic() - started < 40
    with pytest.raises(requests.ConnectionError):
        get(service, "/healthz")
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    said = service.log.read_text()
    assert said.rstrip().endswith("stopped")
    assert "Traceback" not in said


def replicas_of(service: RunningService) -> list[psutil.Process]:
    children = psutil.Process(service.process.pid).children(recursive=True)
    return [one for one in children if "ServeReplica" in " ".join(one.cmdline())]


@pytest.mark.slow
@pytest.mark.parametrize("replicas", [1, 2])
def test_no_request_is_lost_when_a_process_ends(predictors, tmp_path: Path, replicas: int):
    """With two, the other one answers; with one, requests wait until it has been started again."""
    arguments = (predictors["shapes"].served.directory, "--replicas", replicas, "--seconds", 300)
    with running_service(tmp_path / "log.txt", *arguments) as started:
        ended = threading.Event()
        statuses: list[int] = []

        def ask(image: bytes) -> None:
            with requests.Session() as session:
                while not ended.is_set():
                    content = {"instances": [b64(image)]}
                    answer = session.post(f"{started.url}/v1/models/shapes:predict", json=content, timeout=330)
                    statuses.append(answer.status_code)

        with ThreadPoolExecutor(8) as pool:
            asking = [pool.submit(ask, image) for image in SHAPES[:8]]
            try:
                for _ in range(2):
                    until = time.monotonic() + 300
                    while len(replicas_of(started)) < replicas or len(statuses) < 50:
                        assert time.monotonic() < until
                        time.sleep(0.2)
                    statuses.clear()
                    replicas_of(started)[0].kill()
                    while len(statuses) < 50:
                        assert time.monotonic() < until
                        time.sleep(0.2)
            finally:
                ended.set()
            for one in asking:
                one.result()
        assert set(statuses) == {200}
        assert not [name for name in figures(started) if 'status="5' in name]


@pytest.mark.slow
def test_a_service_with_tokens(predictors, tmp_path: Path, monkeypatch):
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("t" * 20)
    tokens.chmod(0o600)
    directory = predictors["shapes"].served.directory
    with running_service(tmp_path / "log.txt", directory, "--token-file", tokens) as started:
        assert get(started, "/healthz").status_code == 200
        assert get(started, "/v1/models/shapes").status_code == 401
        with pytest.raises(cnnapp.ServiceError, match="requires a token"):
            cnnapp.connect(started.url, "shapes")
        assert len(cnnapp.connect(started.url, "shapes", token="t" * 20).predict(SHAPES[:2])) == 2
        tokens.write_text("u" * 20)
        started.process.send_signal(signal.SIGHUP)
        monkeypatch.setenv("CNNAPP_TOKEN_FILE", str(tokens))
        until = time.monotonic() + 30
        while "1 tokens read" not in started.log.read_text():
            assert time.monotonic() < until
            time.sleep(0.1)
        assert len(cnnapp.connect(started.url, "shapes").predict(SHAPES[:2])) == 2
        assert requests.get(f"{started.url}/healthz", headers={"Host": "evil.example"}, timeout=10).status_code == 403
        assert started.stop() == 0
