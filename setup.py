"""What pyproject.toml cannot say: the shipped saved models go into the wheel, as ``cnnapp/saved_models``.

In the repository they stay in ``saved_models/``, beside what is trained there; an editable installation uses those.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from setuptools import Command, setup
from setuptools.command.build import build

SOURCE = Path("saved_models")
MANIFEST = "manifest.json"


class build_models(Command):  # noqa: N801 - named as setuptools names its commands
    """Copy the shipped models, each file checked against the hash in its manifest (a setuptools ``SubCommand``)."""

    description = "copy the shipped saved models"
    user_options = [("build-lib=", "d", "where to copy to")]  # noqa: RUF012 - setuptools' own form

    def initialize_options(self) -> None:
        """Leave the options open."""
        self.build_lib: str | None = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        """Copy to where the packages go."""
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self) -> None:
        """Copy; an editable installation uses the files where they are."""
        if self.editable_mode:
            return
        for copy, path in self.get_output_mapping().items():
            Path(copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)

    def get_source_files(self) -> list[str]:
        """Return what a source distribution must hold."""
        return [path.as_posix() for path in shipped_files()]

    def get_outputs(self) -> list[str]:
        """Return what is written."""
        return list(self.get_output_mapping())

    def get_output_mapping(self) -> dict[str, str]:
        """Return what is written, and what it is a copy of."""
        target = Path(self.build_lib or "", "cnnapp")
        return {(target / path).as_posix(): path.as_posix() for path in shipped_files()}


def shipped_files() -> Iterator[Path]:
    """Give the files of the shipped models: each manifest, and what it lists; nothing that lies beside it.

    Raises:
        ValueError: if a file is missing or is not what was exported.
    """
    with open("pyproject.toml", "rb") as file:
        models = tomllib.load(file)["tool"]["cnnapp"]["shipped-models"]
    for model in models:
        manifest = SOURCE / model / MANIFEST
        yield manifest
        for name, entry in json.loads(manifest.read_text(encoding="utf-8"))["files"].items():
            path, expected = SOURCE / model / name, entry["sha256"]
            found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no such file"
            if found != expected:
                raise ValueError(f"{path}: received {found}; expected SHA-256 {expected} of the model's manifest")
            yield path


build.sub_commands = [*build.sub_commands, ("build_models", None)]

setup(cmdclass={"build_models": build_models})
