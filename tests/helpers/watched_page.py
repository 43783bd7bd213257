"""The page served by a process that can be asked what it still holds: a line in, a line of JSON out."""

from __future__ import annotations

import json
import sys
import threading
from typing import Any


def state(seed: int) -> dict[str, Any]:
    """Return what is held, of the image :func:`reachable.marked` and altogether."""
    import psutil
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
        "resident": psutil.Process().memory_info().rss,
    }


def answer() -> None:
    """Answer the questions, one a line: the seed of an image."""
    for line in sys.stdin:
        try:
            said = state(int(line))
        except Exception as error:
            said = {"error": repr(error)}
        print(json.dumps(said), flush=True)


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
    }
    bootstrap.load_config_options(options)
    bootstrap.run(script, False, [], options)


if __name__ == "__main__":
    main()
