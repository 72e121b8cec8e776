"""Fixed addresses in the network: derived from the app's number, the slot and the index, never stored. Pure.

Each app owns 64 addresses permanently, 32 for each slot, so a stale address never reaches another app. The first 64
addresses are reserved for the gateway. The engine assigns addresses automatically only from the upper half of the
subnet.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.errors import UsageError

MAX_REPLICAS = 32
NETWORK_PREFIX = 18
BLOCKS = ("10.213.0.0/16", "10.214.0.0/16", "172.30.0.0/16", "10.215.0.0/16", "192.168.128.0/17")
"""Where networks get their range. 10.213.0.0/16 first: rarely used in companies, and not one of Docker's defaults."""
SMALL_PREFIX = 21
SMALL_BLOCKS = ("10.216.0.0/15",)
"""Where they get a smaller range, when all of `BLOCKS` are in use."""
_PER_APP = len(SLOTS) * MAX_REPLICAS


def address(subnet: str, app_number: int, slot: Slot, index: int) -> str:
    """The fixed address of replica `index` (from 1) in a slot of an app.

    Raises:
        UsageError: the network has no addresses for an app of this number.
        ValueError: `app_number` or `index` is less than 1, or `index` is more than 32.
    """
    if app_number < 1 or not 1 <= index <= MAX_REPLICAS:
        raise ValueError(f"no address for app number {app_number}, replica {index} in {subnet}")
    check_room(subnet, app_number)
    offset = app_number * _PER_APP + SLOTS.index(slot) * MAX_REPLICAS + (index - 1)
    return str(ip_network(subnet)[offset])


def check_room(subnet: str, app_number: int) -> None:
    """Checks that a network has addresses for an app of this number.

    Raises:
        UsageError: it has none.
    """
    if app_number > (count := app_count(subnet)):
        raise UsageError(
            f"the network {subnet} has no addresses for another app",
            why=f"it has addresses for {count} apps, and this is app number {app_number} of the state folder",
            hint="release the app with another --state-dir, which has a network of its own, or set a larger"
            " engine.subnet",
        )


def app_number_of(subnet: str, address: str) -> int | None:
    """The number of the app that owns an address; None when it is not one of the fixed addresses of the subnet."""
    network = ip_network(subnet)
    if not address or ip_address(address) not in network:
        return None
    number = (int(ip_address(address)) - int(network.network_address)) // _PER_APP
    return number if 1 <= number <= app_count(subnet) else None


def app_count(subnet: str) -> int:
    """How many apps a network of this size can hold."""
    return int(ip_network(subnet).num_addresses // 2 // _PER_APP) - 1


def upper_half(subnet: str) -> str:
    """The part of the subnet from which the engine assigns addresses automatically."""
    return str(list(ip_network(subnet).subnets(1))[1])


def subnet_around(address: str) -> str:
    """The subnet that an address belongs to when it has the size that deployctl gives its networks."""
    small = any(ip_address(address) in ip_network(block) for block in SMALL_BLOCKS)
    return str(ip_network(f"{address}/{SMALL_PREFIX if small else NETWORK_PREFIX}", strict=False))
