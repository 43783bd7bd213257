"""Keep Ray to this machine.

Ray takes a lone machine for the first of a cluster: it listens where others can reach it, and what comes in there is
run. A service has no use for that; only its own port is for others.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

__all__ = ["LARGEST_MESSAGE", "environment", "only_here"]

LARGEST_MESSAGE = 2**31 - 1
"""Bytes that go from one process to another at once: all that gRPC can count."""


def environment() -> dict[str, str]:
    """Return the variables of the environment with which Ray's own processes listen on 127.0.0.1 and speak to nobody.

    They are read when Ray is imported.
    """
    return {
        # Named for the systems where it is the default; it means that there is no other machine.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray starts a second time by itself if something of it is called when it has ended, as its own threads may.
        "RAY_ENABLE_AUTO_CONNECT": "0",
        # A secret of this run alone, instead of one written into the home folder.
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32),
        # Requests go straight to the model, not through shared memory, which could be full; and by one thread.
        "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
        # Of requests and of answers; the 4 MiB that gRPC begins with are less than one photograph. How large a request
        # may be is for the gateway to say.
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(LARGEST_MESSAGE),
        "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
        "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    }


def only_here() -> None:
    """Have the replica in this process listen on 127.0.0.1 alone. Ray has no option for that address."""
    from ray.serve._private import replica

    names: Any = replica  # not of those that it offers to others
    bind = names.add_port_to_grpc_server
    names.add_port_to_grpc_server = lambda server, address: bind(server, address.replace("[::]", "127.0.0.1"))
