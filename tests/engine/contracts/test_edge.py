"""The same cases of the port Edge on the proxy in memory and on HAProxy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.traffic.counted import between
from orchestrator.domain.traffic.program import Refusals
from orchestrator.domain.traffic.route import ProxyApp, Route
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, UsageError
from tests.engine.contracts.proxies import APP, KINDS, PROGRESS, ProxyRig, go_on, proxy_rig, shielded
from tests.engine.harness import free_port, until

pytestmark = pytest.mark.engine

BLUE, GREEN = TrafficState("blue"), TrafficState("green")


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProxyRig]:
    with proxy_rig(request.param, tmp_path / "proxy") as made:
        yield made


def test_it_is_missing_until_it_is_started_and_after_it_is_removed(rig: ProxyRig) -> None:
    assert rig.edge.state() == "missing"
    for _ in range(2):
        rig.edge.up([], PROGRESS)
        assert rig.edge.state() == "running"
    for _ in range(2):
        rig.edge.down()
        assert rig.edge.state() == "missing"


def test_the_first_app_comes_with_the_start_and_the_next_one_with_a_reload(rig: ProxyRig) -> None:
    one, two = rig.app(name="one", prefix="/one"), rig.app(name="two", prefix="/two")
    assert rig.edge.apply([one], PROGRESS) is False
    assert rig.edge.apply([one], PROGRESS) is False
    assert rig.edge.apply([one, two], PROGRESS) is True
    assert rig.edge.apply([two, one], PROGRESS) is False
    assert rig.edge.drift([one, two], {}) == []
    assert rig.edge.apply([two], PROGRESS) is True
    assert rig.endpoints.health("one", "blue") == ()
    assert len(rig.endpoints.health("two", "blue")) == 1


def test_the_second_slot_needs_no_reload(rig: ProxyRig) -> None:
    rig.running("blue", replicas=2)
    assert len(rig.endpoints.health(APP, "green")) == 2
    both = rig.app(replicas=2)
    assert rig.edge.apply([both], PROGRESS) is False
    rig.endpoints.register(APP, "green", both.slots["green"])
    rig.endpoints.wait_up(APP, "green", 2, timeout=10, cancelled=go_on)
    rig.traffic.apply(APP, GREEN)
    assert rig.answer() == "v2"


def test_apply_does_not_touch_the_traffic(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, shielded("green"))
    for apps in ([app, rig.app(name="other", prefix="/other")], [app]):
        rig.edge.apply(apps, PROGRESS)
        assert rig.traffic.on_disk(APP) == rig.traffic.running(APP) == shielded("green")
        assert rig.answer() == "v2"


def test_after_a_start_and_a_reload_slots_are_in_use_as_the_apps_say(rig: ProxyRig) -> None:
    app = rig.running()
    parked = replace(app, slots={**app.slots, "blue": rig.slot("blue", active=False)})
    assert rig.edge.apply([parked], PROGRESS) is False
    rig.edge.reload()
    rig.endpoints.wait_up(APP, "green", 1, timeout=10, cancelled=go_on)
    with pytest.raises(ProxyError):
        rig.endpoints.wait_up(APP, "blue", 1, timeout=0.5, cancelled=go_on)
    rig.edge.down()
    rig.edge.up([app], PROGRESS)
    for slot in app.slots:
        rig.endpoints.wait_up(APP, slot, 1, timeout=10, cancelled=go_on)


def test_a_configuration_that_is_rejected_changes_nothing(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    with rig.rejecting() as bad, pytest.raises(ProxyError, match="rejects"):
        rig.edge.apply([app, bad], PROGRESS)
    assert rig.answer() == "v1"
    assert rig.edge.apply([app], PROGRESS) is False
    assert rig.edge.drift([app], {APP: BLUE}) == []
    rig.edge.reload()
    assert rig.answer() == "v1"


def test_a_configuration_that_cannot_be_loaded_changes_nothing(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    elsewhere = replace(rig.app(name="other"), route=Route(f"127.0.0.1:{free_port()}"))
    with rig.occupied(elsewhere.route.listen):
        with pytest.raises(ProxyError, match="could not load"):
            rig.edge.apply([app, elsewhere], PROGRESS)
        assert rig.answer() == "v1"
        assert rig.edge.apply([app], PROGRESS) is False
    assert rig.edge.apply([app, elsewhere], PROGRESS) is True
    assert rig.answer() == "v1"


def test_a_reload_loads_what_is_on_disk(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, shielded("green"))
    rig.edge.reload()
    assert rig.traffic.running(APP) == shielded("green")
    assert rig.answer() == "v2"
    assert rig.edge.drift([app], {APP: shielded("green")}) == []
    rig.edge.down()
    with pytest.raises(ProxyError):
        rig.edge.reload()


def test_a_free_address_and_our_own_can_be_used(rig: ProxyRig) -> None:
    route = Route(rig.listen)
    rig.edge.check_listen(route)
    rig.edge.apply([rig.app()], PROGRESS)
    rig.edge.check_listen(route)
    free = f"127.0.0.1:{free_port()}"
    rig.edge.check_listen(replace(route, metrics=free))
    with rig.occupied(free):
        with pytest.raises(UsageError, match=r"proxy\.metrics: .* cannot be used"):
            rig.edge.check_listen(replace(route, metrics=free))
        with pytest.raises(UsageError, match=r"proxy\.listen: .*another process uses it"):
            rig.edge.check_listen(replace(route, listen=free))


def test_drift_names_the_files(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    other = rig.app(name="other", prefix="/other")
    renamed = replace(app, slots={**app.slots, "green": replace(app.slots["green"], version="v7")})
    for apps, states, names in (
        ([app], {APP: BLUE}, []),
        ([app], {}, []),
        ([app], {APP: GREEN}, ["routes.map"]),
        ([app], {APP: shielded("blue")}, ["routes.map"]),
        ([app], {APP: shielded("green")}, ["routes.map"]),
        ([app], {APP: BLUE, "other": GREEN}, ["routes.map"]),
        ([renamed], {APP: BLUE}, ["versions.map"]),
        ([app, other], {APP: BLUE}, ["haproxy.cfg", "replicas.map", "versions.map"]),
        ([], {APP: BLUE}, ["haproxy.cfg", "replicas.map", "versions.map"]),
    ):
        assert sorted(rig.edge.drift(apps, states)) == names
    assert rig.traffic.running(APP) == BLUE
    rig.damage()
    assert rig.edge.drift([app], {APP: BLUE}) == ["routes.map"]


def test_nothing_is_repaired_when_nothing_is_wrong(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, shielded("green"))
    assert rig.edge.repair(APP, [app], {APP: shielded("green")}, PROGRESS) == []
    assert rig.edge.repair(APP, [app], {}, PROGRESS) == []
    assert rig.traffic.running(APP) == shielded("green")


@pytest.mark.parametrize("state", [BLUE, shielded("green")])
def test_a_lost_proxy_is_started(rig: ProxyRig, state: TrafficState) -> None:
    app = rig.running()
    rig.traffic.apply(APP, state)
    rig.edge.down()
    assert rig.edge.repair(APP, [app], {APP: state}, PROGRESS) == ["the proxy was started"]
    assert rig.traffic.running(APP) == state
    assert rig.edge.repair(APP, [app], {APP: state}, PROGRESS) == []
    assert rig.answer() == {"blue": "v1", "green": "v2"}[str(state.live)]


def test_a_paused_proxy_is_unpaused(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    with rig.paused():
        assert rig.edge.state() == "paused"
        assert rig.edge.repair(APP, [app], {APP: BLUE}, PROGRESS) == ["the proxy was unpaused"]
        assert rig.edge.state() == "running"
    assert rig.answer() == "v1"
    with rig.paused():
        rig.edge.up([app], PROGRESS)
        assert rig.edge.state() == "running"
    assert rig.edge.repair(APP, [app], {APP: BLUE}, PROGRESS) == []


@pytest.mark.parametrize("running", [True, False])
def test_states_that_are_damaged_on_disk_are_restored(rig: ProxyRig, running: bool) -> None:
    app = rig.running()
    rig.traffic.apply(APP, shielded("green"))
    rig.damage()
    if not running:
        rig.edge.down()
    states = {APP: shielded("green"), "other": BLUE}
    expected = ["routes.map restored from the ledger", *([] if running else ["the proxy was started"])]
    repaired = rig.edge.repair(APP, [app], states, PROGRESS)
    assert [text for text in repaired if "running proxy's" not in text] == expected
    assert rig.traffic.known() == states
    assert rig.traffic.running(APP) == shielded("green")
    assert rig.answer() == "v2"
    assert rig.edge.repair(APP, [app], states, PROGRESS) == []


def test_the_apps_own_state_is_that_of_the_ledger_and_other_states_stay(rig: ProxyRig) -> None:
    app, other = rig.running(), rig.app(name="other", prefix="/other")
    rig.edge.apply([app, other], PROGRESS)
    rig.traffic.apply(APP, shielded("green"))
    rig.traffic.apply("other", shielded("green"))
    states = {APP: BLUE, "other": BLUE}
    repaired = rig.edge.repair(APP, [app, other], states, PROGRESS)
    assert repaired[0] == "routes.map restored from the ledger"
    for read in (rig.traffic.on_disk, rig.traffic.running):
        assert (read(APP), read("other")) == (BLUE, shielded("green"))
    assert rig.edge.repair(APP, [app, other], states, PROGRESS) == []
    assert rig.answer() == "v1"
    assert rig.edge.repair("other", [app, other], {APP: GREEN}, PROGRESS) == []
    assert rig.traffic.on_disk(APP) == BLUE


def test_a_configuration_that_is_not_that_of_the_apps_is_restored_and_loaded(rig: ProxyRig) -> None:
    app, other = rig.running(), rig.app(name="other", prefix="/other")
    rig.traffic.apply(APP, BLUE)
    repaired = rig.edge.repair(APP, [app, other], {APP: BLUE}, PROGRESS)
    assert sorted(repaired) == [
        "haproxy.cfg restored from the ledger",
        "replicas.map restored from the ledger",
        "the proxy's configuration was reloaded",
        "versions.map restored from the ledger",
    ]
    assert rig.edge.repair(APP, [app, other], {APP: BLUE}, PROGRESS) == []
    assert len(rig.endpoints.health("other", "blue")) == 1
    assert rig.answer() == "v1"


def upgraded(rig: ProxyRig, *apps: ProxyApp) -> None:
    rig.edge.upgrade(rig.edge.build(PROGRESS), list(apps), PROGRESS)


def ended(rig: ProxyRig) -> bool:
    """Whether the replaced proxy has ended and is gone."""
    if rig.edge.leaving() is not None:
        return False
    rig.edge.up([rig.app()], PROGRESS)
    return True


def test_an_upgrade_where_no_proxy_runs_starts_the_new_one(rig: ProxyRig) -> None:
    assert rig.edge.program() is None
    upgraded(rig, rig.app())
    assert rig.edge.state() == "running"
    program = rig.edge.program()
    assert program is not None
    assert program.name.startswith("HAProxy ")
    assert len(rig.endpoints.health(APP, "blue")) == 1
    assert rig.edge.leaving() is None


def test_an_upgrade_replaces_the_program_and_nothing_else(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, shielded("green"))
    before = rig.edge.program()
    for _ in range(3):
        assert rig.answer() == "v2"
    counted = rig.endpoints.counters(APP)
    upgraded(rig, app)
    after = rig.edge.program()
    assert rig.edge.state() == "running"
    assert before is not None
    assert after is not None
    assert (after.built_at or 0) > (before.built_at or 0)
    assert rig.traffic.running(APP) == rig.traffic.on_disk(APP) == shielded("green")
    until(lambda: ended(rig), "the old proxy has ended")
    assert rig.edge.drift([app], {APP: shielded("green")}) == []
    assert rig.edge.repair(APP, [app], {APP: shielded("green")}, PROGRESS) == []
    for _ in range(4):
        assert rig.answer() == "v2"
    # Its workers are others, also where they have the process ids of the old ones.
    assert between(counted, rig.endpoints.counters(APP), "green").requests == 4
    assert rig.endpoints.answered(APP, "green") == {1: 4}


def test_a_replaced_proxy_finishes_and_follows_every_change(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    with rig.open_request("blue"):
        upgraded(rig, app)
        left = rig.edge.leaving()
        assert left is not None
        assert left.requests == 1
        assert rig.endpoints.open_requests(APP, "blue") == {1: 1}
        with pytest.raises(UsageError, match="the previous proxy still has"):
            rig.edge.build(PROGRESS)
        # What changes, changes in both.
        rig.traffic.apply(APP, GREEN)
        assert rig.answer() == "v2"
        assert rig.edge.apply([app, rig.app(name="other", prefix="/other")], PROGRESS) is True
        assert rig.endpoints.open_requests(APP, "blue") == {1: 1}
        assert rig.endpoints.cut(APP, "blue") == 1
        until(lambda: ended(rig), "the old proxy has ended")
    assert rig.endpoints.open_requests(APP, "blue") == {1: 0}
    assert rig.answer() == "v2"


def test_down_removes_a_replaced_proxy_as_well(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    with rig.open_request("blue"):
        upgraded(rig, app)
        assert rig.edge.leaving() is not None
        rig.edge.down()
        assert rig.edge.leaving() is None
        assert rig.edge.state() == "missing"
    assert rig.edge.repair(APP, [app], {APP: BLUE}, PROGRESS) == ["the proxy was started"]
    assert rig.answer() == "v1"


def test_there_is_no_upgrade_to_states_that_are_damaged(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    before = rig.edge.program()
    rig.damage()
    with pytest.raises(ProxyError, match="do not match the running proxy"):
        upgraded(rig, app)
    assert rig.answer() == "v1"
    assert rig.edge.program() == before
    assert rig.edge.repair(APP, [app], {APP: BLUE}, PROGRESS) == ["routes.map restored from the ledger"]
    upgraded(rig, app)
    assert rig.answer() == "v1"


def test_a_program_that_does_not_start_changes_nothing(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    before = rig.edge.program()
    with rig.broken(), pytest.raises(ProxyError, match="the old one keeps serving"):
        upgraded(rig, app)
    assert rig.edge.program() == before
    assert rig.edge.leaving() is None
    assert rig.answer() == "v1"
    assert rig.edge.repair(APP, [app], {APP: BLUE}, PROGRESS) == []


def test_what_is_refused_is_counted_by_address(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, BLUE)
    elsewhere = "127.0.0.1:1"
    assert rig.edge.refusals([rig.listen, elsewhere]) == [Refusals(rig.listen), Refusals(elsewhere)]
    rig.answer()
    rig.refuse()
    assert rig.edge.refusals([rig.listen]) == [Refusals(rig.listen, denied=1, unreadable=1)]
    # Also in a worker that a reload has left.
    rig.edge.apply([app, rig.app(name="other", prefix="/other")], PROGRESS)
    rig.refuse()
    assert rig.edge.refusals([rig.listen])[0].denied >= 1
    assert rig.edge.refusals([]) == []
    rig.edge.down()
    with pytest.raises(ProxyError):
        rig.edge.refusals([rig.listen])
