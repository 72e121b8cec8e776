"""The addresses at which the proxy listens: what they are on this host, and whether they are free."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from orchestrator.domain.traffic.routing import split_listen
from orchestrator.errors import UsageError

_IPV6 = Path("/proc/net/if_inet6")


def on_this_host(address: str) -> str:
    """The address to listen at: all addresses are those of IPv4 where the kernel has no IPv6."""
    return f"0.0.0.0{address[1:]}" if address.startswith("*:") and not _IPV6.exists() else address


def check_free(key: str, address: str) -> None:
    """Checks that no process listens at an address; `key` is the setting that names it. Changes nothing.

    Raises:
        UsageError: another process does, or this host does not have the address.
    """
    host, port = split_listen(on_this_host(address))
    try:
        # An address of both families has a socket for each, as in `render.bind`.
        for family, name in _sockets("::" if host == "*" else host):
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                # Without SO_REUSEPORT: the attempt must fail when any process listens there.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((name, port))
                probe.listen(1)
    except OSError as error:
        why, hint = _unusable(error, port)
        raise UsageError(f"{key}: {address} cannot be used", why=why, hint=hint) from error


def _unusable(error: OSError, port: int) -> tuple[str, str]:
    """Why an address cannot be used, and what to do about it."""
    reason = os.strerror(error.errno or 0)
    if error.errno == errno.EACCES:
        # The proxy runs as the owner of the state folder, in the network of the host.
        return (
            f"{reason}: ports below 1024 are privileged, and user {os.geteuid()} may not use them",
            "run deployctl as root, choose a port from 1024 on, or allow the port to all users:"
            f" sysctl net.ipv4.ip_unprivileged_port_start={port}",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{reason}: no network interface of this machine has it", "choose an address that 'ip address' lists"
    why = "another process uses it" if error.errno == errno.EADDRINUSE else reason
    return why, f"choose another address, or find the process: ss -ltnp 'sport = :{port}'"


def _sockets(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host == "::":
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    return [(socket.AF_INET6 if ":" in host else socket.AF_INET, host)]
