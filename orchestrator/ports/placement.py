"""The record of apps, slots and traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.engine import Engine
    from orchestrator.domain.traffic.maintenance import MaintenanceRecord
    from orchestrator.domain.traffic.route import ProxyApp
    from orchestrator.domain.traffic.slot import Slot, SlotState
    from orchestrator.domain.traffic.state import TrafficState


class Placement(Protocol):
    """Which version is in which slot, and who gets the requests. See `Ledger` for what all records share."""

    def engine(self) -> Engine | None:
        """The engine that the containers run on; None when none was recorded."""

    def record_engine(self, engine: Engine) -> None:
        """Writes the engine that the containers run on. The same one again changes nothing."""

    def apps(self) -> list[str]:
        """All apps, sorted, without those that were removed."""

    def next_app_number(self, app: str) -> int:
        """The number that `app_number` would return. Records nothing."""

    def app_number(self, app: str) -> int:
        """The app's number in the state folder: from 1, never given to another app.

        Records the app if it is new, or was removed: then it begins anew, with the number that it had.
        """

    def slots(self, app: str) -> dict[Slot, SlotState]:
        """The state of each slot; an empty slot is missing."""

    def set_slot(self, state: SlotState) -> None:
        """Writes the state of a slot. `since` is kept when version, deployment and state are the same as before."""

    def clear_slot(self, app: str, slot: Slot) -> None:
        """Records that a slot is empty. May be repeated."""

    def traffic(self, app: str) -> TrafficState:
        """The recorded traffic state of an app; no slot is live when none was recorded."""

    def traffic_states(self) -> dict[str, TrafficState]:
        """The same for all apps that the proxy knows."""

    def set_traffic(self, app: str, state: TrafficState) -> None:
        """Writes a traffic state with the same live slot. See `go_live` for another one.

        Neither of the two changes the app's maintenance, whatever the state says; without a live slot there is none.
        """

    def maintenance(self, app: str) -> MaintenanceRecord | None:
        """The app's maintenance; None when there is none."""

    def set_maintenance(self, app: str, record: MaintenanceRecord | None, event: dict[str, Any]) -> None:
        """Writes the app's maintenance (None: it has ended) and an event with these details, in one transaction."""

    def go_live(self, slot: SlotState, traffic: TrafficState) -> None:
        """Writes in one transaction that the version in `slot` is live: the slot, the traffic, and an event.

        `slot.slot` is `traffic.live`. A slot that was ready and has no share any more becomes warm.
        """

    def proxy_apps(self) -> list[ProxyApp]:
        """All apps that the proxy knows, sorted by name."""

    def proxy_app(self, app: str) -> ProxyApp | None:
        """An app that the proxy knows; None when it does not know the app."""

    def save_proxy_app(self, app: ProxyApp) -> None:
        """Writes what the proxy knows about an app."""

    def remove_proxy_app(self, app: str) -> None:
        """Records that the proxy does not know the app any more, and that no slot gets its requests."""
