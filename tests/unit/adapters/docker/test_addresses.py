"""Fixed addresses: no two apps share one."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.docker import addresses
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.errors import UsageError

SUBNET = "10.213.0.0/18"
places = st.tuples(
    st.integers(1, addresses.app_count(SUBNET)), st.sampled_from(SLOTS), st.integers(1, addresses.MAX_REPLICAS)
)


@given(places, places)
def test_no_two_replicas_share_an_address(one: tuple[int, Slot, int], two: tuple[int, Slot, int]) -> None:
    assert (addresses.address(SUBNET, *one) == addresses.address(SUBNET, *two)) == (one == two)


@given(places)
def test_addresses_are_outside_the_half_that_the_engine_assigns_from(place: tuple[int, Slot, int]) -> None:
    address = ipaddress.ip_address(addresses.address(SUBNET, *place))
    network = ipaddress.ip_network(SUBNET)
    assert address in network
    assert address not in ipaddress.ip_network(addresses.upper_half(SUBNET))
    # The network's own address and the gateway are among the first 64.
    assert int(address) - int(network.network_address) >= 64


def test_all_addresses_of_a_network_differ() -> None:
    every = [
        addresses.address(SUBNET, number, slot, index)
        for number in range(1, addresses.app_count(SUBNET) + 1)
        for slot in SLOTS
        for index in range(1, addresses.MAX_REPLICAS + 1)
    ]
    assert len(set(every)) == len(every) == addresses.app_count(SUBNET) * 64


def test_the_first_addresses() -> None:
    assert addresses.address(SUBNET, 1, "blue", 1) == "10.213.0.64"
    assert addresses.address(SUBNET, 1, "green", 1) == "10.213.0.96"
    assert addresses.address(SUBNET, 2, "blue", 1) == "10.213.0.128"


@pytest.mark.parametrize(("number", "index"), [(0, 1), (1, 0), (1, 33), (-1, 1)])
def test_an_address_out_of_range_is_refused(number: int, index: int) -> None:
    with pytest.raises(ValueError, match="no address for app number"):
        addresses.address(SUBNET, number, "blue", index)


@pytest.mark.parametrize("number", [addresses.app_count(SUBNET) + 1, 10**6])
def test_an_app_beyond_the_size_of_the_network_is_refused_with_a_next_step(number: int) -> None:
    with pytest.raises(UsageError, match="has no addresses for another app") as caught:
        addresses.address(SUBNET, number, "blue", 1)
    assert f"addresses for {addresses.app_count(SUBNET)} apps, and this is app number {number}" in caught.value.why
    assert "--state-dir" in caught.value.hint


def test_how_many_apps_a_network_holds() -> None:
    assert addresses.app_count(SUBNET) == 127
    assert addresses.upper_half(SUBNET) == "10.213.32.0/19"


@given(places)
def test_the_app_number_follows_from_the_address(place: tuple[int, Slot, int]) -> None:
    address = addresses.address(SUBNET, *place)
    assert addresses.app_number_of(SUBNET, address) == place[0]
    assert addresses.subnet_around(address) == SUBNET


@pytest.mark.parametrize("address", ["", "10.213.0.1", "10.213.32.5", "10.213.64.64", "192.0.2.1"])
def test_an_address_outside_the_fixed_ones_has_no_app_number(address: str) -> None:
    assert addresses.app_number_of(SUBNET, address) is None
