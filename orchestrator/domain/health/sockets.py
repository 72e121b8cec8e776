"""The sockets on which a container listens, and what they say about a version that does not answer. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from orchestrator.frozen import frozen

_LISTEN = "0A"
# The engine's own DNS server listens in the network namespace of each container of a user-defined network.
_ENGINE_DNS = "127.0.0.11"


@frozen
class Listener:
    """A TCP socket that accepts connections: its address, `0.0.0.0` or `::` for all, and its port."""

    address: str
    port: int

    @property
    def everywhere(self) -> bool:
        return self.address in ("0.0.0.0", "::")

    @property
    def loopback(self) -> bool:
        return self.address.startswith("127.") or self.address == "::1"

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def parse(table: str) -> tuple[Listener, ...]:
    """The listening sockets in the text of /proc/net/tcp, of /proc/net/tcp6, or of both. Ignores other lines."""
    found = set()
    for line in table.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[3] == _LISTEN and ":" in fields[1]:
            host, _, port = fields[1].rpartition(":")
            try:
                found.add((_address(host), int(port, 16)))
            except (ValueError, struct.error):
                continue
    listeners = (Listener(address, port) for address, port in found if address != _ENGINE_DNS)
    return tuple(sorted(listeners, key=lambda each: (each.port, each.address)))


def _address(text: str) -> str:
    """An address as the kernel prints it: 32-bit words in the byte order of the machine."""
    words = [int(text[start : start + 8], 16) for start in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(packed) == 4:
        return str(IPv4Address(packed))
    address = IPv6Address(packed)
    return str(address.ipv4_mapped or address)


def reachable(listeners: Iterable[Listener], port: int) -> bool:
    """Whether one of the sockets accepts connections on `port` that come from outside of the container."""
    return any(each.port == port and not each.loopback for each in listeners)


def other_ports(listeners: Iterable[Listener], port: int) -> tuple[int, ...]:
    """The ports, other than `port`, that are reachable from outside of the container, the lowest first."""
    return tuple(sorted({each.port for each in listeners if each.port != port and not each.loopback}))
