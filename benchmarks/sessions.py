"""Many browsers at once: 16 sessions of Chromium ask the service 100 times each, and then look at the page's answers.

Every session asks for images in an order of its own, of three tasks, for detection with other thresholds each time.
Each answer is compared, number by number, with what the model says here. A wrong, a mixed-up or a missing answer ends
the script with an error. It prints how far answers lie, how often each model was loaded, and the memory on the way.

    python benchmarks/sessions.py
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import project_first  # noqa: F401
import psutil
import requests
from serve import start

import cnnapp
from pipelines.artifacts.golden import read_golden

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("digits", "digit-scenes", "digit-segmentation")
PAGE_MODEL = "fashion"
THRESHOLDS = (0.2, 0.459, 0.7)
TOLERANCE = 1e-5
ASK = """
async ({path, body, expected}) => {
    const answer = await fetch(path, {method: "POST", body: JSON.stringify(body)});
    if (answer.status !== 200) return {problem: answer.status + " " + await answer.text()};
    const far = (a, b) => {
        if (Array.isArray(b)) {
            if (!Array.isArray(a) || a.length !== b.length) return Infinity;
            return b.reduce((most, one, at) => Math.max(most, far(a[at], one)), 0);
        }
        if (typeof b === "number") return Math.abs(a - b) / Math.max(1, Math.abs(b));
        return a === b ? 0 : Infinity;
    };
    const outputs = (await answer.json()).outputs;
    let most = Object.keys(outputs).length === Object.keys(expected).length ? 0 : Infinity;
    for (const name in expected) most = Math.max(most, far(outputs[name], expected[name]));
    return {most: most === Infinity ? -1 : most};
}
"""


def questions() -> list[dict[str, Any]]:
    """Return what is asked: path, body, and the outputs that the model gives here, alone."""
    found = []
    for name in MODELS:
        served = cnnapp.load(ROOT / "saved_models" / name).served
        for data in read_golden(served.directory).inputs[:6]:
            for threshold in THRESHOLDS if "score_threshold" in served.card.input else (None,):
                options = {} if threshold is None else {"score_threshold": threshold}
                outputs = {key: value.tolist() for key, value in served([data], **options).items()}
                inputs = {"image_bytes": [{"b64": base64.b64encode(data).decode()}], **options}
                found.append({"path": f"/v1/models/{name}:predict", "body": {"inputs": inputs}, "expected": outputs})
    return found


async def ask(browser: Any, url: str, asked: list[dict[str, Any]], seed: int, count: int, pages: dict) -> float:
    """Ask so often in one session; return the largest difference."""
    if seed not in pages:
        pages[seed] = await (await browser.new_context()).new_page()
        await pages[seed].goto(f"{url}/v1/models/{MODELS[0]}")
    dice, most = random.Random(f"{seed} {count}"), 0.0
    for _ in range(count):
        found = await pages[seed].evaluate(ASK, dice.choice(asked))
        if "problem" in found or not 0 <= found["most"] <= TOLERANCE:
            raise SystemExit(f"session {seed}: a wrong answer: {found}")
        most = max(most, found["most"])
    return most


def told(url: str, figure: str) -> dict[str, float]:
    """Return a figure of the service by model."""
    text = requests.get(f"{url}/metrics", timeout=30).text
    rows = re.findall(rf"^{figure}{{([^}}]*)}} (\S+)$", text, flags=re.MULTILINE)
    return {re.search(r'model="([^"]*)"', labels)[1]: float(value) for labels, value in rows}


def in_words(memory: dict[str, float]) -> str:
    """Return memory by model, in MiB."""
    return ", ".join(f"{name} {value / 2**20:,.0f} MiB" for name, value in memory.items())


async def through_the_service(browser: Any, sessions: int, count: int) -> None:
    """Ask the service from all sessions at once, a tenth of the requests first."""
    asked = questions()
    directories = [str(ROOT / "saved_models" / name) for name in MODELS]
    process, url, _ = start(*directories)
    try:
        pages: dict[int, Any] = {}
        for part in (count // 10, count - count // 10):
            began = time.perf_counter()
            most = max(await asyncio.gather(*(ask(browser, url, asked, n, part, pages) for n in range(sessions))))
            seconds = time.perf_counter() - began
            print(
                f"service: {sessions} sessions x {part} requests in {seconds:.0f} s, {sessions * part / seconds:.0f} a "
                f"second; none wrong, largest difference {most:.2g}; "
                f"memory {in_words(told(url, 'cnnapp_replica_memory_bytes'))}",
                flush=True,
            )
        loads = ", ".join(f"{name} {value:.0f}" for name, value in told(url, "cnnapp_model_loads").items())
        print(f"service: models were loaded so often: {loads}")
    finally:
        process.terminate()
        process.wait(60)


async def look(browser: Any, url: str, wanted: dict[str, str], seed: int, count: int, pages: dict) -> None:
    """Choose examples on the page one after another, and read the answers that it shows."""
    if seed not in pages:
        page = pages[seed] = await (await browser.new_context()).new_page()
        await page.goto(f"{url}?model={PAGE_MODEL}")
        await page.get_by_role("radio", name="Examples").click(timeout=300_000)
    page, dice = pages[seed], random.Random(f"page {seed} {count}")
    for _ in range(count):
        label = dice.choice(list(wanted))
        pill = page.get_by_role("button", name=label, exact=True)
        await pill.click(timeout=300_000)
        # Headings on the page are its title, the answer, and that of the table.
        await page.get_by_role("heading", name="All results").wait_for(timeout=300_000)
        shown = await page.get_by_role("heading", level=3).all_inner_texts()
        if wanted[label] not in shown:
            raise SystemExit(f"session {seed}: {label}: the page shows {shown}, not {wanted[label]}")
        await pill.click()
        await page.get_by_role("heading", name="All results").wait_for(state="hidden", timeout=300_000)


async def through_the_page(browser: Any, sessions: int, count: int) -> None:
    """Look at answers on the page from all sessions at once, half of them first."""
    model = cnnapp.load(ROOT / "saved_models" / PAGE_MODEL)
    golden = read_golden(model.served.directory)
    wanted = {}
    for name, answer in zip(golden.outputs["class_names"], model.predict(golden.inputs), strict=True):
        wanted.setdefault(str(name), f"{answer.class_name} · {answer.score:.1%}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "cnnapp", "ui", "--port", str(port), "--no-browser"]
    environment = os.environ | {"CNNAPP_SAVED_MODELS": str(ROOT / "saved_models")}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}/"
            for _ in range(300):
                try:
                    urllib.request.urlopen(f"{url}_stcore/health", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.3)
            pages: dict[int, Any] = {}
            for part in (count // 2, count - count // 2):
                began = time.perf_counter()
                await asyncio.gather(*(look(browser, url, wanted, n, part, pages) for n in range(sessions)))
                seconds, memory = time.perf_counter() - began, psutil.Process(process.pid).memory_info().rss
                print(
                    f"page: {sessions} sessions x {part} answers in {seconds:.0f} s; none wrong; memory of the page "
                    f"{memory / 2**20:,.0f} MiB",
                    flush=True,
                )
        finally:
            process.terminate()
            process.wait(60)


async def run(options: argparse.Namespace) -> None:
    """Open the browser and do both."""
    from playwright.async_api import async_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        await through_the_service(browser, options.sessions, options.requests)
        await through_the_page(browser, options.sessions, options.answers)
        await browser.close()


def main() -> None:
    """Read the options, and go."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=16)
    parser.add_argument("--requests", type=int, default=100, help="of each session to the service")
    parser.add_argument("--answers", type=int, default=20, help="that each session looks at on the page")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
