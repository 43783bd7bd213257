"""Signatures of saved models: OpenSSF's model signing with keys in files; no service and no network take part.

A signature is a file in the folder of the version, ``model.sig``: a Sigstore bundle over the SHA-256 of every other
file, which the program ``model_signing`` verifies as well. It says who answers for a model, and that it is unchanged
since; not that the model is harmless.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

from pipelines.artifacts.manifest import MANIFEST, SIGNATURE
from pipelines.core import extras
from pipelines.core.errors import ConfigError, ModelError

__all__ = ["MAKE_KEYS", "sign_model", "verify_signature"]

MAKE_KEYS = (
    "openssl ecparam -name prime256v1 -genkey -noout -out private.pem",
    "openssl ec -in private.pem -pubout -out public.pem",
)
"""Commands that make a pair of keys."""

_MOST = 16 * 2**20


def sign_model(directory: Path, key: Path, password: bytes | None = None) -> int:
    """Sign a saved model; a signature that is there is replaced.

    Args:
        directory: of the saved model, with its version.
        key: file of the private key, PEM, on a curve of NIST (P-256, P-384 or P-521).
        password: of the key, if it is encrypted.

    Returns:
        The number of files that are signed.

    Raises:
        ConfigError: if model signing is not installed, or the key cannot be used.
        ModelError: if the model has no manifest, cannot be read, or the signature cannot be written.
    """
    _need()
    _refuse_without_manifest(directory, "cannot be signed")
    import model_signing

    signer = model_signing.signing.Config().set_hashing_config(_hashing())
    try:
        signer.use_elliptic_key_signer(private_key=key, password=password)  # type: ignore[arg-type]  # bytes in truth
    except OSError as error:
        raise ConfigError(f"{key}: the key cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{key}: is no private key that can be used: {_line(error)}. {_how()}") from None
    building = directory / f".{SIGNATURE}.{os.getpid()}"
    try:
        try:
            signer.sign(directory, building)
            os.replace(building, directory / SIGNATURE)
        finally:
            building.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"{directory}: cannot be signed: {error.strerror or error}") from None
    except ValueError as error:
        raise ModelError(f"{directory}: cannot be signed: {_line(error)}") from None
    return _count(directory)


def verify_signature(directory: Path, key: Path) -> int:
    """Verify the signature of a saved model.

    Args:
        directory: of the saved model, with its version.
        key: file of the public key, PEM.

    Returns:
        The number of files that are signed.

    Raises:
        ConfigError: if model signing is not installed, or the key cannot be used.
        ModelError: if the model has no signature, has none for this key, or a file was changed, added or removed.
    """
    _need()
    _refuse_without_manifest(directory, "does not count as signed")
    path = directory / SIGNATURE
    try:
        found = path.stat()
    except OSError:
        raise ModelError(f"{directory}: is not signed: it holds no {SIGNATURE}; `cnnapp sign` makes one") from None
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST:
        raise ModelError(f"{path}: is no signature: no file of at most {_MOST:,} bytes")
    import model_signing

    verifier = model_signing.verifying.Config().set_hashing_config(_hashing())
    try:
        verifier.use_elliptic_key_verifier(public_key=key)
    except OSError as error:
        raise ConfigError(f"{key}: the key cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{key}: is no public key that can be used: {_line(error)}. {_how()}") from None
    try:
        verifier.verify(directory, path)
    # Of a damaged bundle its readers raise whatever they happen to: nothing but success counts as signed.
    except Exception as error:
        raise ModelError(f"{directory}: {_why(error, key)}") from None
    return _count(directory)


def _need() -> None:
    extras.need("signing", "signing", "model-signing", "pyopenssl")


def _hashing() -> Any:
    import model_signing

    # Nothing else is left out: what is read of a model is signed.
    return model_signing.hashing.Config().set_ignored_paths(paths=[SIGNATURE], ignore_git_paths=False)


def _refuse_without_manifest(directory: Path, so: str) -> None:
    if not (directory / MANIFEST).is_file():
        raise ModelError(f"{directory}: holds no {MANIFEST}, and {so}; `cnnapp export --format saved_model` writes one")


def _why(error: Exception, key: Path) -> str:
    text = str(error)
    if "Key mismatch" in text or type(error).__name__ == "InvalidSignature":
        return f"its signature was not made with the key that belongs to {key}"
    names = r"(.*?)(?:, |\"|$)"
    if found := re.search(r"Hash mismatch for '([^']*)'", text):
        return f"{found[1]} was changed after the model was signed"
    if found := re.search(rf"Extra files found in model '[^']*': {names}", text):
        return f"{found[1]} was added after the model was signed"
    if found := re.search(rf"Missing files in model '[^']*': {names}", text):
        return f"{found[1]} is missing since the model was signed"
    return f"its signature cannot be verified: {_line(error)}"


def _line(error: Exception) -> str:
    if isinstance(error, AttributeError):  # of a key that has no curve
        return "it is not on an elliptic curve"
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]


def _how() -> str:
    return "Make a pair of keys with: " + "; ".join(MAKE_KEYS)


def _count(directory: Path) -> int:
    return sum(path.is_file() for path in directory.rglob("*")) - 1
