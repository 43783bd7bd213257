"""A model behind a service that speaks TensorFlow Serving's REST protocol: ours, or TensorFlow Serving itself."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cnnapp.prediction import model_paths
from cnnapp.prediction.base_predictor import Answerer, Option
from cnnapp.results.answer import Answer
from cnnapp.results.table import answer_type, task_of
from cnnapp.service.front import tokens
from cnnapp.service.ports import is_local
from pipelines.artifacts.model_card import read_card
from pipelines.core.errors import ConfigError, DataError, ModelError, ServiceError
from pipelines.images import image_io
from pipelines.images.image_io import ImageInput
from pipelines.storage.names import check_name

__all__ = ["RemoteCard", "RemotePredictor", "connect"]

_DEFAULT, _LABELS = "serving_default", "labels"
_LABELS_AT_ONCE = 256
_TRIES = 5
_REFUSED = (400, 413, 429, 504)  # of these, fewer images may be answered


def connect(url: str, model: str, seconds: float = 120.0, *, token: str | None = None) -> RemotePredictor:
    """Connect to a model behind a service.

    Args:
        url: of the service, such as ``"http://127.0.0.1:8501"``.
        model: its name there, or name/version.
        seconds: to wait for an answer.
        token: that the service requires (`cnnapp serve --token-file`); by default the first one of the file that the
            environment variable ``CNNAPP_TOKEN_FILE`` names, and none without it.

    Returns:
        A predictor, for one thread.

    Raises:
        ConfigError: if the URL is none, the name no model can have, or the file of tokens cannot be read.
        ServiceError: if the service cannot be reached, or is none.
        ModelError: if it has no such model, or one whose task is not known.

    Example:
        model = connect("http://127.0.0.1:8501", "digits")
        print(model.predict(["seven.png"])[0])
    """
    return RemotePredictor(url, model, seconds, token=token)


@dataclass(frozen=True)
class RemoteCard:
    """What a service tells of a model; the names are those of :class:`pipelines.artifacts.model_card.ModelCard`.

    Args:
        task: of the model, as its outputs tell.
        name: of the model.
        version: likewise.
        classes: names, in the order of the class ids.
        input: under ``options`` the optional inputs and their defaults.
    """

    task: str
    name: str
    version: int
    classes: tuple[str, ...]
    input: Mapping[str, Any]


class RemotePredictor(Answerer):
    """A model behind a service, used as :class:`cnnapp.Predictor` is.

    Args:
        url: as for :func:`connect`.
        model: likewise.
        seconds: likewise.
        token: likewise.
    """

    def __init__(self, url: str, model: str, seconds: float = 120.0, *, token: str | None = None) -> None:
        self._service = _checked(url)
        name, _, version = model.partition("/")
        check_name(name)
        if version and not (version.isascii() and version.isdecimal()):
            raise ConfigError(f"version: received {version!r}; expected a number, as in {name}/1")
        self._path = f"/v1/models/{quote(name, safe='')}" + (f"/versions/{version}" if version else "")
        self._seconds = seconds
        self._session = requests.Session()
        token = token or _token()
        if token is not None:
            # Not as a header, which an entry for the host in a .netrc would replace.
            self._session.auth = _Bearer(token)
        if is_local(urlsplit(self._service).hostname or ""):
            self._session.headers["Accept-Encoding"] = "identity"  # compressing takes longer than sending there
        busy = Retry(
            total=_TRIES,
            connect=2,
            read=1,
            status_forcelist=(503,),
            allowed_methods=None,  # a prediction may be asked for again, as anything that only reads
            backoff_factor=0.2,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=busy))
        metadata = self._tell(self._call("GET", f"{self._path}/metadata"))
        try:
            self._signatures = metadata["metadata"]["signature_def"]["signature_def"]
            self._card = self._read_card(name, int(metadata["model_spec"]["version"]))
        except (KeyError, TypeError, ValueError):
            raise self._stranger(None) from None

    def __repr__(self) -> str:
        """Return what it is connected to."""
        return f"<RemotePredictor {self.card.name}/{self.card.version} at {self._service}: {self.card.task}>"

    @property
    def card(self) -> RemoteCard:
        """What the service tells of the model."""
        return self._card

    @property
    def answer_type(self) -> type[Answer]:
        """The type of its answers, which says what can be done with them."""
        return answer_type(self.card.task)

    def _read(self, image: ImageInput, name: str, options: dict[str, Option]) -> tuple[str, bytes] | DataError:
        try:
            return name, image_io.read(image, name)
        except DataError as error:
            return error

    def _answers(
        self, read: Sequence[tuple[str, bytes] | DataError], options: dict[str, Option]
    ) -> Iterator[Answer | DataError]:
        answers = iter(self._ask([one for one in read if not isinstance(one, DataError)], options))
        for one in read:
            yield one if isinstance(one, DataError) else next(answers)

    def outputs(self, image_bytes: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Return the named outputs of ``serving_default`` for encoded images, in one call, with the model's options.

        Raises:
            ServiceError: if the service cannot be reached, or refuses them.
        """
        given = {"image_bytes": [{"b64": base64.b64encode(data).decode()} for data in image_bytes]}
        response = self._call("POST", f"{self._path}:predict", self._defaults(_DEFAULT) | given)
        return self._outputs(self._tell(response), _DEFAULT)

    def _ask(self, images: Sequence[tuple[str, bytes]], options: dict[str, Option]) -> list[Answer | DataError]:
        if not images:
            return []
        given = {"image_bytes": [{"b64": base64.b64encode(data).decode()} for _, data in images]}
        response = self._call("POST", f"{self._path}:predict", self._defaults(_DEFAULT) | options | given)
        if response.status_code in _REFUSED:
            # Which image is at fault, or whether they are too many, is not said; fewer at a time, it shows.
            if len(images) == 1:
                # Which one of the request it is, when there is one, says nothing.
                return [DataError(f"{images[0][0]}: {self._reason(response).removeprefix('image_bytes[0]: ')}")]
            half = len(images) // 2
            return self._ask(images[:half], options) + self._ask(images[half:], options)
        outputs = self._outputs(self._tell(response), _DEFAULT)
        names = [name for name, _ in images]
        return list(self.answer_type.from_outputs(outputs, names, self._class_names(outputs)))

    def _call(self, method: str, path: str, inputs: Mapping[str, Any] | None = None, signature: str = _DEFAULT) -> Any:
        content: Any = None if inputs is None else {"signature_name": signature, "inputs": inputs}
        try:
            return self._session.request(method, self._service + path, json=content, timeout=(5, self._seconds))
        except requests.Timeout:
            raise ServiceError(f"{self._service}: gave no answer within {self._seconds:g} seconds") from None
        except requests.RequestException as error:
            raise ServiceError(
                f"{self._service}: cannot be reached ({type(error).__name__}); is `cnnapp serve` running there?"
            ) from None

    def _tell(self, response: requests.Response) -> dict[str, Any]:
        """Return the content of an answer that is one."""
        if response.status_code == 401:
            raise ServiceError(
                f"{self._service}: requires a token that it knows; give the file that has it by --token-file or "
                f"{tokens.VARIABLE}, or the token to cnnapp.connect"
            )
        if response.status_code == 404 and _parse(response) is not None:
            raise ModelError(f"{self._service}: {self._reason(response)}")
        if response.status_code != 200 and "text/html" in response.headers.get("content-type", ""):
            raise self._stranger(response)
        if response.status_code != 200:
            raise ServiceError(f"{self._service}: answers with status {response.status_code}: {self._reason(response)}")
        content = _parse(response)
        if not isinstance(content, dict):
            raise self._stranger(response)
        return content

    def _stranger(self, response: requests.Response | None) -> ServiceError:
        """Say what answers where no service is."""
        kind = response.headers.get("content-type", "").partition(";")[0] if response is not None else ""
        sent = {"text/html": "a web page, as `cnnapp ui` does", "": "something else"}.get(kind, kind)
        return ServiceError(
            f"{self._service}: answers, but not as TensorFlow Serving does: with {sent}; `cnnapp serve` says its URL"
        )

    def _reason(self, response: requests.Response) -> str:
        content = _parse(response)
        return str(content["error"]) if isinstance(content, dict) and "error" in content else response.reason

    def _read_card(self, name: str, version: int) -> RemoteCard:
        outputs = self._signatures[_DEFAULT]["outputs"]
        if "image_bytes" not in self._signatures[_DEFAULT]["inputs"]:
            raise ModelError(f"{self._service}: {name}/{version} takes no encoded images (`image_bytes`)")
        task = task_of(outputs)
        if task is None:
            raise ModelError(f"{self._service}: {name}/{version} gives {', '.join(outputs)}; no task that is known")
        return RemoteCard(
            task, name, version, self._classes(task, name, version), {"options": self._defaults(_DEFAULT)}
        )

    def _defaults(self, signature: str) -> dict[str, Any]:
        """Return optional inputs: TensorFlow Serving's REST does not fill them in itself."""
        return {key: _value(tensor) for key, tensor in self._signatures[signature].get("defaults", {}).items()}

    def _classes(self, task: str, name: str, version: int) -> tuple[str, ...]:
        if _LABELS in self._signatures:
            return tuple(self._labels())
        count = self._count(task)
        for local in (f"{name}/{version}", name):
            with contextlib.suppress(ModelError):
                card = read_card(model_paths.resolve(local))
                if card.task == task and count in (0, len(card.classes)):
                    return tuple(card.classes)
        return tuple(f"class {number}" for number in range(count))

    def _labels(self) -> Iterator[str]:
        """Give the names that the model itself has, asked for until it has no more."""
        first = 0
        while True:
            ids = list(range(first, first + _LABELS_AT_ONCE))
            answer = self._tell(self._call("POST", f"{self._path}:predict", {"class_ids": ids}, _LABELS))
            for label in self._outputs(answer, _LABELS)["class_names"].tolist():
                if not label:
                    return
                yield label
            first += _LABELS_AT_ONCE

    def _count(self, task: str) -> int:
        """Return how many classes there are, as far as the shape of an output tells; else 0."""
        signature, output = answer_type(task).counted_by or ("", "")
        shape = self._signatures.get(signature, {}).get("outputs", {}).get(output, {}).get("tensor_shape", {})
        return max(0, int(shape["dim"][-1]["size"])) if shape.get("dim") else 0

    def _class_names(self, outputs: Mapping[str, np.ndarray]) -> list[str]:
        """Return the names of the classes; those that nobody told have their numbers."""
        names = list(self.card.classes)
        most = self.answer_type.highest_class_id(outputs)
        names += [f"class {number}" for number in range(len(names), most + 1)]
        if "class_names" in outputs and "class_ids" in outputs:
            ids = outputs["class_ids"].astype(int).ravel()
            told = zip(ids.tolist(), outputs["class_names"].ravel().tolist(), strict=True)
            for number, name in told:
                if name:  # behind the last detection there is none
                    names[number] = name
        return names

    def _outputs(self, content: Mapping[str, Any], signature: str) -> dict[str, np.ndarray]:
        specs = self._signatures[signature]["outputs"]
        try:
            found = content["outputs"]
            found = {next(iter(specs)): found} if len(specs) == 1 else found
            return {name: np.array(found[name], _dtype(spec["dtype"])) for name, spec in specs.items()}
        except (KeyError, TypeError, ValueError):
            raise ServiceError(f"{self._service}: answers, but not as its metadata says") from None


class _Bearer(requests.auth.AuthBase):
    """Sends a token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _token() -> str | None:
    """Return the token for services that the environment names."""
    path = os.environ.get(tokens.VARIABLE)
    return tokens.read_tokens(Path(path))[0] if path else None


def _checked(url: str) -> str:
    """Return the URL of a service, with its scheme and without a slash at its end."""
    full = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        good = False
    if not good:
        raise ConfigError(f"{url!r}: is no URL of a service; expected one such as http://127.0.0.1:8501")
    return full.rstrip("/")


def _parse(response: requests.Response) -> Any:
    """Return the JSON of an answer; None where it is none."""
    try:
        import orjson

        return orjson.loads(response.content)
    except (ImportError, ValueError):
        pass  # Python's own is slower, but takes NaN and Infinity, which TensorFlow Serving writes
    try:
        return json.loads(response.content)
    except ValueError:
        return None


def _dtype(name: str) -> Any:
    """Return NumPy's type for TensorFlow's, which is as "DT_INT64"."""
    kinds = {"DT_FLOAT": np.float32, "DT_DOUBLE": np.float64, "DT_STRING": object}
    return kinds.get(name) or np.dtype(name.removeprefix("DT_").lower())


def _value(tensor: Mapping[str, Any]) -> Any:
    """Return the value of a tensor of float32 in protobuf's JSON form, as numbers that JSON takes."""
    shape = [int(dim["size"]) for dim in tensor.get("tensor_shape", {}).get("dim", [])]
    values = np.array(tensor.get("float_val") or [], np.float32)
    if content := tensor.get("tensor_content"):
        values = np.frombuffer(base64.b64decode(content), "<f4")
    # Numbers at the end that are all the same are written once; digits are those of float32, not of float64.
    texts = [str(value) for value in (values if values.size else np.zeros(1, np.float32))]
    flat = [float(text) for text in texts + texts[-1:] * (int(np.prod(shape)) - len(texts))]
    return np.reshape(flat[: int(np.prod(shape))], shape).tolist()
