"""The range and the MTU of a new network, and what is said when there is none."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.docker import addresses, network, ranges
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.workload import NetworkSpec
from orchestrator.errors import UsageError

ROUTES = """Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
wg0	00000000	0100000A	0003	0	0	50	00000000	0	0	0
eth0	00000000	0100000A	0003	0	0	100	00000000	0	0	0
eth0	0000D50A	00000000	0001	0	0	100	00C0FFFF	0	0	0
"""


@pytest.mark.parametrize(
    ("wanted", "engine", "route", "expected"),
    [
        (0, 1500, 1500, 0),
        (0, 0, 0, 0),
        (0, 1500, 1420, 1420),
        (0, 1500, 9000, 0),
        (0, 9000, 1500, 9000),
        (0, 1400, 1420, 1400),
        (1450, 1400, 1420, 1450),
        (1500, 1400, 1420, 1500),
    ],
)
def test_mtu(wanted: int, engine: int, route: int, expected: int) -> None:
    assert ranges.mtu(wanted, engine, route) == expected


def test_the_mtu_of_the_engine_is_that_of_its_default_network() -> None:
    option = "com.docker.network.driver.mtu"
    rows: list[dict[str, Any]] = [
        {"Name": "models", "Options": {option: "1300"}},
        {"Name": "bridge", "Options": {option: "1400"}},
    ]
    assert ranges.engine_mtu(rows) == 1400
    assert ranges.engine_mtu(rows[:1]) == 0
    assert ranges.engine_mtu([{"Name": "bridge", "Options": None}]) == 0
    assert ranges.engine_mtu([{"Name": "bridge", "Options": {option: "much"}}]) == 0


def test_the_mtu_of_the_way_out_is_that_of_the_default_route_with_the_lowest_metric(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    assert ranges.route_mtu(routes, tmp_path) == 0
    routes.write_text(ROUTES)
    assert ranges.route_mtu(routes, tmp_path) == 0, "the interface is gone"
    for interface, mtu in (("eth0", 1500), ("wg0", 1420)):
        (tmp_path / interface).mkdir()
        (tmp_path / interface / "mtu").write_text(f"{mtu}\n")
    assert ranges.route_mtu(routes, tmp_path) == 1420


def test_a_free_range_overlaps_no_network_and_no_route(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    rows = [
        {"IPAM": {"Config": [{"Subnet": "fd00::/64"}, {"Subnet": "10.213.64.0/24"}]}},
        {"IPAM": {"Config": None}},
        {"IPAM": None},
    ]
    assert next(ranges.free(rows, routes)) == IPv4Network("10.213.0.0/18")
    routes.write_text(ROUTES)
    assert next(ranges.free(rows, routes)) == IPv4Network("10.213.128.0/18")


def row(name: str, subnet: object, *, ours: bool = True) -> dict[str, Any]:
    labels = {"deployctl.role": "network"} if ours else None
    return {"Name": name, "Labels": labels, "IPAM": {"Config": [{"Subnet": str(subnet)}]}}


def test_when_the_large_ranges_are_used_up_there_are_small_ones(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    while subnet := next(ranges.free(rows, tmp_path / "none"), None):
        rows.append(row(f"deployctl-{len(rows)}", subnet))
    found = [each for one in rows for each in ranges.ipv4_ranges(one)]
    assert [each.prefixlen for each in found] == [18] * 18 + [21] * 64
    assert not any(one.overlaps(other) for one, other in itertools.combinations(found, 2))
    for each in found:
        for number in (1, addresses.app_count(str(each))):
            fixed = addresses.address(str(each), number, "green", 32)
            assert addresses.subnet_around(fixed) == str(each)
            assert addresses.app_number_of(str(each), fixed) == number
    assert addresses.app_count(str(found[-1])) == 15


def test_when_no_range_is_left_the_networks_are_named(tmp_path: Path) -> None:
    rows = [row("models", "10.99.0.0/18", ours=False), row("deployctl-b", "10.213.64.0/18")]
    rows.append(row("deployctl", "10.213.0.0/18"))
    containers: list[dict[str, Any]] = [
        {"NetworkSettings": {"Networks": {"deployctl": {}, "models": {}}}},
        {"NetworkSettings": {"Networks": {"deployctl": {}}}},
        {"NetworkSettings": None},
    ]
    why, hint, details = ranges.used_up(rows, containers)
    assert "are used up: by 2 networks of deployctl's state folders" in why
    assert hint.startswith("remove networks without containers: docker network rm deployctl-b; or set engine.subnet")
    assert details.splitlines() == [
        "deployctl  10.213.0.0/18  2 containers",
        "deployctl-b  10.213.64.0/18  no container",
    ]
    _, hint, _ = ranges.used_up(rows[:1], containers)
    assert hint.startswith("set engine.subnet")


class Engine:
    """The used part of the SDK's client."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    @property
    def api(self) -> Engine:
        return self

    def networks(self) -> list[dict[str, Any]]:
        return self.rows

    def containers(self, *, all: bool) -> list[dict[str, Any]]:
        return []


def check(rows: list[dict[str, Any]], spec: NetworkSpec | None = None, number: int = 1) -> None:
    network.check(Engine(rows), Names("default"), spec or NetworkSpec(), number)  # type: ignore[arg-type]


def test_before_a_build_it_is_checked_that_there_are_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    isolated = {"Options": {network.ICC: "false"}}
    own = row("deployctl", "10.216.0.0/21") | isolated | {"Labels": {"deployctl.state": "default"}}
    check([])
    check([own], number=15)
    with pytest.raises(UsageError, match="has addresses for 15 apps, and this is app number 16"):
        check([own], number=16)
    with pytest.raises(UsageError, match="has addresses for 1 apps"):
        check([], NetworkSpec(subnet="10.99.0.0/24"), number=2)
    monkeypatch.setattr(ranges, "free", lambda rows: iter(()))
    check([own])
    check([row("models", "10.99.0.0/18", ours=False)], NetworkSpec(name="models"))
    check([], NetworkSpec(subnet="10.99.0.0/18"))
    # One whose options are wrong is made again, or goes on in the second one.
    check([own | {"Options": {}}])
    with pytest.raises(UsageError, match="no address range is free for the network of this state folder") as caught:
        check([row("deployctl-b", "10.213.0.0/18")])
    assert "docker network rm deployctl-b" in caught.value.hint
    assert caught.value.details == "deployctl-b  10.213.0.0/18  no container"
