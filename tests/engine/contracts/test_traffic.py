"""The same cases of the port Traffic on the proxy in memory and on HAProxy."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError
from tests.engine.contracts.proxies import APP, KINDS, PROGRESS, ProxyRig, RealRig, proxy_rig, shielded
from tests.engine.harness import until

pytestmark = pytest.mark.engine

BLUE, GREEN = TrafficState("blue"), TrafficState("green")


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProxyRig]:
    with proxy_rig(request.param, tmp_path / "proxy") as made:
        yield made


def test_nothing_is_live_for_an_unknown_app(rig: ProxyRig) -> None:
    rig.edge.up([], PROGRESS)
    assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == TrafficState()
    assert rig.traffic.known() == {}
    assert rig.traffic.readable(APP) is False
    assert rig.traffic.changed_at(APP) is None


@pytest.mark.parametrize("state", [BLUE, GREEN, shielded("blue"), shielded("green")])
def test_a_state_is_applied_on_disk_and_in_the_running_proxy(rig: ProxyRig, state: TrafficState) -> None:
    rig.running()
    before = time.time()
    for _ in range(2):
        rig.traffic.apply(APP, state)
        assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == state
    assert rig.traffic.known() == {APP: state}
    assert rig.traffic.readable(APP) is True
    written = rig.traffic.changed_at(APP)
    assert written is not None
    # The time of a file may be a clock tick behind.
    assert before - 0.05 <= written <= time.time()
    assert rig.answer() == {"blue": "v1", "green": "v2"}[str(state.live)]


def test_the_live_slot_changes_and_changes_back(rig: ProxyRig) -> None:
    rig.running()
    for state, version in (
        (BLUE, "v1"),
        (shielded("green"), "v2"),
        (BLUE, "v1"),
        (GREEN, "v2"),
        (shielded("blue"), "v1"),
    ):
        rig.traffic.apply(APP, state)
        assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == state
        assert rig.answer() == version


def test_with_a_shield_the_other_slot_answers_while_the_live_one_is_down(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.apply(APP, shielded("green"))
    rig.stop("green")
    until(lambda: not rig.endpoints.health(APP, "green")[0].up, "green is down")
    assert rig.answer() == "v1"
    assert rig.traffic.running(APP) == shielded("green"), "the state says who is live, not who answers"
    rig.traffic.apply(APP, GREEN)
    assert rig.answer() is None
    rig.traffic.apply(APP, shielded("green"))
    assert rig.answer() == "v1"
    rig.start("green")
    until(lambda: rig.endpoints.health(APP, "green")[0].up, "green is up")
    assert rig.answer() == "v2"


def test_no_slot_is_live_any_more(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.apply(APP, shielded("blue"))
    rig.traffic.apply(APP, TrafficState())
    assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == TrafficState()
    assert rig.traffic.readable(APP) is False
    assert rig.answer() is None


def test_the_states_of_other_apps_stay(rig: ProxyRig) -> None:
    rig.edge.up([rig.app(name="one", prefix="/one"), rig.app(name="two", prefix="/two")], PROGRESS)
    rig.traffic.apply("one", shielded("blue"))
    rig.traffic.apply("two", GREEN)
    rig.traffic.apply("one", GREEN)
    rig.traffic.apply("two", shielded("blue"))
    assert rig.traffic.known() == {"one": GREEN, "two": shielded("blue")}
    rig.traffic.forget("one")
    assert rig.traffic.known() == {"two": shielded("blue")}
    assert rig.traffic.running("two") == shielded("blue")


@pytest.mark.parametrize("state", [GREEN, shielded("green")])
def test_a_state_that_the_proxy_does_not_confirm_is_not_kept_on_disk(rig: ProxyRig, state: TrafficState) -> None:
    rig.running()
    rig.traffic.apply(APP, BLUE)
    with rig.paused(), pytest.raises(ProxyError):
        rig.traffic.apply(APP, state)
    assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == BLUE
    assert rig.answer() == "v1"
    rig.traffic.apply(APP, state)
    assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == state


def test_a_proxy_that_starts_again_applies_the_same_states(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, shielded("green"))
    rig.edge.down()
    assert rig.traffic.on_disk(APP) == shielded("green")
    assert rig.traffic.known() == {APP: shielded("green")}
    with pytest.raises(ProxyError):
        rig.traffic.running(APP)
    with pytest.raises(ProxyError):
        rig.traffic.apply(APP, BLUE)
    assert rig.traffic.on_disk(APP) == shielded("green")
    rig.edge.up([app], PROGRESS)
    assert rig.traffic.running(APP) == shielded("green")


def test_states_that_are_damaged_on_disk_are_known_from_the_running_proxy(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.apply(APP, shielded("green"))
    rig.damage()
    assert rig.traffic.readable(APP) is False
    assert rig.traffic.changed_at(APP) is None
    with pytest.raises(ProxyError, match="damaged"):
        rig.traffic.on_disk(APP)
    with pytest.raises(ProxyError, match="damaged"):
        rig.traffic.apply(APP, BLUE)
    assert rig.traffic.known() == {APP: shielded("green")}
    assert rig.traffic.running(APP) == shielded("green")
    rig.edge.down()
    assert rig.traffic.known() == {}


def test_forget(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.apply(APP, shielded("blue"))
    for _ in range(2):
        rig.traffic.forget(APP)
        assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == TrafficState()
    assert rig.answer() is None
    rig.traffic.apply(APP, BLUE)
    rig.edge.down()
    for _ in range(2):
        rig.traffic.forget(APP)
        assert rig.traffic.known() == {}


@pytest.mark.parametrize(
    ("state", "answers"),
    [
        (TrafficState("blue", candidate="green"), {"v1"}),
        (TrafficState("blue", candidate="green", share=5_000), {"v1", "v2"}),
        (TrafficState("blue", candidate="green", share=5_000, shield=True, patience=5.0), {"v1", "v2"}),
        (TrafficState("blue", candidate="green", preview=True), {"v1"}),
        (TrafficState("blue", held=0.05), {None}),
    ],
)
def test_a_candidate_gets_its_share_and_what_is_held_waits(
    rig: ProxyRig, state: TrafficState, answers: set[str | None]
) -> None:
    rig.running()
    rig.traffic.apply(APP, GREEN)
    rig.traffic.apply(APP, state)
    assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == state
    # A share of one half leaves one of the two out of forty answers once in 5 * 10^11.
    found = {rig.answer() for _ in range(40 if len(answers) > 1 else 5)}
    assert found == answers


def test_the_states_of_several_apps_are_applied_at_once(rig: ProxyRig) -> None:
    rig.running()
    rig.edge.apply([rig.app(), *(rig.app(name=name, prefix=f"/{name}") for name in ("one", "two"))], PROGRESS)
    rig.traffic.apply(APP, BLUE)
    rig.traffic.apply("one", BLUE)
    for states in (
        {APP: GREEN, "two": shielded("blue")},
        {APP: GREEN, "two": shielded("blue")},
        {APP: shielded("blue"), "two": GREEN},
    ):
        rig.traffic.apply_all(states)
        assert rig.traffic.known() == {"one": BLUE, **states}
        assert {app: rig.traffic.running(app) for app in ("one", *states)} == {"one": BLUE, **states}
        assert rig.answer() == {"blue": "v1", "green": "v2"}[str(states[APP].live)]
    rig.traffic.maintain("two", CLOSED)
    rig.traffic.apply_all({APP: GREEN, "two": BLUE})
    assert rig.traffic.running("two") == closed(BLUE), "it stays in maintenance"
    rig.traffic.apply_all({APP: GREEN, "two": TrafficState()})
    assert rig.traffic.known() == {APP: GREEN, "one": BLUE}
    assert rig.traffic.running("two") == TrafficState()
    rig.traffic.apply("two", GREEN)
    assert rig.traffic.running("two") == GREEN


def test_states_of_several_apps_that_the_proxy_does_not_confirm_are_not_kept_on_disk(rig: ProxyRig) -> None:
    rig.running()
    rig.edge.apply([rig.app(), rig.app(name="two", prefix="/two")], PROGRESS)
    rig.traffic.apply(APP, BLUE)
    with rig.paused(), pytest.raises(ProxyError):
        rig.traffic.apply_all({APP: GREEN, "two": GREEN})
    assert rig.traffic.known() == {APP: BLUE}
    assert (rig.traffic.running(APP), rig.traffic.running("two")) == (BLUE, TrafficState())
    rig.traffic.apply_all({APP: GREEN, "two": GREEN})
    assert (rig.traffic.running(APP), rig.traffic.running("two")) == (GREEN, GREEN)


def test_no_client_meets_a_mixture(tmp_path: Path) -> None:
    """A client asks two apps in turn, on one connection, while both switch together."""
    answers: list[str] = []
    with proxy_rig("real", tmp_path / "proxy") as rig:
        rig.running()
        assert isinstance(rig, RealRig)
        apps = [rig.app(name=name, prefix=f"/{name}") for name in ("one", "two")]
        rig.edge.apply(apps, PROGRESS)
        rig.traffic.apply_all({"one": BLUE, "two": BLUE})
        host, _, port = rig.listen.partition(":")
        stop = threading.Event()

        def ask() -> None:
            connection = http.client.HTTPConnection(host, int(port), timeout=20)
            for path in itertools.cycle(("/one", "/two")):
                if stop.is_set():
                    break
                connection.request("GET", path)
                answers.append(connection.getresponse().read().decode())
            connection.close()

        client = threading.Thread(target=ask)
        client.start()
        for number in range(100):
            enough = len(answers) + 10
            until(lambda: len(answers) >= enough, "ten answers")  # noqa: B023
            states = dict.fromkeys(("one", "two"), (GREEN, BLUE)[number % 2])
            if number % 10:
                rig.traffic.apply_all(states)
            else:  # as after a crash between the disk and the workers
                rig.files.write_states(states)
                repaired = rig.edge.repair("two", apps, states, PROGRESS)
                assert len(repaired) == 2, repaired
        stop.set()
        client.join()
    runs = [(version, len(list(group))) for version, group in itertools.groupby(answers)]
    assert {version for version, _ in runs} == {"v1", "v2"}
    # One that had switched alone would answer between two answers of the other: a run of one.
    assert len(runs) in (100, 101), runs
    assert min(length for _, length in runs[:-1]) >= 9, runs


CLOSED = Maintenance('back at 10:00; mail "ops"? 50 % <done> \\ größer 模型 <<', 91)


def closed(state: TrafficState, maintenance: Maintenance = CLOSED) -> TrafficState:
    return replace(state, maintenance=maintenance)


@pytest.mark.parametrize("state", [BLUE, GREEN, shielded("green")])
def test_a_maintenance_is_applied_changed_and_ended(rig: ProxyRig, state: TrafficState) -> None:
    rig.running()
    rig.traffic.apply(APP, state)
    for maintenance in (CLOSED, CLOSED, replace(CLOSED, message="other"), replace(CLOSED, message="x", hold=0.2)):
        rig.traffic.maintain(APP, maintenance)
        assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == closed(state, maintenance)
        assert rig.answer() is None
        assert rig.message() == maintenance.message
    for _ in range(2):
        rig.traffic.maintain(APP, None)
        assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == state
        assert rig.message() is None
        assert rig.answer() == {"blue": "v1", "green": "v2"}[str(state.live)]


def test_no_change_of_the_traffic_ends_or_begins_a_maintenance(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.apply(APP, closed(BLUE))
    assert rig.traffic.running(APP) == BLUE
    rig.traffic.maintain(APP, CLOSED)
    for state in (GREEN, shielded("blue"), closed(GREEN, Maintenance("other")), BLUE):
        rig.traffic.apply(APP, state)
        assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == closed(state)
        assert rig.message() == CLOSED.message
    rig.traffic.apply(APP, TrafficState())
    assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == TrafficState()
    rig.traffic.apply(APP, BLUE)
    assert rig.answer() == "v1"


def test_without_a_live_version_there_is_no_maintenance(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.maintain(APP, CLOSED)
    assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == TrafficState()


def test_a_maintenance_that_the_proxy_does_not_confirm_is_not_kept_on_disk(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.apply(APP, BLUE)
    with rig.paused(), pytest.raises(ProxyError):
        rig.traffic.maintain(APP, CLOSED)
    assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == BLUE
    assert rig.answer() == "v1"
    rig.traffic.maintain(APP, CLOSED)
    with rig.paused(), pytest.raises(ProxyError):
        rig.traffic.maintain(APP, None)
    assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == closed(BLUE)
    assert rig.message() == CLOSED.message


def test_a_maintenance_of_one_app_is_not_that_of_another(rig: ProxyRig) -> None:
    rig.running()
    rig.edge.apply([rig.app(), rig.app(name="two", prefix="/two")], PROGRESS)
    rig.traffic.apply(APP, BLUE)
    rig.traffic.apply("two", GREEN)
    rig.traffic.maintain("two", CLOSED)
    assert rig.answer() == "v1"
    assert rig.traffic.known() == {APP: BLUE, "two": closed(GREEN)}
    rig.traffic.maintain(APP, Maintenance("other"))
    assert rig.message() == "other"
    rig.traffic.forget("two")
    assert rig.traffic.known() == {APP: closed(BLUE, Maintenance("other"))}


def test_a_maintenance_outlasts_a_reload_and_another_start(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    rig.traffic.maintain(APP, CLOSED)
    rig.edge.reload()
    assert rig.traffic.running(APP) == closed(BLUE)
    assert rig.message() == CLOSED.message
    rig.edge.down()
    rig.edge.up([app], PROGRESS)
    assert rig.traffic.running(APP) == closed(BLUE)
    assert rig.message() == CLOSED.message


def test_a_maintenance_is_repaired_from_the_ledger(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    for recorded in (closed(BLUE), closed(BLUE, Maintenance("other")), BLUE):
        assert rig.edge.drift([app], {APP: recorded}) != []
        assert rig.edge.repair(APP, [app], {APP: recorded}, PROGRESS) != []
        assert rig.edge.repair(APP, [app], {APP: recorded}, PROGRESS) == []
        assert rig.edge.drift([app], {APP: recorded}) == []
        assert rig.traffic.running(APP) == recorded
        assert rig.message() == (recorded.maintenance.message if recorded.maintenance else None)
