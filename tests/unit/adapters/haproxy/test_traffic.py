"""How a traffic state is applied: as a whole, first on disk; and the state after a failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.haproxy.files import MESSAGES, ROUTES, ProxyFiles
from orchestrator.adapters.haproxy.traffic import HAProxyTraffic
from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, StorageError

APP = "mymodel"
NOTHING, BLUE, GREEN = TrafficState(), TrafficState("blue"), TrafficState("green")
# The live slot is named first: the other one is its fallback.
BLUE_GREEN, GREEN_BLUE = TrafficState("blue", shield=True), TrafficState("green", shield=True)
CANARY = TrafficState("blue", "green", 500, shield=True, patience=30.0)
PREVIEW, HELD = TrafficState("blue", "green", preview=True), TrafficState("blue", held=60.0)
STATES = [NOTHING, BLUE, GREEN, BLUE_GREEN, GREEN_BLUE, CANARY, PREVIEW, HELD]


class Workers:
    """The running proxy: its maps, and what is called before each change."""

    def __init__(self) -> None:
        self.maps: dict[str, dict[str, str]] = {ROUTES: {}, MESSAGES: {}}
        self.before: Callable[[], None] = lambda: None
        self.running = True

    def answers(self) -> bool:
        return self.running

    def set_entry(self, file: str, key: str, value: str | None) -> None:
        self.before()
        entries = self.maps[Path(file).name]
        if value is None:
            entries.pop(key, None)
        else:
            entries[key] = value

    def set_entries(self, key: str, values: Mapping[str, str | None]) -> None:
        for file, value in values.items():
            self.set_entry(file, key, value)

    def replace_entries(self, file: str, entries: Mapping[str, str]) -> None:
        self.before()
        self.maps[Path(file).name] = dict(entries)

    def entries(self, *files: str) -> list[dict[str, str]]:
        return [dict(self.maps[Path(file).name]) for file in files]


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def files(tmp_path: Path) -> ProxyFiles:
    made = ProxyFiles(tmp_path)
    made.prepare()
    return made


@pytest.fixture
def traffic(files: ProxyFiles, workers: Workers) -> HAProxyTraffic:
    runtime: Any = workers
    return HAProxyTraffic(files, runtime)


def first(error: Exception) -> Callable[[], None]:
    """Raises an error at the first call only."""
    left = [error]

    def before() -> None:
        if left:
            raise left.pop()

    return before


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_a_state_changes_as_a_whole_and_first_on_disk(
    traffic: HAProxyTraffic, workers: Workers, old: TrafficState, new: TrafficState
) -> None:
    traffic.apply(APP, old)
    seen: list[tuple[TrafficState, TrafficState]] = []
    workers.before = lambda: seen.append((traffic.on_disk(APP), traffic.running(APP)))
    traffic.apply(APP, new)
    assert seen == [(new, old)]
    assert traffic.on_disk(APP) == traffic.running(APP) == new


def test_a_state_that_is_on_disk_already_is_not_written_again(
    traffic: HAProxyTraffic, files: ProxyFiles, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic.apply(APP, CANARY)
    workers.maps[ROUTES].clear()
    written: list[str] = []
    monkeypatch.setattr(files, "write", lambda name, text: written.append(name))
    traffic.apply(APP, CANARY)
    assert written == []
    assert traffic.running(APP) == CANARY


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_what_is_not_confirmed_is_undone(
    traffic: HAProxyTraffic, workers: Workers, old: TrafficState, new: TrafficState
) -> None:
    traffic.apply("other", GREEN_BLUE)
    traffic.apply(APP, old)
    workers.before = first(ProxyError("the proxy did not set it"))
    with pytest.raises(ProxyError, match="did not set"):
        traffic.apply(APP, new)
    assert traffic.on_disk(APP) == traffic.running(APP) == old
    assert traffic.on_disk("other") == traffic.running("other") == GREEN_BLUE


def test_a_proxy_that_ends_meanwhile_leaves_the_old_state_on_disk(traffic: HAProxyTraffic, workers: Workers) -> None:
    traffic.apply(APP, BLUE)

    def end() -> None:
        workers.running = False
        raise ProxyError("the proxy does not answer")

    workers.before = end
    with pytest.raises(ProxyError, match="does not answer"):
        traffic.apply(APP, GREEN_BLUE)
    assert traffic.on_disk(APP) == BLUE


@pytest.mark.parametrize(("old", "new"), [(BLUE, GREEN_BLUE), (GREEN_BLUE, BLUE)])
def test_a_full_disk_changes_nothing(
    traffic: HAProxyTraffic, files: ProxyFiles, monkeypatch: pytest.MonkeyPatch, old: TrafficState, new: TrafficState
) -> None:
    traffic.apply(APP, old)
    write, failed = files.write, False

    def full(file: str, text: str) -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise StorageError(f"{file} cannot be written")
        write(file, text)

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(StorageError, match=ROUTES):
        traffic.apply(APP, new)
    assert traffic.on_disk(APP) == traffic.running(APP) == old


DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "zeroed": lambda path: path.write_bytes(b"\0" * path.stat().st_size),
    "deleted": lambda path: path.unlink(),
    "rubbish": lambda path: path.write_bytes(bytes(range(256))),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("last", [BLUE_GREEN, CANARY])
def test_a_damaged_map_is_found_and_restored(
    traffic: HAProxyTraffic, files: ProxyFiles, how: str, last: TrafficState
) -> None:
    states = {APP: GREEN_BLUE, "other": last}
    for app, state in states.items():
        traffic.apply(app, state)
    text = files.read(ROUTES)
    DAMAGE[how](files.folder / ROUTES)
    if how != "deleted":
        assert traffic.readable(APP) is False
    assert traffic.drift(states) == traffic.differing() == [ROUTES]
    assert traffic.known() == states
    assert traffic.restore_files(APP, states) == [ROUTES]
    assert files.read(ROUTES) == text
    assert traffic.drift(states) == traffic.differing() == []
    assert traffic.restore_files(APP, states) == []
    assert traffic.restore_running() == []


def test_another_app_is_restored_only_where_its_entry_is_lost(traffic: HAProxyTraffic) -> None:
    traffic.apply(APP, GREEN_BLUE)
    traffic.apply("other", BLUE)
    states = {APP: GREEN_BLUE, "other": BLUE_GREEN, "third": CANARY}
    assert traffic.restore_files(APP, states) == [ROUTES]
    assert traffic.known() == {APP: GREEN_BLUE, "other": BLUE, "third": CANARY}
    assert traffic.restore_files("other", states) == [ROUTES]
    assert traffic.on_disk("other") == BLUE_GREEN
    # A state without a live slot is the ledger's word as well.
    assert traffic.restore_files("other", {"other": NOTHING}) == [ROUTES]
    assert traffic.known() == {APP: GREEN_BLUE, "third": CANARY}


def test_several_states_that_a_worker_does_not_confirm_are_undone(traffic: HAProxyTraffic, workers: Workers) -> None:
    traffic.apply_all({APP: BLUE, "other": GREEN_BLUE})
    workers.before = first(ProxyError("worker 8: none"))
    with pytest.raises(ProxyError):
        traffic.apply_all({APP: GREEN, "third": BLUE})
    assert traffic.known() == {APP: BLUE, "other": GREEN_BLUE}
    assert traffic.differing() == []


def test_the_running_proxy_follows_the_disk(traffic: HAProxyTraffic, workers: Workers) -> None:
    traffic.apply(APP, GREEN_BLUE)
    traffic.apply("other", BLUE)
    # The second word is damaged.
    workers.maps = {ROUTES: {APP: "blue", "other": "blue:none:0:green"}, MESSAGES: {}}
    assert traffic.differing() == [ROUTES]
    assert traffic.restore_running() == [
        f"the running proxy's traffic of {APP} was set to green, shielded by blue",
        "the running proxy's traffic of other was set to blue",
    ]
    assert (traffic.running(APP), traffic.running("other")) == (GREEN_BLUE, BLUE)
    assert traffic.restore_running() == []


def test_an_app_that_is_forgotten_is_nowhere(traffic: HAProxyTraffic, workers: Workers, files: ProxyFiles) -> None:
    traffic.apply(APP, CANARY)
    traffic.apply("other", BLUE)
    traffic.forget(APP)
    assert traffic.known() == {"other": BLUE}
    assert workers.maps[ROUTES] == {"other": "blue"}
    assert traffic.changed_at(APP) is None
    # A damaged file is left to `recover`.
    files.write(ROUTES, "rubbish")
    traffic.forget("other")
    assert files.read(ROUTES) == "rubbish"
    assert workers.maps[ROUTES] == {}


# --- maintenance -------------------------------------------------------------------------------------------------

CLOSED, OTHER = Maintenance("back at 10", 60), Maintenance("another", 5, 2.0)


@pytest.mark.parametrize("state", [each for each in STATES if each.live])
def test_a_message_is_there_as_long_as_it_is_needed(
    traffic: HAProxyTraffic, workers: Workers, state: TrafficState
) -> None:
    traffic.apply(APP, state)
    messages: list[tuple[bool, str | None]] = []

    def before() -> None:
        running = traffic.running(APP).maintenance
        messages.append((running is not None, running.message if running else None))

    workers.before = before
    for maintenance in (CLOSED, OTHER, None, None):
        traffic.maintain(APP, maintenance)
        assert traffic.on_disk(APP) == traffic.running(APP) == replace(state, maintenance=maintenance)
    assert all(text for closed, text in messages if closed)
    assert workers.maps[MESSAGES] == {}


def test_each_change_is_first_on_disk(traffic: HAProxyTraffic, workers: Workers) -> None:
    traffic.apply(APP, CANARY)
    seen: list[TrafficState] = []
    workers.before = lambda: seen.append(traffic.on_disk(APP))
    for maintenance in (CLOSED, None):
        traffic.maintain(APP, maintenance)
        assert set(seen) == {replace(CANARY, maintenance=maintenance)}
        seen.clear()


@pytest.mark.parametrize("new", STATES)
@pytest.mark.parametrize("old", [BLUE, CANARY])
def test_a_change_of_the_traffic_keeps_the_maintenance(
    traffic: HAProxyTraffic, old: TrafficState, new: TrafficState
) -> None:
    traffic.apply(APP, old)
    traffic.maintain(APP, CLOSED)
    traffic.apply(APP, new)
    assert traffic.on_disk(APP) == traffic.running(APP)
    assert traffic.on_disk(APP) == replace(new, maintenance=CLOSED if new.live else None)
    traffic.apply(APP, BLUE)
    assert traffic.on_disk(APP).maintenance == (CLOSED if new.live else None)


@pytest.mark.parametrize("old", [None, CLOSED, OTHER])
@pytest.mark.parametrize("new", [None, CLOSED, OTHER])
def test_a_maintenance_that_is_not_confirmed_is_undone(
    traffic: HAProxyTraffic, workers: Workers, old: Maintenance | None, new: Maintenance | None
) -> None:
    traffic.apply(APP, GREEN_BLUE)
    traffic.maintain(APP, old)
    workers.before = first(ProxyError("the proxy did not set it"))
    with pytest.raises(ProxyError, match="did not set"):
        traffic.maintain(APP, new)
    assert traffic.on_disk(APP) == traffic.running(APP) == replace(GREEN_BLUE, maintenance=old)


def test_a_switch_does_not_touch_the_messages_outside_of_maintenance(
    traffic: HAProxyTraffic, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []
    monkeypatch.setattr(workers, "set_entries", lambda key, values: touched.extend(Path(file).name for file in values))
    traffic.apply(APP, BLUE)
    traffic.apply(APP, GREEN_BLUE)
    assert touched == [ROUTES, ROUTES]


def test_the_maintenance_follows_the_ledger(traffic: HAProxyTraffic, files: ProxyFiles, workers: Workers) -> None:
    traffic.apply(APP, BLUE)
    closed = {APP: replace(BLUE, maintenance=CLOSED)}
    assert traffic.drift(closed) == [ROUTES, MESSAGES]
    assert traffic.restore_files(APP, closed) == [MESSAGES, ROUTES]
    assert traffic.differing() == [ROUTES, MESSAGES]
    assert len(traffic.restore_running()) == 1
    assert (traffic.drift(closed), traffic.differing(), traffic.restore_running()) == ([], [], [])
    assert traffic.running(APP) == closed[APP]
    # Another message, and a lost file.
    other = {APP: replace(BLUE, maintenance=replace(CLOSED, message="other"))}
    assert traffic.drift(other) == traffic.restore_files(APP, other) == traffic.differing() == [MESSAGES]
    assert len(traffic.restore_running()) == 1
    assert traffic.running(APP) == other[APP]
    files.remove(MESSAGES)
    assert traffic.drift(other) == traffic.restore_files(APP, other) == [MESSAGES]
    # The end of it.
    assert traffic.drift({APP: BLUE}) == [ROUTES, MESSAGES]
    assert traffic.restore_files(APP, {APP: BLUE}) == [MESSAGES, ROUTES]
    assert len(traffic.restore_running()) == 1
    assert traffic.running(APP) == BLUE
    assert workers.maps[MESSAGES] == {}
    files.remove(MESSAGES)
    assert traffic.drift({APP: BLUE}) == traffic.restore_files(APP, {APP: BLUE}) == [MESSAGES]


def test_forgetting_an_app_ends_its_maintenance(traffic: HAProxyTraffic, files: ProxyFiles, workers: Workers) -> None:
    traffic.apply(APP, BLUE)
    traffic.maintain(APP, CLOSED)
    traffic.forget(APP)
    assert traffic.known() == {}
    assert files.read(MESSAGES) == ""
    assert workers.maps == {ROUTES: {}, MESSAGES: {}}
