"""Traffic states in HAProxy: the entries of routes.map and of messages.map, as words (see `words`).

The maps on disk are authoritative. A change is written there first (temporary file, fsync, rename), then made in every
worker, then confirmed by every worker. A restarted proxy reads the same files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from orchestrator.adapters.haproxy import names, words
from orchestrator.adapters.haproxy.files import MESSAGES, ROUTES, ProxyFiles
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, StorageError

_NOTHING = TrafficState()


class HAProxyTraffic:
    """Implements ports.traffic.Traffic, and restores the maps for HAProxyEdge. Nothing else writes them."""

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
        self._set(app, state.keeping(before.get(app, _NOTHING)), before)

    def apply_all(self, states: Mapping[str, TrafficState]) -> None:
        before = self._files.states()
        after = {**before, **{app: state.keeping(before.get(app, _NOTHING)) for app, state in states.items()}}
        try:
            self._files.write_states(after)
            # No maintenance changes, so every message that is needed is there.
            self._runtime.replace_entries(names.ROUTES, _entries(after))
        except (ProxyError, StorageError):
            self._files.write_states(before)
            if self._runtime.answers():
                self._runtime.replace_entries(names.ROUTES, _entries(before))
            raise

    def maintain(self, app: str, maintenance: Maintenance | None) -> None:
        before = self._files.states()
        state = before.get(app, _NOTHING)
        if state.live is not None:
            self._set(app, replace(state, maintenance=maintenance), before)

    def _set(self, app: str, state: TrafficState, before: Mapping[str, TrafficState]) -> None:
        earlier = before.get(app, _NOTHING)
        try:
            # A map that has it already is not written again: that costs two syncs.
            if earlier != state or self._files.written_at(ROUTES) is None:
                self._files.write_states({**before, app: state})
            self._set_running(app, state, with_message=earlier.maintenance != state.maintenance)
        except (ProxyError, StorageError):
            self._files.write_states(before)
            if self._runtime.answers():
                self._set_running(app, earlier, with_message=earlier.maintenance != state.maintenance)
            raise

    def _set_running(self, app: str, state: TrafficState, *, with_message: bool) -> None:
        """Sets the words of a state in every worker. A message is there before it is needed, and as long as it is."""
        values = {names.ROUTES: words.written(state)}
        if with_message or state.maintenance is not None:
            message = {names.MESSAGES: words.message(state)}
            values = {**message, **values} if state.maintenance is not None else {**values, **message}
        self._runtime.set_entries(app, values)

    def forget(self, app: str) -> None:
        states = self._files.states_or_none()
        # A damaged file is left to `recover`, which restores it without this app.
        if states and states.pop(app, None):
            self._files.write_states(states)
        if self._runtime.answers():
            self._set_running(app, _NOTHING, with_message=True)

    def _intact(self) -> dict[str, TrafficState] | None:
        """The states on disk; None when the map is damaged or missing."""
        return None if self._files.written_at(ROUTES) is None else self._files.states_or_none()

    def _running(self) -> dict[str, TrafficState]:
        entries, messages = self._runtime.entries(names.ROUTES, names.MESSAGES)
        found = {app: words.read(text, messages.get(app, "")) for app, text in entries.items()}
        return {app: state for app, state in found.items() if state is not None}

    # For the edge

    def drift(self, states: Mapping[str, TrafficState]) -> list[str]:
        """The maps that are not what these states make them. Apps without a state are not compared."""
        found = self._intact()
        if found is None:
            return [ROUTES]
        names = _differing([found.get(app, _NOTHING) for app in states], list(states.values()))
        return names if self._files.written_at(MESSAGES) is not None else sorted({*names, MESSAGES})

    def differing(self) -> list[str]:
        """The maps that are not what the running proxy has."""
        found, running = self._intact(), self._running()
        if found is None or found.keys() != running.keys():
            return [ROUTES]
        return _differing(list(found.values()), [running[app] for app in found])

    def restore_files(self, app: str, states: Mapping[str, TrafficState]) -> list[str]:
        """Restores the maps on disk, as `Edge.repair` promises; returns the names of those that were wrong."""
        found = self._intact()
        wanted = dict(found or {})
        for key, state in states.items():
            if key == app or key not in wanted:
                wanted[key] = state
        wanted = {key: state for key, state in wanted.items() if state != _NOTHING}
        if found == wanted and self._files.written_at(MESSAGES) is not None:
            return []
        return self._files.write_states(wanted)

    def restore_running(self) -> list[str]:
        """Makes the running proxy follow the maps on disk; returns what was changed, in words."""
        disk, running = self._files.states(), self._running()
        wrong = {app: state for app, state in disk.items() if running.get(app) != state}
        if len(wrong) > 1 and all(state.maintenance is None for state in wrong.values()):
            # A crash may have come in `apply_all`: they change atomically here as well.
            self._runtime.replace_entries(names.ROUTES, _entries(disk))
        for app, state in wrong.items():
            self._set_running(app, state, with_message=running.get(app, _NOTHING).maintenance is not None)
        return [f"the running proxy's traffic of {app} was set to {state}" for app, state in wrong.items()]


def _entries(states: Mapping[str, TrafficState]) -> dict[str, str]:
    """The entries of routes.map for these states."""
    return {app: word for app, state in states.items() if (word := words.written(state)) is not None}


def _differing(some: Sequence[TrafficState], others: Sequence[TrafficState]) -> list[str]:
    """The maps in which states differ from others, in the same order."""
    pairs = list(zip(some, others, strict=True))
    routes = any(words.written(one) != words.written(other) for one, other in pairs)
    messages = any(words.message(one) != words.message(other) for one, other in pairs)
    return [*([ROUTES] if routes else []), *([MESSAGES] if messages else [])]
