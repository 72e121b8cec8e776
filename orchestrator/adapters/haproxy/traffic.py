"""Traffic states in HAProxy: the entries of routes.map, as words (see `words`).

The map on disk is authoritative. A change is written there first (temporary file, fsync, rename), then made in every
worker, then confirmed by every worker. A restarted proxy reads the same file.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.adapters.haproxy import names, words
from orchestrator.adapters.haproxy.files import ROUTES, ProxyFiles
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, StorageError

_NOTHING = TrafficState()


class HAProxyTraffic:
    """Implements ports.traffic.Traffic, and restores the map for HAProxyEdge. Nothing else writes it."""

    def __init__(self, files: ProxyFiles, runtime: Runtime) -> None:
        self._files = files
        self._runtime = runtime

    # Reading

    def on_disk(self, app: str) -> TrafficState:
        return self._files.states().get(app, _NOTHING)

    def running(self, app: str) -> TrafficState:
        return self._running().get(app, _NOTHING)

    def readable(self, app: str) -> bool:
        states = self._files.states_or_none()
        return states is not None and app in states

    def known(self) -> dict[str, TrafficState]:
        states = self._intact() or {}
        return self._running() if not states and self._runtime.answers() else states

    def changed_at(self, app: str) -> float | None:
        # All apps share the file, so this is the latest time at which the app's state can have been written.
        return self._files.written_at(ROUTES) if self.readable(app) else None

    # Changing

    def apply(self, app: str, state: TrafficState) -> None:
        before = self._files.states()
        try:
            # A map that has it already is not written again: that costs two syncs.
            if before.get(app, _NOTHING) != state or self._files.written_at(ROUTES) is None:
                self._files.write_states({**before, app: state})
            self._runtime.set_entry(names.ROUTES, app, words.written(state))
        except (ProxyError, StorageError):
            self._files.write_states(before)
            if self._runtime.answers():
                self._runtime.set_entry(names.ROUTES, app, words.written(before.get(app, _NOTHING)))
            raise

    def forget(self, app: str) -> None:
        states = self._files.states_or_none()
        # A damaged file is left to `recover`, which restores it without this app.
        if states and states.pop(app, None):
            self._files.write_states(states)
        if self._runtime.answers():
            self._runtime.set_entry(names.ROUTES, app, None)

    def _intact(self) -> dict[str, TrafficState] | None:
        """The states on disk; None when the map is damaged or missing."""
        return None if self._files.written_at(ROUTES) is None else self._files.states_or_none()

    def _running(self) -> dict[str, TrafficState]:
        (entries,) = self._runtime.entries(names.ROUTES)
        found = {app: words.read(text) for app, text in entries.items()}
        return {app: state for app, state in found.items() if state is not None}

    # For the edge

    def drift(self, states: Mapping[str, TrafficState]) -> list[str]:
        """The map's name if it is not what these states make it. Apps without a state are not compared."""
        found = self._intact()
        same = found is not None and all(found.get(app, _NOTHING) == state for app, state in states.items())
        return [] if same else [ROUTES]

    def differing(self) -> list[str]:
        """The map's name if it is not what the running proxy has."""
        return [] if self._intact() == self._running() else [ROUTES]

    def restore_files(self, app: str, states: Mapping[str, TrafficState]) -> list[str]:
        """Restores the map on disk, as `Edge.repair` promises; returns its name if it was wrong."""
        found = self._intact()
        wanted = dict(found or {})
        for key, state in states.items():
            if key == app or key not in wanted:
                wanted[key] = state
        wanted = {key: state for key, state in wanted.items() if state != _NOTHING}
        if found == wanted:
            return []
        self._files.write_states(wanted)
        return [ROUTES]

    def restore_running(self) -> list[str]:
        """Makes the running proxy follow the map on disk; returns what was changed, in words."""
        disk, running = self._files.states(), self._running()
        repaired = []
        for app, state in disk.items():
            if running.get(app) != state:
                self._runtime.set_entry(names.ROUTES, app, words.written(state))
                repaired.append(f"the running proxy's traffic of {app} was set to {state}")
        return repaired
