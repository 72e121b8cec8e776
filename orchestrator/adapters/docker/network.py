"""The network that all apps share: fixed addresses in its lower half, automatic ones in the upper half."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.docker.addresses import NETWORK_PREFIX, upper_half
from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.domain.naming import LABEL_ROLE, LABEL_STATE, Names
from orchestrator.errors import EngineError
from orchestrator.frozen import frozen

if TYPE_CHECKING:
    from docker import DockerClient

_ROUTES = Path("/proc/net/route")


@frozen
class Network:
    """A network on the engine."""

    id: str
    subnet: str


def ensure(client: DockerClient, names: Names) -> Network:
    """Finds or creates the network. May be repeated, and called by several processes at the same time.

    Raises:
        EngineError: a network of that name does not belong to this state folder, or no address range is free.
        EngineUnreachable: the engine does not answer.
    """
    network = _choose(client, names)
    if network is not None:
        return network
    with engine_errors("create the network"):
        _create(client, names)
    network = _choose(client, names)
    if network is None:
        raise EngineError(
            "the engine could not create the network",
            why=f"another process removed {names.network} at the same time",
            hint="run the command again",
        )
    return network


def find(client: DockerClient, names: Names) -> Network | None:
    """The network; None when there is none. Changes nothing.

    Raises:
        EngineError: a network of that name is not deployctl's.
        EngineUnreachable: the engine does not answer.
    """
    rows = _ours(client, names)
    return _network(rows[0]) if rows else None


def _choose(client: DockerClient, names: Names) -> Network | None:
    """The network. Engine 20.10 creates two networks with one name when two processes request it at the same time, and
    then rejects that name: all processes choose the oldest one, and remove the others."""
    rows = _ours(client, names)
    with engine_errors("remove a second network of the same name"):
        for row in rows[1:]:
            _remove(client, row["Id"])
    return _network(rows[0]) if rows else None


def _ours(client: DockerClient, names: Names) -> list[dict[str, Any]]:
    with engine_errors("list the networks"):
        rows = _named(client, names)
    if any((row.get("Labels") or {}).get(LABEL_STATE) != names.state_id for row in rows):
        raise EngineError(
            f"a network named {names.network} exists and is not deployctl's",
            hint=f"remove it (docker network rm {names.network}), or use another --state-dir",
        )
    return sorted(rows, key=lambda row: (row["Created"], row["Id"]))


def _network(row: dict[str, Any]) -> Network:
    return Network(row["Id"], row["IPAM"]["Config"][0]["Subnet"])


def remove(client: DockerClient, names: Names) -> bool:
    """Removes the network; False when there is none, or another program's container uses it.

    Raises:
        EngineError: the engine rejected the request.
        EngineUnreachable: the engine does not answer.
    """
    with engine_errors("remove the network"):
        ours = [row for row in _named(client, names) if (row.get("Labels") or {}).get(LABEL_STATE) == names.state_id]
        removed = [_remove(client, row["Id"]) for row in ours]
        return bool(removed) and all(removed)


def _named(client: DockerClient, names: Names) -> list[dict[str, Any]]:
    # The engine's filter matches parts of names.
    return [row for row in client.api.networks(names=[names.network]) if row["Name"] == names.network]


def _remove(client: DockerClient, network_id: str) -> bool:
    import docker.errors

    try:
        client.api.remove_network(network_id)
    except docker.errors.APIError as error:
        if error.status_code in (403, 404, 409):
            return False
        raise
    return True


def _create(client: DockerClient, names: Names) -> None:
    import docker.errors
    from docker.types import IPAMConfig, IPAMPool

    last = ""
    for subnet in _candidates(set(_taken(client))):
        pool = IPAMPool(subnet=str(subnet), iprange=upper_half(str(subnet)))
        try:
            # Not client.networks.create: it inspects the network, which another process may have removed meanwhile.
            client.api.create_network(
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
                return
            raise
        return
    raise EngineError(
        "no address range is free for the network", why=last, hint="remove unused networks: docker network prune"
    )


def _candidates(taken: set[IPv4Network]) -> Iterator[IPv4Network]:
    # 10.213.0.0/16 first: rarely used in companies, and not one of Docker's defaults.
    for block in ("10.213.0.0/16", "10.214.0.0/16", "172.30.0.0/16", "10.215.0.0/16", "192.168.128.0/17"):
        for subnet in IPv4Network(block).subnets(new_prefix=NETWORK_PREFIX):
            if not any(subnet.overlaps(other) for other in taken):
                yield subnet


def _taken(client: DockerClient) -> Iterator[IPv4Network]:
    for row in client.api.networks():
        for pool in (row.get("IPAM") or {}).get("Config") or []:
            network = ip_network(pool["Subnet"], strict=False)
            if isinstance(network, IPv4Network):
                yield network
    # Networks that the host routes to must stay reachable; the default route covers everything and is ignored.
    for line in _ROUTES.read_text().splitlines()[1:] if _ROUTES.exists() else []:
        fields = line.split()
        destination, mask = (int.from_bytes(bytes.fromhex(fields[i])[::-1]) for i in (1, 7))
        if mask:
            yield IPv4Network((destination, mask.bit_count()))
