"""The addresses at the proxy follow the containers: requests of an app never go to an address that is not its own.

A container is recognised by its labels. Its address says nothing about it: when the network was lost, another program
may now answer at the recorded address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from orchestrator.config import Config
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.route import ProxyApp, SlotEndpoints
from orchestrator.domain.traffic.slot import Slot
from orchestrator.ports.services import Services

_ALIVE = ("running", "restarting", "paused")


def follow(services: Services, observed: Observed) -> list[str]:
    """Registers the addresses that the containers have now, where they are not the recorded ones; returns what changed.

    A replica without an address of its own gets no requests until it has one. May be repeated.

    Raises:
        EngineUnreachable: the engine does not answer.
        ProxyError: the proxy refuses.
    """
    known = services.ledger.proxy_app(observed.app)
    changed: list[str] = []
    for slot, endpoints in known.slots.items() if known is not None else ():
        if not endpoints.active:
            continue
        here = {container.index: container for container in observed.of(endpoints.version, slot)}
        addresses = tuple(
            current_address(here.get(index), recorded, _owned(services, observed, endpoints, slot, index))
            for index, recorded in enumerate(endpoints.addresses, 1)
        )
        for index, (before, after) in enumerate(zip(endpoints.addresses, addresses, strict=True), 1):
            if before != after:
                register_address(services, observed.app, slot, index, after)
                if index in here and here[index].detached:
                    continue  # its repair, which says so, comes next
                name = services.workloads.name(observed.app, endpoints.version, slot, index)
                changed.append(
                    f"the proxy reaches {name} at {after}" if after else f"the proxy sends nothing to {name}"
                )
    return changed


def register_address(services: Services, app: str, slot: Slot, index: int, address: str) -> None:
    """Records the address of one replica, and makes the proxy use it. Does nothing if it is the recorded one."""
    with services.locks.proxy():
        known = services.ledger.proxy_app(app)
        if known is None or (changed := _with_address(known, slot, index, address)) is None:
            return
        services.ledger.save_proxy_app(changed)
        services.edge.apply(services.ledger.proxy_apps(), services.progress)
        services.endpoints.register(app, slot, changed.slots[slot])


def current_address(container: Container | None, recorded: str, owned: Callable[[], Mapping[str, bool]]) -> str:
    """Where the proxy may reach a replica; empty: nowhere.

    `owned` is called only in case of doubt. It returns the addresses that the replica can have: True for those that no
    other container ever gets.
    """
    address = container.address if container is not None and container.state in _ALIVE else ""
    if address and (address == recorded or address in owned()):
        return address
    if container is not None and container.detached:
        return ""  # it runs without an address: whatever answers at the recorded one is another container
    return recorded if recorded and owned().get(recorded) else ""


def _owned(
    services: Services, observed: Observed, endpoints: SlotEndpoints, slot: Slot, index: int
) -> Callable[[], Mapping[str, bool]]:
    @cache
    def ask() -> Mapping[str, bool]:
        config = Config.from_snapshot(services.ledger.settings(observed.app, endpoints.version))
        number = services.ledger.app_number(observed.app)
        return services.workloads.own_addresses(number, slot, index, config.network())

    return ask


def _with_address(known: ProxyApp, slot: Slot, index: int, address: str) -> ProxyApp | None:
    """The app with this address of a replica; None when it has it already, or the slot has no such replica."""
    endpoints = known.slots.get(slot)
    if endpoints is None or index > len(endpoints.addresses) or endpoints.addresses[index - 1] == address:
        return None
    addresses = (*endpoints.addresses[: index - 1], address, *endpoints.addresses[index:])
    return replace(known, slots={**known.slots, slot: replace(endpoints, addresses=addresses)})
