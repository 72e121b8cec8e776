"""The record of what is where: apps, slots, traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.traffic.route import ProxyApp
    from orchestrator.domain.traffic.slot import Slot, SlotState
    from orchestrator.domain.traffic.state import TrafficState


class Placement(Protocol):
    """Which version is in which slot, and who gets the requests. See `Ledger` for what holds of all records."""

    def apps(self) -> list[str]:
        """All apps, sorted."""

    def app_number(self, app: str) -> int:
        """The app's number in the state folder: from 1, given once, never to another app. Makes the app known."""

    def slots(self, app: str) -> dict[Slot, SlotState]:
        """What is in each slot; a slot that holds nothing is missing."""

    def set_slot(self, state: SlotState) -> None:
        """Writes what is in a slot. While version, deployment and state stay the same, so does `since`."""

    def clear_slot(self, app: str, slot: Slot) -> None:
        """Records that a slot holds nothing. May be repeated."""

    def traffic(self, app: str) -> TrafficState:
        """Who gets the app's requests by the record; no slot is live when that was never recorded."""

    def traffic_states(self) -> dict[str, TrafficState]:
        """The same for all apps that the proxy knows."""

    def set_traffic(self, app: str, state: TrafficState) -> None:
        """Writes who gets the requests, when the live slot stays the same."""

    def go_live(self, slot: SlotState, traffic: TrafficState) -> None:
        """Writes in one transaction that the version in `slot` is live: its slot, the traffic, and an event.

        `slot.slot` is `traffic.live`. A slot that was ready before, and has no share any more, is warm from now on.
        """

    def proxy_apps(self) -> list[ProxyApp]:
        """All apps that the proxy knows, sorted by name."""

    def proxy_app(self, app: str) -> ProxyApp | None:
        """One of them; None when the proxy does not know it."""

    def save_proxy_app(self, app: ProxyApp) -> None:
        """Writes what the proxy knows of an app."""

    def remove_proxy_app(self, app: str) -> None:
        """Records that the proxy does not know the app any more, and that nobody gets its requests."""
