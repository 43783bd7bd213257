"""What the tests of pages in a real browser share: one page that is served, and a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from page_server import chromium, served
from pipelines.artifacts.model_card import read_card, write_card
from places import ROOT


@pytest.fixture(scope="session", autouse=True)
def manifests() -> Iterator[None]:
    """Look through what is installed for parts of pages once, and not anew for each page that is tested."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(scope="session")
def address(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The pages with the models that ship, one of them twice, and with a classifier made here.

    Starting it costs as much as many a test, so that all tests of a process share one.
    """
    root = tmp_path_factory.mktemp("saved_models")
    for name in ("digits", "fashion", "digit-scenes", "digit-segmentation"):
        shutil.copytree(ROOT / "saved_models" / name, root / name)
    shutil.copytree(trained.path.parent, root / trained.path.parent.name)
    second = Path(shutil.copytree(root / "digits" / "1", root / "digits" / "2"))
    write_card(second, read_card(second).model_copy(update={"version": 2}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNAPP_SAVED_MODELS", str(root))
        with served(root / "page.log") as url:
            yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser; of a module, because what runs in it must not outlast it into tests that have a loop of their own."""
    with chromium() as started:
        yield started
