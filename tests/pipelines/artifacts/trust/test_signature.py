"""Signatures of saved models: made and verified with keys in files; whatever was changed is named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pipelines.artifacts.manifest import SIGNATURE
from pipelines.artifacts.served_model import ServedModel
from pipelines.artifacts.trust import policy
from pipelines.artifacts.trust.policy import admit_keras_file, require_signature
from pipelines.artifacts.trust.signature import sign_model, verify_signature
from pipelines.core.errors import ConfigError, ModelError
from places import ROOT


def write_keys(
    folder: Path, name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b""
) -> None:
    pem = serialization.Encoding.PEM
    cipher = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, cipher)
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pem").write_bytes(private)
    (folder / f"{name}-public.pem").write_bytes(public)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write_keys(folder, "own", ec.generate_private_key(ec.SECP256R1()))
    write_keys(folder, "other", ec.generate_private_key(ec.SECP384R1()))
    write_keys(folder, "locked", ec.generate_private_key(ec.SECP256R1()), b"secret")
    write_keys(folder, "rsa", rsa.generate_private_key(65537, 2048))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A shipped model with a manifest."""
    directory = Path(shutil.copytree(ROOT / "saved_models" / "digits" / "1", tmp_path / "digits" / "1"))
    if not (directory / "manifest.json").exists():
        (directory / "manifest.json").write_text("{}")
    (directory / SIGNATURE).unlink(missing_ok=True)
    return directory


@pytest.fixture
def signed(model: Path, keys: Path) -> Path:
    sign_model(model, keys / "own.pem")
    return model


def test_a_signature_is_verified_with_the_public_key(model: Path, keys: Path):
    count = sign_model(model, keys / "own.pem")
    assert count == sum(path.is_file() for path in model.rglob("*")) - 1
    assert verify_signature(model, keys / "own-public.pem") == count
    assert [path.name for path in model.iterdir() if SIGNATURE in path.name] == [SIGNATURE]


def test_a_model_may_be_signed_again_and_moved(signed: Path, keys: Path, tmp_path: Path):
    sign_model(signed, keys / "other.pem")
    moved = signed.rename(tmp_path / "7")
    assert verify_signature(moved, keys / "other-public.pem")


def test_an_encrypted_key_needs_its_password(model: Path, keys: Path):
    with pytest.raises(ConfigError, match=r"locked\.pem: is no private key that can be used: Password was not given"):
        sign_model(model, keys / "locked.pem")
    sign_model(model, keys / "locked.pem", b"secret")
    assert verify_signature(model, keys / "locked-public.pem")


def test_another_key_is_not_enough(signed: Path, keys: Path):
    with pytest.raises(ModelError, match=r"was not made with the key that belongs to .*other-public\.pem"):
        verify_signature(signed, keys / "other-public.pem")


@pytest.mark.parametrize(
    "name", ["model_card.json", "saved_model.pb", "manifest.json", "variables/variables.index", "golden/expected.json"]
)
def test_a_changed_file_is_named(name: str, signed: Path, keys: Path):
    with (signed / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match=f"{name} was changed after the model was signed"):
        verify_signature(signed, keys / "own-public.pem")


@pytest.mark.parametrize("name", ["assets/more.txt", ".gitignore", ".git/config"])
def test_an_added_file_is_named(name: str, signed: Path, keys: Path):
    (signed / name).parent.mkdir(exist_ok=True)
    (signed / name).write_text("x")
    with pytest.raises(ModelError, match=f"{name} was added after the model was signed"):
        verify_signature(signed, keys / "own-public.pem")


def test_a_missing_file_is_named(signed: Path, keys: Path):
    (signed / "assets" / "labels.txt").unlink()
    with pytest.raises(ModelError, match=r"assets/labels\.txt is missing since the model was signed"):
        verify_signature(signed, keys / "own-public.pem")


def test_a_link_is_not_signed(model: Path, keys: Path):
    (model / "link").symlink_to("/etc/hostname")
    with pytest.raises(ModelError, match="cannot be signed"):
        sign_model(model, keys / "own.pem")


@pytest.mark.parametrize("how", ["empty", "none", "cut", "no signatures", "no key", "payload", "bytes"])
def test_a_damaged_signature_is_none(how: str, signed: Path, keys: Path):
    path = signed / SIGNATURE
    text = path.read_text()
    bundle = json.loads(text)
    if how == "no signatures":
        bundle["dsseEnvelope"]["signatures"] = []
    if how == "no key":
        del bundle["verificationMaterial"]
    if how == "payload":
        bundle["dsseEnvelope"]["payload"] = bundle["dsseEnvelope"]["payload"][:-8] + "AAAAAAA="
    damaged = {"empty": b"", "none": b"{}", "cut": text[:500].encode(), "bytes": b"\xff\x00"}
    path.write_bytes(damaged.get(how, json.dumps(bundle).encode()))
    with pytest.raises(ModelError, match="its signature") as refused:
        verify_signature(signed, keys / "own-public.pem")
    assert "\n" not in str(refused.value)


def test_a_signature_that_is_no_file_is_not_read(model: Path, keys: Path):
    os.mkfifo(model / SIGNATURE)
    with pytest.raises(ModelError, match="is no signature"):
        verify_signature(model, keys / "own-public.pem")


@pytest.mark.parametrize(("name", "reason"), [("none", "cannot be read"), ("rsa", "not on an elliptic curve")])
def test_a_key_that_cannot_be_used_is_refused_with_how_to_make_one(name: str, reason: str, signed: Path, keys: Path):
    for call, path in ((sign_model, keys / f"{name}.pem"), (verify_signature, keys / f"{name}-public.pem")):
        with pytest.raises(ConfigError, match=reason) as refused:
            call(signed, path)
        assert name == "none" or "openssl ecparam" in str(refused.value)


def test_a_model_without_a_manifest_is_neither_signed_nor_counts_as_signed(signed: Path, keys: Path):
    (signed / "manifest.json").unlink()
    with pytest.raises(ModelError, match=r"holds no manifest\.json, and cannot be signed"):
        sign_model(signed, keys / "own.pem")
    with pytest.raises(ModelError, match=r"holds no manifest\.json, and does not count as signed"):
        verify_signature(signed, keys / "own-public.pem")


# --- Where only signed models are loaded ---


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch, keys: Path) -> None:
    monkeypatch.setenv(policy.REQUIRE_SIGNED, "1")
    monkeypatch.setenv(policy.KEY, str(keys / "own-public.pem"))


@pytest.mark.usefixtures("required")
def test_an_unsigned_model_is_not_loaded_even_if_it_is_trusted(model: Path):
    with pytest.raises(ModelError, match=r"digits/1: is not signed: it holds no model\.sig"):
        ServedModel(model, trust=True)


@pytest.mark.usefixtures("required")
def test_a_model_signed_with_another_key_is_not_loaded(model: Path, keys: Path):
    sign_model(model, keys / "other.pem")
    with pytest.raises(ModelError, match="was not made with the key"):
        ServedModel(model)


@pytest.mark.usefixtures("required")
def test_a_signed_model_is_loaded(signed: Path):
    assert ServedModel(signed).card.name == "digits"


@pytest.mark.usefixtures("required")
def test_a_keras_file_never_counts_as_signed(tmp_path: Path):
    with pytest.raises(ModelError, match="CNNAPP_REQUIRE_SIGNED"):
        admit_keras_file(tmp_path / "model.keras", trust=True)


def test_the_key_has_to_be_named(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(policy.REQUIRE_SIGNED, "1")
    monkeypatch.delenv(policy.KEY, raising=False)
    with pytest.raises(ConfigError, match="CNNAPP_SIGNING_KEY is not"):
        require_signature(model)


def test_without_the_variable_no_signature_is_asked_for(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(policy.REQUIRE_SIGNED, raising=False)
    require_signature(model)
