"""The same cases of the port Endpoints on the proxy in memory and on HAProxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.traffic.latencies import mean
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError
from tests.engine.contracts.proxies import APP, KINDS, PROGRESS, ProxyRig, go_on, proxy_rig
from tests.engine.harness import until

pytestmark = pytest.mark.engine


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProxyRig]:
    with proxy_rig(request.param, tmp_path / "proxy") as made:
        yield made


def up(rig: ProxyRig, slot: Any) -> list[bool]:
    return [endpoint.up for endpoint in rig.endpoints.health(APP, slot)]


def test_an_unknown_slot_has_no_endpoints(rig: ProxyRig) -> None:
    rig.edge.up([], PROGRESS)
    assert rig.endpoints.health(APP, "blue") == ()
    assert rig.endpoints.open_requests(APP, "blue") == rig.endpoints.answered(APP, "blue") == {}
    assert rig.endpoints.counters(APP) == {}
    assert rig.endpoints.cut(APP, "blue") == 0
    rig.endpoints.park(APP, "blue")
    with pytest.raises(ProxyError, match="no healthy server"):
        rig.endpoints.wait_up(APP, "blue", 1, timeout=0.1, cancelled=go_on)


def test_a_registered_slot_is_up_and_a_parked_one_is_not(rig: ProxyRig) -> None:
    rig.running("blue", replicas=2)
    assert [endpoint.index for endpoint in rig.endpoints.health(APP, "blue")] == [1, 2]
    assert up(rig, "blue") == [True, True]
    until(lambda: up(rig, "green") == [False, False], "green is down")
    for _ in range(2):
        rig.endpoints.register(APP, "green", rig.slot("green", 2))
        rig.endpoints.wait_up(APP, "green", 2, timeout=10, cancelled=go_on)
    assert up(rig, "green") == [True, True]
    rig.traffic.apply(APP, TrafficState("green"))
    assert rig.answer() == "v2"
    for _ in range(2):
        rig.endpoints.park(APP, "blue")
        assert up(rig, "blue") == [False, False]
    rig.endpoints.register(APP, "blue", rig.slot("blue", 2))
    rig.endpoints.wait_up(APP, "blue", 2, timeout=10, cancelled=go_on)
    assert rig.answer() == "v2"


def test_the_status_is_a_word_for_people(rig: ProxyRig) -> None:
    rig.running("blue")
    until(lambda: up(rig, "green") == [False], "green is down")
    (blue,), (green,) = rig.endpoints.health(APP, "blue"), rig.endpoints.health(APP, "green")
    assert blue.up
    assert blue.status
    assert not green.up
    assert green.status not in ("", blue.status)


def test_with_fewer_replicas_than_before_the_others_are_parked(rig: ProxyRig) -> None:
    rig.running(replicas=2)
    rig.endpoints.register(APP, "green", rig.slot("green", 1))
    until(lambda: up(rig, "green") == [True, False], "the second endpoint is down")
    assert up(rig, "blue") == [True, True]


def test_a_replica_that_ends_is_down_and_comes_back(rig: ProxyRig) -> None:
    rig.running(replicas=2)
    rig.stop("blue", 2)
    until(lambda: up(rig, "blue") == [True, False], "the second endpoint is down")
    rig.endpoints.wait_up(APP, "blue", 1, timeout=0.1, cancelled=go_on)
    with pytest.raises(ProxyError):
        rig.endpoints.wait_up(APP, "blue", 2, timeout=0.1, cancelled=go_on)
    rig.start("blue", 2)
    rig.endpoints.wait_up(APP, "blue", 2, timeout=10, cancelled=go_on)
    assert up(rig, "blue") == [True, True]


def test_a_wait_ends_when_it_is_cancelled(rig: ProxyRig) -> None:
    rig.running("blue")

    class Cancelled(Exception):
        pass

    def cancelled() -> None:
        raise Cancelled

    rig.endpoints.wait_up(APP, "blue", 1, timeout=10, cancelled=cancelled)
    with pytest.raises(Cancelled):
        rig.endpoints.wait_up(APP, "green", 1, timeout=10, cancelled=cancelled)


def test_open_requests_are_counted_by_replica(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.apply(APP, TrafficState("blue"))
    assert rig.endpoints.open_requests(APP, "blue") == {1: 0}
    with rig.open_request("blue"):
        assert rig.endpoints.open_requests(APP, "blue") == {1: 1}
        assert rig.endpoints.open_requests(APP, "green") == {1: 0}
        rig.traffic.apply(APP, TrafficState("green"))
        assert rig.endpoints.open_requests(APP, "blue") == {1: 1}, "what is open stays where it is"
    until(lambda: rig.endpoints.open_requests(APP, "blue") == {1: 0}, "the request has ended")


def test_open_requests_outlive_a_reload(rig: ProxyRig) -> None:
    app = rig.running()
    rig.traffic.apply(APP, TrafficState("blue"))
    with rig.open_request("blue"):
        assert rig.edge.apply([app, rig.app(name="other", prefix="/other")], PROGRESS) is True
        assert rig.endpoints.open_requests(APP, "blue") == {1: 1}


def test_a_worker_that_a_reload_has_left_follows_a_release(rig: ProxyRig) -> None:
    app = rig.running("blue")
    other = rig.app(name="other", prefix="/other")
    rig.traffic.apply(APP, TrafficState("blue"))
    with rig.client() as ask, rig.client() as again, rig.open_request("blue"):
        assert (ask(), again()) == ("v1", "v1")
        assert rig.edge.apply([app, other], PROGRESS) is True
        # What has not changed since the reload still answers.
        assert again() == "v1"
        recorded = {"blue": rig.slot("blue"), "green": rig.slot("green")}
        rig.endpoints.register(APP, "green", recorded["green"])
        rig.endpoints.wait_up(APP, "green", 1, timeout=10, cancelled=go_on)
        rig.traffic.apply(APP, TrafficState("green"))
        assert ask() == "v2"
        assert rig.endpoints.drift(APP, recorded) == rig.endpoints.repair(APP, recorded) == []
        assert rig.endpoints.open_requests(APP, "blue") == {1: 1}
        assert rig.endpoints.cut(APP, "blue") == 1
        until(lambda: rig.endpoints.open_requests(APP, "blue") == {1: 0}, "the request has ended")
    rig.endpoints.park(APP, "blue")
    assert rig.endpoints.drift(APP, {**recorded, "blue": rig.slot("blue", active=False)}) == []


def test_cut_ends_what_is_open(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.apply(APP, TrafficState("blue"))
    with rig.open_request("blue"):
        assert rig.endpoints.cut(APP, "green") == 0
        assert rig.endpoints.cut(APP, "blue") == 1
        until(lambda: rig.endpoints.open_requests(APP, "blue") == {1: 0}, "the request has ended")
    assert rig.endpoints.cut(APP, "blue") == 0


def test_requests_are_counted_by_worker_and_slot(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.apply(APP, TrafficState("blue"))
    for _ in range(3):
        assert rig.answer() == "v1"
    assert rig.endpoints.answered(APP, "blue") == {1: 3}
    assert rig.endpoints.answered(APP, "green") == {1: 0}
    (samples,) = rig.endpoints.counters(APP).values()
    blue = samples["blue"]
    assert (blue.requests, blue.failures, blue.rescued) == (3, 0, 0)
    assert sum(blue.times.values()) == 3
    # A small answer on this machine takes less than two seconds.
    assert (mean(blue.times) or 9) < 2
    assert samples["green"] == Sample(0, 0, 0, {})


def test_a_proxy_that_does_not_run_says_so(rig: ProxyRig) -> None:
    rig.running()
    rig.edge.down()
    calls: list[Callable[[], Any]] = [
        lambda: rig.endpoints.register(APP, "blue", rig.slot("blue")),
        lambda: rig.endpoints.park(APP, "blue"),
        lambda: rig.endpoints.health(APP, "blue"),
        lambda: rig.endpoints.open_requests(APP, "blue"),
        lambda: rig.endpoints.answered(APP, "blue"),
        lambda: rig.endpoints.cut(APP, "blue"),
        lambda: rig.endpoints.counters(APP),
    ]
    for call in calls:
        with pytest.raises(ProxyError, match="does not answer"):
            call()


def test_the_version_in_a_slot_is_that_of_its_replicas(rig: ProxyRig) -> None:
    rig.running()
    rig.traffic.apply(APP, TrafficState("green"))
    assert rig.version() == "v2"
    rig.endpoints.register(APP, "green", replace(rig.slot("green"), version="v7"))
    assert rig.version() == "v7"


def test_what_somebody_changed_in_the_running_proxy_is_found_and_repaired(rig: ProxyRig) -> None:
    app = rig.running("blue")
    recorded = {"blue": rig.slot("blue"), "green": rig.slot("green", active=False)}
    assert rig.endpoints.drift(APP, recorded) == []
    # The blue slot gets the address and the version of the green one.
    rig.endpoints.register(APP, "blue", rig.slot("green"))
    found = rig.endpoints.drift(APP, recorded)
    assert any(f"{rig.address('green')}:{rig.port}" in text for text in found), found
    assert any(" v2" in text for text in found), found
    assert len(rig.endpoints.repair(APP, recorded)) == len(found)
    assert rig.endpoints.drift(APP, recorded) == rig.endpoints.repair(APP, recorded) == []
    rig.endpoints.wait_up(APP, "blue", 1, timeout=10, cancelled=go_on)
    assert [endpoint.address for endpoint in rig.endpoints.health(APP, "blue")] == [f"{rig.address('blue')}:{rig.port}"]
    # A slot that is not in use is parked.
    rig.endpoints.register(APP, "green", rig.slot("green"))
    assert len(rig.endpoints.repair(APP, recorded)) == 1
    assert [endpoint.address for endpoint in rig.endpoints.health(APP, "green")] == [""]
    rig.edge.apply([app], PROGRESS)
    assert rig.endpoints.drift(APP, recorded) == []


def test_a_replica_without_an_address_gets_nothing(rig: ProxyRig) -> None:
    rig.running("blue", replicas=2)
    half = replace(rig.slot("blue", 2), addresses=(rig.address("blue"), ""))
    rig.endpoints.register(APP, "blue", half)
    until(lambda: up(rig, "blue") == [True, False], "the second endpoint is down")
    assert [endpoint.address for endpoint in rig.endpoints.health(APP, "blue")][1] == ""
    assert rig.endpoints.drift(APP, {"blue": half}) == []
    rig.endpoints.register(APP, "blue", rig.slot("blue", 2))
    rig.endpoints.wait_up(APP, "blue", 2, timeout=10, cancelled=go_on)
