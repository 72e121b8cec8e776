"""Traffic states in HAProxy: the live slot is an entry of routes.map, the shield's fallback slot one of shields.map.

The maps on disk are authoritative. A change is written there first (temporary file, fsync, rename), then made in every
worker, then confirmed by every worker. A restarted proxy reads the same files.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.adapters.haproxy import render
from orchestrator.adapters.haproxy.files import ROUTES, SHIELDS, ProxyFiles
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.domain.traffic.slot import SLOTS, Slot, other
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, StorageError

_IN_PROXY = {ROUTES: render.ROUTES, SHIELDS: render.SHIELDS}


class HAProxyTraffic:
    """Implements ports.traffic.Traffic, and restores the two maps for HAProxyEdge. Nothing else writes them."""

    def __init__(self, files: ProxyFiles, runtime: Runtime) -> None:
        self._files = files
        self._runtime = runtime

    # Reading

    def on_disk(self, app: str) -> TrafficState:
        return _state(app, self._files.slots(ROUTES), self._files.slots(SHIELDS))

    def running(self, app: str) -> TrafficState:
        return _state(app, *self._running())

    def readable(self, app: str) -> bool:
        routes, shields = self._files.slots_or_none(ROUTES), self._files.slots_or_none(SHIELDS)
        return routes is not None and shields is not None and app in routes

    def known(self) -> dict[str, TrafficState]:
        routes, shields = self._intact(ROUTES) or {}, self._intact(SHIELDS)
        if (not routes or shields is None) and self._runtime.answers():
            running_routes, running_shields = self._running()
            routes = routes or running_routes
            shields = running_shields if shields is None else shields
        return {app: _state(app, routes, shields or {}) for app in routes}

    def changed_at(self, app: str) -> float | None:
        # All apps share the files, so this is the latest time at which the app's state can have been written.
        if not self.readable(app):
            return None
        times = [self._files.written_at(name) for name in (ROUTES, SHIELDS)]
        return max((time for time in times if time is not None), default=None)

    # Changing

    def apply(self, app: str, state: TrafficState) -> None:
        refuse_unsupported(state)
        before = {name: self._files.slots(name) for name in (ROUTES, SHIELDS)}
        entries: dict[str, Slot | None] = {SHIELDS: state.fallback, ROUTES: state.live}
        if state.fallback is None:
            # In this order: until the route has changed, the fallback slot may be the one that answers.
            entries = {ROUTES: state.live, SHIELDS: None}
        try:
            for name, slot in entries.items():
                self._write(name, app, slot)
            self._runtime.set_entries(app, {_IN_PROXY[name]: slot for name, slot in entries.items()})
        except (ProxyError, StorageError):
            for name, slots in before.items():
                self._files.write_slots(name, slots)
            if self._runtime.answers():
                self._runtime.set_entries(app, {_IN_PROXY[name]: slots.get(app) for name, slots in before.items()})
            raise

    def forget(self, app: str) -> None:
        for name in (ROUTES, SHIELDS):
            slots = self._files.slots_or_none(name)
            # A damaged file is left to `recover`, which restores it without this app.
            if slots and slots.pop(app, None):
                self._files.write_slots(name, slots)
        if self._runtime.answers():
            self._runtime.set_entries(app, {_IN_PROXY[name]: None for name in (ROUTES, SHIELDS)})

    def _write(self, name: str, app: str, slot: Slot | None) -> None:
        """Sets an entry of a map on disk. A map that has it already is not written again: that costs two syncs."""
        slots: dict[str, Slot] = {**self._files.slots(name)}
        if slots.get(app) == slot and self._files.written_at(name) is not None:
            return
        if slot is None:
            slots.pop(app, None)
        else:
            slots[app] = slot
        self._files.write_slots(name, slots)

    def _intact(self, name: str) -> dict[str, Slot] | None:
        """A map on disk; None when it is damaged or missing."""
        return None if self._files.written_at(name) is None else self._files.slots_or_none(name)

    def _running(self) -> tuple[dict[str, Slot], dict[str, Slot]]:
        routes, shields = self._runtime.entries(render.ROUTES, render.SHIELDS)
        return _slots(routes), _slots(shields)

    # For the edge

    def drift(self, states: Mapping[str, TrafficState]) -> list[str]:
        """Which of the two maps on disk are not what these states make them. Apps without a state are not compared."""
        names = []
        for name in (ROUTES, SHIELDS):
            slots = self._intact(name)
            if slots is None or any(slots.get(app) != _entry(name, state) for app, state in states.items()):
                names.append(name)
        return names

    def differing(self) -> list[str]:
        """Which of the two maps on disk are not what the running proxy has."""
        running = dict(zip((ROUTES, SHIELDS), self._running(), strict=True))
        return [name for name in (ROUTES, SHIELDS) if self._intact(name) != running[name]]

    def restore_files(self, app: str, states: Mapping[str, TrafficState]) -> list[str]:
        """Restores the two maps on disk, as `Edge.repair` promises; returns the names of those that were wrong."""
        for state in states.values():
            refuse_unsupported(state)
        routes = self._files.slots_or_none(ROUTES) or {}
        names = []
        for name in (SHIELDS, ROUTES):
            slots = self._intact(name)
            wanted: dict[str, Slot] = {**(slots or {})}
            for key, state in states.items():
                # An app that has no route lost its whole state; a missing shield alone says nothing.
                if key == app or slots is None or key not in routes:
                    slot = _entry(name, state)
                    if slot is None:
                        wanted.pop(key, None)
                    else:
                        wanted[key] = slot
            if slots != wanted:
                self._files.write_slots(name, wanted)
                names.append(name)
        return names[::-1]

    def restore_running(self) -> list[str]:
        """Makes the running proxy follow the maps on disk; returns what was changed, in words."""
        disk_routes, disk_shields = self._files.slots(ROUTES), self._files.slots(SHIELDS)
        routes, shields = self._runtime.entries(render.ROUTES, render.SHIELDS)
        repaired = []
        for app, slot in disk_shields.items():
            if shields.get(app) != slot:
                self._runtime.set_entry(render.SHIELDS, app, slot)
                repaired.append(f"the running proxy's fallback slot of {app} was set to {slot}")
        for app, slot in disk_routes.items():
            if routes.get(app) != slot:
                self._runtime.set_entry(render.ROUTES, app, slot)
                repaired.append(f"the running proxy's route of {app} was set to {slot}")
        for app in sorted(set(shields) - set(disk_shields)):
            self._runtime.set_entry(render.SHIELDS, app, None)
            repaired.append(f"the running proxy's fallback slot of {app} was removed")
        return repaired


def refuse_unsupported(state: TrafficState) -> None:
    """Refuses what the rendered configuration cannot do yet.

    Raises:
        ValueError: the state has a candidate or a preview, or holds requests.
    """
    if state.candidate is not None or state.preview or state.held:
        raise ValueError(f"HAProxy cannot apply a candidate, a preview or held requests yet: {state!r}")


def _state(app: str, routes: Mapping[str, Slot], shields: Mapping[str, Slot]) -> TrafficState:
    live = routes.get(app)
    # A shield that names the live slot is one whose route has not been changed yet: it has no effect.
    return TrafficState(live, shield=live is not None and shields.get(app) == other(live))


def _entry(name: str, state: TrafficState) -> Slot | None:
    return state.live if name == ROUTES else state.fallback


def _slots(entries: Mapping[str, str]) -> dict[str, Slot]:
    return {app: slot for app, value in entries.items() for slot in SLOTS if slot == value}
