"""The range and the MTU of a new network."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.docker import ranges

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
