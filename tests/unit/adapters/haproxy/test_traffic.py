"""The order in which a traffic state is applied, and the state after a failure halfway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.haproxy.files import ROUTES, SHIELDS, ProxyFiles
from orchestrator.adapters.haproxy.traffic import HAProxyTraffic
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, StorageError

APP = "mymodel"
NOTHING, BLUE, GREEN = TrafficState(), TrafficState("blue"), TrafficState("green")
# The live slot is named first: the other one is its fallback.
BLUE_GREEN, GREEN_BLUE = TrafficState("blue", shield=True), TrafficState("green", shield=True)
STATES = [NOTHING, BLUE, GREEN, BLUE_GREEN, GREEN_BLUE]


class Workers:
    """The running proxy: its maps, and what is called before each change."""

    def __init__(self) -> None:
        self.maps: dict[str, dict[str, str]] = {ROUTES: {}, SHIELDS: {}}
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


def times(call: int, error: Exception) -> Callable[[], None]:
    """Raises an error at the n-th call, from 1."""
    count = 0

    def before() -> None:
        nonlocal count
        count += 1
        if count == call:
            raise error

    return before


@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_on_the_way_only_slots_of_the_old_or_the_new_state_answer(
    traffic: HAProxyTraffic, workers: Workers, old: TrafficState, new: TrafficState
) -> None:
    traffic.apply(APP, old)
    seen: list[TrafficState] = []
    workers.before = lambda: seen.extend((traffic.on_disk(APP), traffic.running(APP)))
    traffic.apply(APP, new)
    assert traffic.on_disk(APP) == traffic.running(APP) == new
    allowed = {old.live, old.fallback, new.live, new.fallback}
    for state in seen:
        assert state.live in (old.live, new.live)
        assert {state.live, state.fallback} <= allowed | {None}
        if state.live == old.live != new.live and new.fallback is None:
            assert state == old, "the shield stays until the route has changed"
        if state.live == new.live != old.live and new.fallback is not None:
            assert state == new, "the shield is there before the route changes"


def test_with_a_fallback_the_shield_is_set_first_and_without_one_it_is_removed_last(
    traffic: HAProxyTraffic, workers: Workers
) -> None:
    traffic.apply(APP, BLUE)
    seen: list[tuple[dict[str, str], dict[str, str]]] = []
    workers.before = lambda: seen.append((dict(workers.maps[ROUTES]), dict(workers.maps[SHIELDS])))
    traffic.apply(APP, GREEN_BLUE)
    assert seen == [({APP: "blue"}, {}), ({APP: "blue"}, {APP: "blue"})]
    seen.clear()
    traffic.apply(APP, BLUE)
    assert seen == [({APP: "green"}, {APP: "blue"}), ({APP: "blue"}, {APP: "blue"})]


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("old", STATES)
@pytest.mark.parametrize("new", STATES)
def test_what_is_not_confirmed_is_undone(
    traffic: HAProxyTraffic, workers: Workers, old: TrafficState, new: TrafficState, call: int
) -> None:
    traffic.apply("other", GREEN_BLUE)
    traffic.apply(APP, old)
    workers.before = times(call, ProxyError("the proxy did not set it"))
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


@pytest.mark.parametrize("name", [ROUTES, SHIELDS])
@pytest.mark.parametrize(("old", "new"), [(BLUE, GREEN_BLUE), (GREEN_BLUE, BLUE)])
def test_a_full_disk_changes_nothing(
    traffic: HAProxyTraffic,
    files: ProxyFiles,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    old: TrafficState,
    new: TrafficState,
) -> None:
    traffic.apply(APP, old)
    write, failed = files.write, False

    def full(file: str, text: str) -> None:
        nonlocal failed
        if file == name and not failed:
            failed = True
            raise StorageError(f"{file} cannot be written")
        write(file, text)

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(StorageError, match=name):
        traffic.apply(APP, new)
    assert traffic.on_disk(APP) == traffic.running(APP) == old


DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "zeroed": lambda path: path.write_bytes(b"\0" * path.stat().st_size),
    "deleted": lambda path: path.unlink(),
    "rubbish": lambda path: path.write_bytes(bytes(range(256))),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", [ROUTES, SHIELDS])
def test_a_damaged_map_is_found_and_restored(traffic: HAProxyTraffic, files: ProxyFiles, name: str, how: str) -> None:
    states = {APP: GREEN_BLUE, "other": BLUE_GREEN}
    for app, state in states.items():
        traffic.apply(app, state)
    text = files.read(name)
    DAMAGE[how](files.folder / name)
    if how != "deleted":
        assert traffic.readable(APP) is False
    assert traffic.drift(states) == [name]
    assert traffic.known() == states
    assert traffic.restore_files(APP, states) == [name]
    assert files.read(name) == text
    assert traffic.restore_files(APP, states) == []
    assert traffic.restore_running() == []


def test_a_shield_of_another_app_is_restored_only_where_its_file_is_lost(
    traffic: HAProxyTraffic, files: ProxyFiles
) -> None:
    traffic.apply(APP, GREEN_BLUE)
    traffic.apply("other", BLUE)
    states = {APP: GREEN_BLUE, "other": BLUE_GREEN}
    assert traffic.restore_files(APP, states) == []
    assert traffic.on_disk("other") == BLUE
    assert traffic.restore_files("other", states) == [SHIELDS]
    assert traffic.on_disk("other") == BLUE_GREEN
    # A state without a live slot is the ledger's word as well.
    assert traffic.restore_files("other", {"other": NOTHING}) == [ROUTES, SHIELDS]
    assert traffic.known() == {APP: GREEN_BLUE}


def test_the_running_proxy_follows_the_disk(traffic: HAProxyTraffic, workers: Workers) -> None:
    traffic.apply(APP, GREEN_BLUE)
    traffic.apply("other", BLUE)
    workers.maps = {ROUTES: {APP: "blue", "other": "blue"}, SHIELDS: {"other": "green"}}
    assert traffic.restore_running() == [
        f"the running proxy's fallback slot of {APP} was set to blue",
        f"the running proxy's route of {APP} was set to green",
        "the running proxy's fallback slot of other was removed",
    ]
    assert (traffic.running(APP), traffic.running("other")) == (GREEN_BLUE, BLUE)
    assert traffic.restore_running() == []


def test_what_a_crash_leaves_between_the_two_maps_has_no_effect(traffic: HAProxyTraffic, files: ProxyFiles) -> None:
    traffic.apply(APP, BLUE)
    files.write_slots(SHIELDS, {APP: "blue"})
    assert traffic.on_disk(APP) == BLUE
    assert traffic.drift({APP: BLUE}) == [SHIELDS]
    assert traffic.restore_files(APP, {}) == []
    assert traffic.restore_files(APP, {APP: BLUE}) == [SHIELDS]
    assert files.slots(SHIELDS) == {}
