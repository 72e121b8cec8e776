"""What a new network needs to know about the host: the address ranges in use, and the MTU of its default route."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import Any

from orchestrator.adapters.docker.addresses import BLOCKS, NETWORK_PREFIX, SMALL_BLOCKS, SMALL_PREFIX
from orchestrator.domain.naming import LABEL_ROLE
from orchestrator.text import counted

_ROUTES = Path("/proc/net/route")
_INTERFACES = Path("/sys/class/net")
MTU = "com.docker.network.driver.mtu"
_ETHERNET = 1500
_SHOWN = 10


def free(rows: Sequence[dict[str, Any]], routes: Path = _ROUTES) -> Iterator[IPv4Network]:
    """Ranges for a network that overlap none of the networks `rows` and no route of the host: large ones first."""
    taken = {network for row in rows for network in ipv4_ranges(row)}
    # Networks that the host routes to must stay reachable; the default route covers everything and is ignored.
    taken |= {network for network, _ in _routes(routes) if network.prefixlen}
    for blocks, prefix in ((BLOCKS, NETWORK_PREFIX), (SMALL_BLOCKS, SMALL_PREFIX)):
        for block in blocks:
            for subnet in IPv4Network(block).subnets(new_prefix=prefix):
                if not any(subnet.overlaps(other) for other in taken):
                    yield subnet


def used_up(rows: Sequence[dict[str, Any]], containers: Sequence[dict[str, Any]]) -> tuple[str, str, str]:
    """Why no range is free, what to do, and a line for the network of each state folder.

    `rows` are all networks and `containers` all containers, as the engine lists them.
    """
    used = Counter(name for row in containers for name in (row.get("NetworkSettings") or {}).get("Networks") or {})
    ours = [row for row in rows if (row.get("Labels") or {}).get(LABEL_ROLE) == "network"]
    ours.sort(key=lambda row: str(row["Name"]))
    unused = [row["Name"] for row in ours if not used[row["Name"]]]
    why = (
        f"{', '.join((*BLOCKS, *SMALL_BLOCKS))} are used up: by {len(ours)} networks of deployctl's state folders, and"
        " by other networks and routes of this machine"
    )
    own = 'set engine.subnet to a range that nothing else uses, such as "10.99.0.0/18"'
    hint = f"remove networks without containers: docker network rm {' '.join(unused[:_SHOWN])}; or {own}"
    lines = [f"{row['Name']}  {', '.join(map(str, ipv4_ranges(row)))}  {_users(used[row['Name']])}" for row in ours]
    return why, hint if unused else own, "\n".join(lines)


def _users(containers: int) -> str:
    return counted(containers, "container") if containers else "no container"


def ipv4_ranges(row: dict[str, Any]) -> Iterator[IPv4Network]:
    """The IPv4 ranges of a network, as the engine lists it."""
    for pool in (row.get("IPAM") or {}).get("Config") or []:
        network = ip_network(pool["Subnet"], strict=False) if pool.get("Subnet") else None
        if isinstance(network, IPv4Network):
            yield network


def mtu(wanted: int, engine: int, route: int) -> int:
    """The MTU to set for a network; 0: the engine's own default is right.

    `engine` is the setting of the daemon, which it applies to its default network only; `route` is that of the
    interface of the host's default route, which drops larger packets, often without an error to the sender.
    """
    if wanted:
        return wanted
    if engine not in (0, _ETHERNET):
        return engine
    return route if 0 < route < _ETHERNET else 0


def engine_mtu(rows: Sequence[dict[str, Any]]) -> int:
    """The MTU of the daemon's configuration; 0 when it is not known."""
    default = next((row for row in rows if row.get("Name") == "bridge"), {})
    text = str((default.get("Options") or {}).get(MTU, ""))
    return int(text) if text.isdigit() else 0


def route_mtu(routes: Path = _ROUTES, interfaces: Path = _INTERFACES) -> int:
    """The MTU of the interface of the default route; 0 when there is none."""
    interface = next((name for network, name in _routes(routes) if not network.prefixlen), "")
    try:
        return int((interfaces / interface / "mtu").read_text()) if interface else 0
    except (OSError, ValueError):
        return 0


def _routes(file: Path) -> list[tuple[IPv4Network, str]]:
    """The IPv4 routes of the host with their interfaces, those with the lowest metric first."""
    rows = [line.split() for line in file.read_text().splitlines()[1:]] if file.exists() else []
    found = []
    for row in sorted(rows, key=lambda row: int(row[6])):
        destination, mask = (int.from_bytes(bytes.fromhex(row[i])[::-1]) for i in (1, 7))
        found.append((IPv4Network((destination, mask.bit_count())), row[0]))
    return found
