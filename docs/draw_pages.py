"""Draw what the README shows of the pages: each is opened in Chromium, used, and photographed.

    python docs/draw_pages.py             # all of them
    python docs/draw_pages.py predict     # one

Only the models that ship, and images that are embedded, are shown.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

WIDTH = 1000


@dataclass(frozen=True)
class Shot:
    """A photograph of a page.

    Args:
        file: below docs/pictures.
        address: of the page, behind the server's.
        use: what is done with it, before it is taken.
        height: of the window, in pixels.
    """

    file: str
    address: str
    use: Callable[[Any], None]
    height: int


# === What is done with each page ===


def answer_scenes(page: Any) -> None:
    """Upload scenes that are drawn here, and wait for the answers."""
    from pipelines.data.embedded import scenes

    folder = Path(tempfile.mkdtemp())
    paths = []
    for number, example in enumerate(islice(scenes.load(0).test.examples(), 3), start=1):
        paths.append(folder / f"scene {number}.png")
        paths[-1].write_bytes(example.image)
    page.set_input_files("input[type=file]", paths)
    page.get_by_text("All results").wait_for(timeout=60_000)
    wait_for_pictures(page, 6)
    shutil.rmtree(folder)


def see_why(page: Any) -> None:
    """Look at what the network sees around the middle of a scene."""
    page.get_by_text("the pixel at x 64, y 48").first.wait_for(timeout=120_000)
    wait_for_pictures(page, 1)


def see_connections(page: Any) -> None:
    """Open the topic, and wait for its drawings."""
    page.get_by_role("heading", level=1).wait_for(timeout=90_000)
    page.get_by_text("Goodfellow").first.wait_for(timeout=90_000)


def wait_for_pictures(page: Any, count: int) -> None:
    """Wait until so many pictures are there."""
    pictures = "[...document.querySelectorAll('[data-testid=stImage] img')]"
    page.wait_for_function(f"{pictures}.filter(picture => picture.naturalWidth > 0).length >= {count}")


_SEEN = "explain?model=digit-segmentation&layer=pool2&view=What+it+sees"
PAGES = {
    "predict": Shot("page-predict.png", "?model=digit-segmentation", answer_scenes, 1150),
    "explain": Shot("page-explain.png", _SEEN, see_why, 1150),
    "layers": Shot("page-layers.png", "layers?topic=connectivity", see_connections, 1350),
}


# === The server and the browser ===


@contextmanager
def served() -> Iterator[str]:
    """Serve the pages on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "cnnapp", "ui", "--port", str(port), "--no-browser"]
    environment = os.environ | {"CNNAPP_SAVED_MODELS": str(ROOT / "saved_models")}
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(timeout=20)


def main() -> None:
    """Photograph the pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"which: {', '.join(PAGES)}; all by default")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    options = parser.parse_args()
    strange = set(options.pages) - set(PAGES)
    if strange:
        parser.error(f"no such page: {', '.join(sorted(strange))}; there is: {', '.join(PAGES)}")

    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    options.out.mkdir(parents=True, exist_ok=True)
    with served() as address, sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        for shot in (PAGES[name] for name in options.pages or PAGES):
            page = chromium.new_page(viewport={"width": WIDTH, "height": shot.height}, color_scheme="light")
            page.goto(address + shot.address)
            page.get_by_role("heading").first.wait_for(timeout=90_000)
            shot.use(page)
            page.wait_for_timeout(1500)  # for what fades in
            path = options.out / shot.file
            page.screenshot(path=path)
            page.close()
            with Image.open(path) as picture:
                picture.convert("RGB").quantize(256).save(path, optimize=True)
            print(f"{path}: {path.stat().st_size:,} bytes")
        chromium.close()


if __name__ == "__main__":
    main()
