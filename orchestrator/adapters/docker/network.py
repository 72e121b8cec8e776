"""The apps' networks: fixed addresses in the lower half, automatic ones in the upper half, no traffic between apps.

The options of a network cannot be changed while containers use it. So a network of deployctl that does not have the
wanted ones any more is left as it is, and new containers go to a second one, named NAME-2: each app moves with its next
release, which loses no request. When no container is left in the first one, it is made again.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.docker import ranges
from orchestrator.adapters.docker.addresses import check_room, upper_half
from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.domain.naming import LABEL_ROLE, LABEL_STATE, Names
from orchestrator.domain.rollout.workload import NetworkSpec
from orchestrator.errors import EngineError, UsageError
from orchestrator.frozen import frozen

if TYPE_CHECKING:
    from docker import DockerClient

ICC = "com.docker.network.bridge.enable_icc"
_TRIES = 3
_NOTHING_FREE = "no address range is free for the network of this state folder"


@frozen
class Network:
    """A network on the engine. `ours`: deployctl made it, so its automatic addresses are in the upper half."""

    id: str
    name: str
    subnet: str
    ours: bool
    isolated: bool


def names_of(names: Names, spec: NetworkSpec) -> tuple[str, str]:
    """The names of an app's network, and of the second one, which replaces it while it cannot be changed."""
    first = spec.name or names.network
    return first, f"{first}-2"


def ensure(client: DockerClient, names: Names, spec: NetworkSpec) -> Network:
    """Finds or creates the network for new containers. May be repeated, and called by several processes at once.

    Raises:
        EngineError: a network of that name cannot be used, or no address range is free.
        UsageError: an existing network is not what `spec` asks for.
        EngineUnreachable: the engine does not answer.
    """
    first, second = names_of(names, spec)
    for _ in range(_TRIES):
        rows = _rows(client, names, spec)
        if first in rows and not _ours(rows[first], names):
            return _accepted(rows[first], spec)
        if first in rows and _fits(rows[first], spec):
            if second in rows:
                _remove_unused(client, rows[second])
            return _network(rows[first], names)
        wanted = first
        if first in rows and not _remove_unused(client, rows[first]):
            wanted = second
            if second in rows and _ours(rows[second], names) and _fits(rows[second], spec):
                return _network(rows[second], names)
            if second in rows and not _remove_unused(client, rows[second]):
                raise _both_in_use(first, second)
        with engine_errors("create the network"):
            _create(client, names, spec, wanted)
    raise EngineError(
        "the engine could not create the network",
        why=f"another process removed {first} at the same time",
        hint="run the command again",
    )


def check(client: DockerClient, names: Names, spec: NetworkSpec, app_number: int) -> None:
    """Checks that `ensure` has, or can create, a network with addresses for an app of this number. Changes nothing.

    Raises:
        UsageError: no address range is free, or the network has no addresses for another app.
        EngineUnreachable: the engine does not answer.
    """
    first, second = names_of(names, spec)
    with engine_errors("list the networks"):
        rows = client.api.networks()
        own = {row["Name"]: row for row in rows if row["Name"] in (first, second)}
        # The first one, unless it is ours and has other options: then the second one, or a new one.
        fitting = [row for row in own.values() if not _ours(row, names) or _fits(row, spec)]
        chosen = min(fitting, key=lambda row: str(row["Name"]), default=None)
        if chosen is not None:
            subnet = _subnet(chosen)
        else:
            subnet = IPv4Network(spec.subnet) if spec.subnet else next(ranges.free(rows), None)
        if subnet is not None:
            check_room(str(subnet), app_number)
        elif chosen is None and not own:
            why, hint, details = ranges.used_up(rows, client.api.containers(all=True))
            raise UsageError(_NOTHING_FREE, why=why, hint=hint, details=details)


def find(client: DockerClient, names: Names, spec: NetworkSpec) -> list[Network]:
    """The networks that containers of an app may be in, the one for new containers first. Changes nothing.

    Raises:
        EngineUnreachable: the engine does not answer.
    """
    with engine_errors("list the networks"):
        rows = [row for row in _named(client, names, spec) if _subnet(row) is not None]
    found = [_network(row, names) for row in sorted(rows, key=lambda row: (row["Name"], row["Created"]))]
    return sorted(found, key=lambda network: not network.isolated)


def remove(client: DockerClient, names: Names) -> bool:
    """Removes all networks of the state folder; False when there is none, or another program's container uses one.

    Raises:
        EngineError: the engine rejected the request.
        EngineUnreachable: the engine does not answer.
    """
    with engine_errors("remove the network"):
        chosen = {"label": [f"{LABEL_STATE}={names.state_id}", f"{LABEL_ROLE}=network"]}
        removed = [_remove(client, row["Id"]) for row in client.api.networks(filters=chosen)]
        return bool(removed) and all(removed)


def _rows(client: DockerClient, names: Names, spec: NetworkSpec) -> dict[str, dict[str, Any]]:
    """The network and the second one, by name.

    Engine 20.10 creates two networks with one name when two processes request it at the same time, and then rejects
    that name: all processes choose the oldest one, and remove the others.
    """
    rows: dict[str, dict[str, Any]] = {}
    with engine_errors("list the networks"):
        for row in sorted(_named(client, names, spec), key=lambda row: (row["Created"], row["Id"])):
            if row["Name"] not in rows:
                rows[row["Name"]] = row
            elif _ours(row, names):
                _remove(client, row["Id"])
    return rows


def _named(client: DockerClient, names: Names, spec: NetworkSpec) -> list[dict[str, Any]]:
    wanted = names_of(names, spec)
    # The engine's filter matches parts of names.
    return [row for row in client.api.networks(names=[wanted[0]]) if row["Name"] in wanted]


def _ours(row: dict[str, Any], names: Names) -> bool:
    return bool((row.get("Labels") or {}).get(LABEL_STATE) == names.state_id)


def _subnet(row: dict[str, Any]) -> IPv4Network | None:
    """The network's IPv4 range; None when it has none."""
    return next(ranges.ipv4_ranges(row), None)


def _network(row: dict[str, Any], names: Names) -> Network:
    isolated = (row.get("Options") or {}).get(ICC) == "false"
    made = _ours(row, names) and (row.get("Labels") or {}).get(LABEL_ROLE) == "network"
    return Network(row["Id"], row["Name"], str(_subnet(row)), made, isolated)


def _fits(row: dict[str, Any], spec: NetworkSpec) -> bool:
    options = row.get("Options") or {}
    return (
        options.get(ICC) == "false"
        and spec.subnet in ("", str(_subnet(row)))
        and (not spec.mtu or options.get(ranges.MTU) == str(spec.mtu))
    )


def _accepted(row: dict[str, Any], spec: NetworkSpec) -> Network:
    """A network that somebody else made, if containers can be reached in it."""
    name, subnet = row["Name"], _subnet(row)
    labels, options = row.get("Labels") or {}, row.get("Options") or {}
    if LABEL_STATE in labels:
        raise EngineError(
            f"the network {name} belongs to another state folder of deployctl",
            hint="choose another name in engine.network, or use that state folder: --state-dir",
        )
    if row.get("Driver") != "bridge" or subnet is None:
        raise EngineError(
            f"the network {name} cannot be used",
            why=f"it needs the driver bridge and an IPv4 range; its driver is {row.get('Driver')}",
            hint=f"choose another engine.network, or make it again: docker network create --subnet 10.99.0.0/18 {name}",
        )
    if spec.subnet not in ("", str(subnet)):
        raise UsageError(
            f"engine.subnet: the network {name} exists and has the range {subnet}, not {spec.subnet}",
            hint="remove engine.subnet to use the network as it is, or choose another engine.network",
        )
    if spec.mtu and options.get(ranges.MTU, "1500") != str(spec.mtu):
        raise UsageError(
            f"engine.mtu: the network {name} exists and has the MTU {options.get(ranges.MTU, '1500')}, not {spec.mtu}",
            hint="remove engine.mtu to use the network as it is, or choose another engine.network",
        )
    return Network(row["Id"], name, str(subnet), ours=False, isolated=options.get(ICC) == "false")


def _both_in_use(first: str, second: str) -> EngineError:
    return EngineError(
        f"the networks {first} and {second} are in use, and neither has the wanted options",
        why="containers use both, and the options of a network cannot be changed",
        hint="undo the change in [engine], or release each app once more and then change it",
    )


def _remove_unused(client: DockerClient, row: dict[str, Any]) -> bool:
    """Removes a network that no container uses; False when one does."""
    if in_use(client, row["Id"], row["Name"]):
        return False
    with engine_errors(f"remove the network {row['Name']}"):
        return _remove(client, row["Id"])


def in_use(client: DockerClient, network_id: str, name: str) -> bool:
    """Whether a container of a network runs, or may be started by the engine or another command.

    One that ended does not count: deployctl connects it to the current network before it starts again.
    """
    with engine_errors(f"list the containers in the network {name}"):
        rows = client.api.containers(all=True, filters={"network": [network_id, name]})
    return any(row["State"] not in ("exited", "dead") for row in rows)


def holder(client: DockerClient, network_id: str, address: str) -> str | None:
    """The name of the container that has an address in a network; None when no running one has it."""
    with engine_errors("inspect the network"):
        row = client.api.inspect_network(network_id)
    held = (row.get("Containers") or {}).values()
    return next((each["Name"] for each in held if each.get("IPv4Address", "").partition("/")[0] == address), None)


def _remove(client: DockerClient, network_id: str) -> bool:
    import docker.errors

    try:
        client.api.remove_network(network_id)
    except docker.errors.APIError as error:
        if error.status_code in (403, 404, 409):
            return False
        raise
    return True


def _create(client: DockerClient, names: Names, spec: NetworkSpec, name: str) -> None:
    import docker.errors
    from docker.types import IPAMConfig, IPAMPool

    rows = client.api.networks()
    options = {ICC: "false"}
    if mtu := ranges.mtu(spec.mtu, ranges.engine_mtu(rows), ranges.route_mtu()):
        options[ranges.MTU] = str(mtu)
    last = ""
    for subnet in [IPv4Network(spec.subnet)] if spec.subnet else ranges.free(rows):
        pool = IPAMPool(subnet=str(subnet), iprange=upper_half(str(subnet)))
        try:
            # Not client.networks.create: it inspects the network, which another process may have removed meanwhile.
            client.api.create_network(
                name,
                driver="bridge",
                options=options,
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
    if spec.subnet:
        raise UsageError(
            f"engine.subnet: {spec.subnet} is not free",
            why=last,
            hint="choose another range; docker network ls and ip route show those in use",
        )
    why, hint, details = ranges.used_up(rows, client.api.containers(all=True))
    raise EngineError(_NOTHING_FREE, why=last or why, hint=hint, details=details)
