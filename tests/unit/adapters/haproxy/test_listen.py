"""Addresses on which the proxy cannot listen."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest

from orchestrator.adapters.haproxy import listening
from orchestrator.errors import UsageError


def refused(monkeypatch: pytest.MonkeyPatch, number: int, address: str = "127.0.0.1:80") -> UsageError:
    class Refusing(socket.socket):
        def bind(self, address: Any) -> None:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(UsageError) as caught:
        listening.check_free("proxy.listen", address)
    assert caught.value.message == f"proxy.listen: {address} cannot be used"
    return caught.value


def test_a_privileged_port(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(monkeypatch, errno.EACCES)
    assert "ports below 1024 are privileged" in error.why
    assert "as root" in error.hint
    assert "net.ipv4.ip_unprivileged_port_start=80" in error.hint


def test_an_address_of_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(monkeypatch, errno.EADDRNOTAVAIL, "192.0.2.1:8000")
    assert "no network interface" in error.why
    assert "ip address" in error.hint


def test_an_address_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(monkeypatch, errno.EADDRINUSE)
    assert error.why == "another process uses it"
    assert "ss -ltnp" in error.hint
