"""The exact text of the backends of an app: the first one of each slot, and the second one, which shields the slot."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from orchestrator.adapters.haproxy import backends
from orchestrator.adapters.haproxy.container import shipped
from orchestrator.domain.traffic.latencies import quantile
from orchestrator.domain.traffic.route import ProxyApp, Route
from orchestrator.domain.traffic.slot import Slot
from tests.unit.builders import backend, proxy_app

ONE = proxy_app("mymodel", Route("127.0.0.1:8000"), backend("v1", "10.213.0.64"), backend("v2", "10.213.0.96"))
TWO = proxy_app(
    "mymodel",
    Route("127.0.0.1:8000", (), "/v1.0", timeout=60.0, repeatable=("GET", "PUT")),
    backend("v1", "10.213.0.64", "10.213.0.65"),
    backend("v2", "10.213.0.96"),
)
EXCHANGED = {"blue": "green", "green": "blue", ".64": ".96", ".96": ".64"}
FIRST = """\
backend mymodel_blue
  timeout server 3600000ms
  timeout check 2000ms
  option tcp-check
  tcp-check connect linger
  tcp-check send\
 "GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nUser-Agent: deployctl\\r\\nConnection: close\\r\\n\\r\\n"
  tcp-check expect rstring '^HTTP/1[.][01] 2[0-9][0-9]'
  tcp-check expect ! rstring x^
  http-response set-var(txn.took) date(0,us),sub(txn.begun),concat()
  http-response set-var(txn.first) var(txn.took),bytes(0,2)
  http-response set-var(txn.digits) var(txn.took),length
  http-response track-sc0 str(blue),concat(:,txn.first),concat(/,txn.digits) table mymodel_answers if { status lt 500 }
  http-request allow if !{ stopping }
  http-request set-var(txn.moved) var(txn.backend),map_str(/etc/deployctl/moved.map)
  http-request set-dst var(txn.moved),field(1,:) if { var(txn.moved) -m found }
  http-request set-dst-port var(txn.moved),field(2,:) if { var(txn.moved) -m found }
  use-server m1 if { stopping } { var(txn.moved) -m found }
  server m1 0.0.0.0:0 weight 0
  option allbackups
  server s1 10.213.0.64:8080 check port 8080 inter 1000ms fastinter 500ms downinter 500ms
  server b1 10.213.0.64:8080 backup
"""
SECOND = """\
backend mymodel_blue_shielded
  timeout server 3600000ms
  timeout connect 500ms
  retries 1
  option redispatch 1
  retry-on conn-failure empty-response junk-response response-timeout 500 502 503 504
  http-request set-timeout server var(txn.patience) if { var(txn.patience) -m int gt 0 }\
 { method GET HEAD POST OPTIONS } !{ req.hdr_val(Content-Length) gt 65536 } !{ req.hdr(Transfer-Encoding) -m found }
  http-request disable-l7-retry if !{ method GET HEAD POST OPTIONS }
  http-request wait-for-body time 3600000ms if { method GET HEAD POST OPTIONS } { req.hdr_val(Content-Length) 1:65536 }
  http-request set-var(txn.replicas) str(mymodel_blue),map_str_int(/etc/deployctl/replicas.map,1)
  http-request set-var(txn.server) str(n1)
  use-server %[var(txn.server)] if TRUE
  .if version_atleast(2.9)
  http-response set-timeout server 3600000ms
  .endif
  http-response set-var(txn.backend) str(mymodel_green) if { srv_name -m beg o p }
  http-response set-var(txn.took) date(0,us),sub(txn.begun),concat()
  http-response set-var(txn.first) var(txn.took),bytes(0,2)
  http-response set-var(txn.digits) var(txn.took),length
  http-response track-sc0 str(blue),concat(:,txn.first),concat(/,txn.digits) table mymodel_answers\
 if { status lt 500 } { srv_name -m beg n b }
  option allbackups
  server n1 10.213.0.64:8080 weight 0 track mymodel_blue/s1
  server b1 10.213.0.64:8080 backup
  server o1 10.213.0.96:8080 track mymodel_green/s1
  server p1 10.213.0.96:8080 track mymodel_green/s1
"""


def texts(app: ProxyApp, *, with_state: bool = True) -> dict[str, str]:
    """The backends of an app by their names."""
    found = list(backends.backends(app, with_state=with_state))
    return {text.split("\n")[0].removeprefix("backend "): text for text in found}


def test_each_slot_has_two_backends_and_the_app_one_table() -> None:
    found = texts(ONE)
    assert list(found) == [
        "mymodel_blue",
        "mymodel_green",
        "mymodel_blue_shielded",
        "mymodel_green_shielded",
        "mymodel_answers",
    ]
    assert found["mymodel_blue"] == FIRST
    assert found["mymodel_blue_shielded"] == SECOND
    assert (
        found["mymodel_answers"]
        == "backend mymodel_answers\n  stick-table type string len 24 size 4096 store http_req_cnt\n"
    )
    # The other slot's are the same, with both slots exchanged.
    for end in ("", "_shielded"):
        swapped = re.sub(r"blue|green|\.64|\.96", lambda found: EXCHANGED[found[0]], found[f"mymodel_blue{end}"])
        assert found[f"mymodel_green{end}"] == swapped


def servers(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.startswith("  server ")]


def test_both_kinds_have_as_many_servers_as_the_larger_slot() -> None:
    found = texts(TWO)
    assert servers(found["mymodel_blue_shielded"]) == [
        "server n1 10.213.0.64:8080 weight 0 track mymodel_blue/s1",
        "server b1 10.213.0.64:8080 backup",
        "server o1 10.213.0.96:8080 track mymodel_green/s1",
        "server p1 10.213.0.96:8080 track mymodel_green/s1",
        "server n2 10.213.0.65:8080 weight 0 track mymodel_blue/s2",
        "server b2 10.213.0.65:8080 backup",
        # Green has one replica.
        "server o2 127.0.0.1:1 track mymodel_green/s2",
        "server p2 127.0.0.1:1 track mymodel_green/s2",
    ]
    assert servers(found["mymodel_green_shielded"])[4:] == [
        "server n2 127.0.0.1:1 weight 0 track mymodel_green/s2",
        "server b2 127.0.0.1:1 backup disabled",
        "server o2 10.213.0.65:8080 track mymodel_blue/s2",
        "server p2 10.213.0.65:8080 track mymodel_blue/s2",
    ]


def test_a_replica_is_chosen_by_chance_among_those_that_the_slot_has() -> None:
    lines = texts(TWO)["mymodel_blue_shielded"]
    assert "set-var(txn.replicas) str(mymodel_blue),map_str_int(/etc/deployctl/replicas.map,1)\n" in lines
    assert "set-var(txn.server) rand(65536),mod(txn.replicas),add(1),concat(),regsub(^,n)\n" in lines


def test_while_a_chosen_replica_is_down_the_next_one_is_asked_before_the_other_slot() -> None:
    lines = [line for line in texts(TWO)["mymodel_blue_shielded"].splitlines() if "txn.server" in line]
    following = [
        f"  http-request set-var(txn.server) str(n{chosen}) if {{ var(txn.server) -m str n{down} }}"
        f" !{{ srv_is_up(mymodel_blue/s{down}) }}"
        for down, chosen in ((1, 2), (2, 1), (1, 2))
    ]
    assert lines[1:] == [*following, "  use-server %[var(txn.server)] if TRUE"]


def test_only_the_methods_of_the_app_are_repeated_and_the_prefix_is_stripped() -> None:
    lines = texts(TWO)["mymodel_green_shielded"].splitlines()
    assert "  http-request disable-l7-retry if !{ method GET PUT }" in lines
    body = "{ req.hdr_val(Content-Length) 1:65536 }"
    assert f"  http-request wait-for-body time 60000ms if {{ method GET PUT }} {body}" in lines
    assert "  http-request replace-path ^/v1\\.0/?(.*) /\\1" in lines


def test_what_is_repeated_fits_in_the_buffer_with_its_head() -> None:
    values = dict(line.split()[:2] for line in shipped("haproxy.cfg").splitlines() if line.startswith("  tune."))
    head = 4096
    assert backends.LARGEST_BODY + head <= int(values["tune.bufsize"]) - int(values["tune.maxrewrite"])


@pytest.mark.parametrize("slot", ["blue", "green"])
def test_without_state_no_server_has_an_address_of_a_container(slot: Slot) -> None:
    assert "10.213." not in "".join(texts(ONE, with_state=False).values())
    one = replace(ONE, slots={slot: ONE.slots[slot]})
    # The first release of an app registers one slot; the next one must need no reload.
    assert texts(one, with_state=False) == texts(ONE, with_state=False)


def test_an_app_that_is_about_to_get_its_first_version_has_no_servers() -> None:
    empty = replace(ONE, slots={"blue": replace(ONE.slots["blue"], addresses=())})
    assert [line for line in servers("".join(texts(empty).values())) if "m1" not in line] == []


def test_the_keys_of_the_table_are_buckets_of_response_times() -> None:
    """The same steps as in `_counted`: the first two digits and how many there are."""
    for took, upper in ((7, 8), (42, 43), (12_345, 13_000), (3_600_000_000, 3_700_000_000)):
        text = str(took)
        assert quantile({f"{text[:2]}/{len(text)}": 1}, 1) == upper / 1e6
