"""What a saved model is: a directory that TensorFlow Serving serves, with a card that says what it is and proves it.

::

    saved_models/<name>/<version>/
      saved_model.pb  variables/  fingerprint.pb
      assets/labels.txt
      assets.extra/tf_serving_warmup_requests
      model_card.json     what it is, how it was made and measured, SHA-256 of every other file
      golden/             inputs, and the outputs that they must give

This module reads one; :mod:`pipelines.artifacts.writer` writes it. Reading imports TensorFlow only when the model is
run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipelines.artifacts.model_card import check_files, read_card
from pipelines.artifacts.trust.policy import admit_saved_model, require_signature
from pipelines.core.errors import ModelError
from pipelines.core.tensorflow_import import import_tensorflow

__all__ = ["ServedModel", "as_numpy"]


class ServedModel:
    """A saved model that can be run: the one way to an answer, for tests of an export and for the predictor.

    Args:
        directory: of the saved model.
        trust: whether it may run what reaches outside of it; None leaves that to ``CNNAPP_TRUST``.
        exporting: whether this process is writing it, so that it cannot be signed yet.

    Raises:
        ModelError: if a file is missing, altered or damaged, named; if it would reach files, processes, the network or
            Python and is not trusted; or if it is not signed and ``CNNAPP_REQUIRE_SIGNED`` asks for that.
    """

    def __init__(self, directory: Path, *, trust: bool | None = None, exporting: bool = False) -> None:
        self.directory = directory
        self.card = read_card(directory)
        problems = check_files(directory, self.card)
        if problems:
            raise ModelError(f"{directory}: {problems[0]}; download it again or retrain it")
        if not exporting:
            require_signature(directory)
        self._signatures = _load(directory, trust)

    def __call__(self, image_bytes: list[bytes], **options: float | tuple[float, ...]) -> dict[str, np.ndarray]:
        """Answer for a batch of encoded images.

        Args:
            image_bytes: JPEG, PNG, GIF or BMP images of any sizes.
            **options: optional inputs of the signature, such as a detector's thresholds; the card's otherwise.

        Returns:
            The named outputs of ``serving_default``; strings as ``str`` objects.

        Raises:
            tf.errors.InvalidArgumentError: if any of them is not an image.
        """
        import tensorflow as tf

        chosen = self.card.input.get("options", {}) | options
        inputs = {name: tf.constant(value, tf.float32) for name, value in chosen.items()}
        return as_numpy(self.run("serving_default", image_bytes=tf.constant(image_bytes, tf.string), **inputs))

    def run(self, signature: str, **inputs: Any) -> dict[str, Any]:
        """Call a signature by its name, with tensors in and out."""
        outputs: dict[str, Any] = self._signatures[signature](**inputs)
        return outputs

    def has(self, signature: str) -> bool:
        """Return whether there is a signature of a name: those of models of earlier versions are fewer."""
        return signature in self._signatures

    def weights(self) -> list[np.ndarray]:
        """Return the network's weights, in the order of ``keras.Model.weights``."""
        weights: list[np.ndarray] = self._signatures.weights()
        return weights

    def signature(self, name: str) -> Any:
        """Return a signature by its name, as TensorFlow loaded it."""
        return self._signatures[name]


def _load(directory: Path, trust: bool | None) -> Any:
    tf = import_tensorflow()
    admit_saved_model(directory, trust)
    try:
        # The signatures keep the variables alive only through the object they were loaded with.
        loaded = tf.saved_model.load(str(directory))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ModelError(f"{directory}: TensorFlow cannot load it: {str(error).splitlines()[0]}") from None
    return _Signatures(loaded)


class _Signatures:
    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    def __getitem__(self, name: str) -> Any:
        return self._loaded.signatures[name]

    def __contains__(self, name: str) -> bool:
        return name in self._loaded.signatures

    def weights(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self._loaded.weights]


def as_numpy(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Turn the tensors of a signature into arrays, with strings decoded."""
    # NumPy's form of a single string is bytes, which is no array.
    arrays = {
        name: np.array(value.numpy(), object if value.dtype.name == "string" else None)
        for name, value in outputs.items()
    }
    return {name: _decoded(value) if value.dtype == object else value for name, value in arrays.items()}


def _decoded(values: np.ndarray) -> np.ndarray:
    texts = np.empty(values.shape, dtype=object)
    for index, value in np.ndenumerate(values):
        texts[index] = value.decode()
    return texts
