"""Ports of this machine, when several want them."""

from __future__ import annotations

import socket

import pytest

from cnnapp.service import ports
from pipelines.core.errors import ConfigError, ServiceError


def test_a_port_that_is_held_is_nobody_elses(monkeypatch):
    """Also before anything is answered there: two that only bind a port would both have it."""
    with ports.hold("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with pytest.raises(ServiceError, match=f"127.0.0.1:{port}: cannot be listened on: .* another --port"):
            ports.hold("127.0.0.1", port)
        monkeypatch.setattr(ports, "FIRST", port)
        with ports.hold("127.0.0.1", None) as other:
            assert port < other.getsockname()[1] < port + 100
    with ports.hold("127.0.0.1", None) as again:
        assert again.getsockname()[1] == port


def test_who_connects_early_is_kept():
    with ports.hold("127.0.0.1", 0) as held, socket.create_connection(held.getsockname(), timeout=5) as early:
        taken, _ = held.accept()
        with taken:
            taken.sendall(b"at last")
        assert early.recv(100) == b"at last"


def test_ports_that_are_all_taken_are_said(monkeypatch):
    monkeypatch.setattr(ports, "_TRIED", 1)
    with ports.hold("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        monkeypatch.setattr(ports, "FIRST", port)
        with pytest.raises(ConfigError, match=f"none from {port} to {port} is free on 127.0.0.1"):
            ports.hold("127.0.0.1", None)


@pytest.mark.parametrize("address", ["nosuchhost.invalid", "203.0.113.7"])
@pytest.mark.parametrize("port", [0, None])
def test_an_address_of_another_machine_is_named(address: str, port: int | None):
    with pytest.raises(ConfigError, match=f"--address: {address} is none of this machine"):
        ports.hold(address, port)
