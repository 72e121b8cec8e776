"""The exact text of the rules that every request passes: rules.txt has them as HAProxy reads them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy import rules, words
from orchestrator.adapters.haproxy.container import shipped
from orchestrator.domain.traffic.maintenance import MESSAGE, Maintenance
from orchestrator.domain.traffic.route import ProxyApp, Route
from orchestrator.domain.traffic.state import TrafficState

APP = ProxyApp("mymodel", Route("127.0.0.1:8000"), {})
TEXT = Path(__file__).with_name("rules.txt")


def test_each_rule_is_written_as_haproxy_reads_it() -> None:
    parts = [
        rules.tolerant(),
        rules.request_id(),
        rules.host(),
        rules.special(),
        rules.refusals(),
        rules.usual(),
        rules.at_rest(),
        rules.shares(),
        rules.without_upgrade(),
        rules.forwarded([APP]),
        rules.answers(),
    ]
    assert "\n\n".join("\n".join(part) for part in parts) + "\n" == TEXT.read_text()


def test_the_rules_read_the_fields_where_words_has_them() -> None:
    state = TrafficState("blue", "green", 1_234, shield=True, held=56.0, patience=78.0)
    fields = (words.written(state) or "").split(":")
    names = {"slot": ["blue", "green"], "share": ["1234"], "fallback": ["blue"], "patience": ["78000"]}
    found: dict[str, list[str]] = {}
    for name, number in re.findall(
        r"set-var\(txn\.(\w+)\) var\(txn\.state\),field\((\d),:\)", "\n".join(rules.shares())
    ):
        found.setdefault(name, []).append(fields[int(number) - 1])
    assert found == names
    closed = replace(state, maintenance=Maintenance("closed", 90, 12.0))
    longer = (words.written(closed) or "").split(":")
    asked = {number for line in rules.shares() for number in re.findall(r"field\((\d),:\) -m int gt 0", line)}
    assert [longer[int(number) - 1] for number in sorted(asked)] == ["56000", "12000", "90"]
    # Where requests wait, the same field is read by a pattern.
    pattern = re.search(r'TIMES = "([^"]+)"', shipped("hold.lua"))
    assert pattern
    lua = re.compile(pattern[1].replace("%a", "[A-Za-z]").replace("%d", "[0-9]").replace("%-", "-"))
    match = lua.match(":".join(fields))
    assert match
    assert match.groups() == ("56000", "", "")
    match = lua.match(":".join(longer))
    assert match
    assert match.groups() == ("56000", "12000", "90")
    kept = words.written(replace(closed, candidate=None, share=0, shield=False, patience=0.0, sessions=True))
    assert kept and ":-1:" in kept
    assert lua.match(kept)
    assert lua.match("blue") is None


def test_the_answer_without_a_message_is_the_usual_one() -> None:
    assert f'or "{MESSAGE}"' in shipped("hold.lua")


def trusting(name: str, *networks: str) -> ProxyApp:
    return replace(APP, name=name, route=replace(APP.route, trusted=networks))


@pytest.mark.parametrize(
    ("apps", "lines"),
    [
        ([APP], ["{ src 127.0.0.0/8 ::1/128 }"]),
        ([APP, replace(APP, name="other")], ["{ src 127.0.0.0/8 ::1/128 }"]),
        ([trusting("nobody")], []),
        (
            [APP, trusting("nobody"), trusting("a", "10.0.0.0/8"), trusting("b", "10.0.0.0/8")],
            [
                "{ src 127.0.0.0/8 ::1/128 } { var(txn.app) -m str mymodel }",
                "{ src 10.0.0.0/8 } { var(txn.app) -m str a b }",
            ],
        ),
    ],
)
def test_each_app_trusts_its_own_networks(apps: list[ProxyApp], lines: list[str]) -> None:
    found = [line for line in rules.forwarded(apps) if "set-var(txn.trusted)" in line]
    assert found == [
        f"http-request set-var(txn.trusted) bool(true) if {{ var(txn.told) -m bool }} {line}" for line in lines
    ]


def test_no_line_has_more_words_than_haproxy_reads() -> None:
    many = [trusting(f"app{n}", *(f"10.{m}.{n % 2}.0/24" for m in range(100))) for n in range(100)]
    found = rules.forwarded([*many, APP])
    assert max(len(line.split()) for line in found) <= 64
    trusted = [line.split() for line in found if "set-var(txn.trusted)" in line]
    for app in many:
        for network in app.route.trusted:
            assert any(network in words and app.name in words for words in trusted)
