"""The page served by a process that can be asked what it still holds: a line in, a line of JSON out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from places import ROOT

Ask = Callable[[int], dict[str, Any]]


@contextmanager
def watched(script: Path, log_file: Path, kept: int = 6, **environment: str) -> Iterator[tuple[str, Ask]]:
    """Serve a script of Streamlit's; give its address, and a function that asks its process what it holds.

    Args:
        script: such as ``ui/app.py``.
        log_file: what the process says.
        kept: seconds that a session whose browser went away can be taken up again.
        **environment: of the process, besides this one's.
    """
    from page_server import free_port, wait_until_up  # here: the process that is watched needs no browser

    port = free_port()
    command = [sys.executable, __file__, str(script), str(port), str(kept)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])
    with open(log_file, "w") as log:
        server = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            env={**os.environ, "PYTHONPATH": paths, **environment},
        )  # fmt: skip
    assert server.stdin is not None
    assert server.stdout is not None

    def ask(seed: int) -> dict[str, Any]:
        server.stdin.write(f"{seed}\n")
        server.stdin.flush()
        while not (line := server.stdout.readline()).startswith("{"):
            assert line, log_file.read_text()
        found: dict[str, Any] = json.loads(line)
        assert "error" not in found, found
        return found

    try:
        yield wait_until_up(server, port, log_file), ask
    finally:
        server.stdin.close()  # at which it ends
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()


def until_gone(ask: Ask, seed: int) -> dict[str, Any]:
    """Wait until nothing of an image is held, but not for ever; return what is held."""
    for _ in range(40):
        found = ask(seed)
        if not found["holders"] and not found["sessions"]:
            break
        time.sleep(0.5)
    return found


NOTHING = {"holders": [], "kept": 0, "sessions": 0, "jobs": 0, "uploads": 0, "media": 0, "downloads": 0}
"""What is held once everybody is gone."""


def state(seed: int) -> dict[str, Any]:
    """Return what is held, of the image :func:`reachable.marked` and altogether."""
    from streamlit import runtime

    from cnnapp.sessions.session import shared
    from reachable import holders

    server: Any = runtime.get_instance()
    uploads = server.uploaded_file_mgr.file_storage
    media = server.media_file_mgr
    return {
        "holders": holders(seed),
        "kept": shared().budget.size,
        "sessions": len(shared().budget),
        "jobs": shared().queue.waiting + shared().queue.running,
        "uploads": sum(len(file.data) for session in uploads.values() for file in session.values()),
        "media": len(media._storage._files_by_id),
        "downloads": len(media._deferred_callables),
    }


def answer() -> None:
    """Answer the questions, one a line: the seed of an image."""
    for line in sys.stdin:
        try:
            said = state(int(line))
        except Exception as error:
            said = {"error": repr(error)}
        print(json.dumps(said), flush=True)
    os._exit(0)  # whoever asked is gone


def main() -> None:
    """Serve the page: the arguments are its script, the port, and seconds that a closed session is kept."""
    from streamlit.web import bootstrap

    script, port, seconds = sys.argv[1:]
    threading.Thread(target=answer, daemon=True).start()
    options = {
        "server_port": int(port),
        "server_address": "127.0.0.1",
        "server_headless": True,
        "server_disconnectedSessionTTL": int(seconds),
        "browser_gatherUsageStats": False,
        "server_enableXsrfProtection": False,
    }
    bootstrap.load_config_options(options)
    bootstrap.run(script, False, [], options)


if __name__ == "__main__":
    main()
