"""The network that an app's containers live in: fixed addresses in its lower half, the engine's in the upper."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.naming import LABEL_ROLE, LABEL_STATE, NETWORK_PREFIX, Names, upper_half
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from docker import DockerClient


_ROUTES = Path("/proc/net/route")


def ensure(client: DockerClient, names: Names) -> str:
    """Finds or makes the network; returns its subnet.

    Raises:
        EngineError: a network of that name is not ours, or no range of addresses is free.
    """
    import docker.errors
    from docker.types import IPAMConfig, IPAMPool

    for found in client.networks.list(names=[names.network]):
        if found.name != names.network:
            continue
        found.reload()
        if (found.attrs.get("Labels") or {}).get(LABEL_STATE) != names.state_id:
            raise EngineError(
                f"a network named {names.network} exists and is not deployctl's",
                hint=f"remove it (docker network rm {names.network}) or use another --state-dir",
            )
        return str(found.attrs["IPAM"]["Config"][0]["Subnet"])
    last = ""
    for subnet in _candidates(set(_taken(client))):
        pool = IPAMPool(subnet=str(subnet), iprange=upper_half(str(subnet)))
        try:
            client.networks.create(
                names.network,
                driver="bridge",
                ipam=IPAMConfig(pool_configs=[pool]),
                labels={LABEL_ROLE: "network", LABEL_STATE: names.state_id},
                check_duplicate=True,
            )
        except docker.errors.APIError as error:
            last = str(error.explanation or error)
            if "overlap" in last.lower():
                continue
            if "already exists" in last:
                return ensure(client, names)
            raise
        return str(subnet)
    raise EngineError("no range of addresses is free for the network", why=last, hint="docker network prune")


def remove(client: DockerClient, names: Names) -> bool:
    """Removes the network; False when there is none, or somebody else's container uses it."""
    import docker.errors

    for found in client.networks.list(names=[names.network]):
        if found.name == names.network:
            try:
                found.remove()
            except docker.errors.APIError as error:
                if error.status_code in (403, 404, 409):
                    return False
                raise
            return True
    return False


def _candidates(taken: set[IPv4Network]) -> Iterator[IPv4Network]:
    # 10.213.0.0/16 first: seldom used by companies, and none of Docker's own defaults.
    for block in ("10.213.0.0/16", "10.214.0.0/16", "172.30.0.0/16", "10.215.0.0/16", "192.168.128.0/17"):
        for subnet in IPv4Network(block).subnets(new_prefix=NETWORK_PREFIX):
            if not any(subnet.overlaps(other) for other in taken):
                yield subnet


def _taken(client: DockerClient) -> Iterator[IPv4Network]:
    for found in client.networks.list():
        for pool in (found.attrs.get("IPAM") or {}).get("Config") or []:
            network = ip_network(pool["Subnet"], strict=False)
            if isinstance(network, IPv4Network):
                yield network
    # What the host routes elsewhere must stay reachable; the default route covers everything and counts not.
    for line in _ROUTES.read_text().splitlines()[1:] if _ROUTES.exists() else []:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[i])[::-1]) for i in (1, 7))
        if mask:
            yield IPv4Network((destination, mask.bit_count()))
