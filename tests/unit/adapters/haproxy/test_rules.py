"""The exact text of the rules that every request passes: rules.txt has them as HAProxy reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy import rules
from orchestrator.domain.traffic.route import ProxyApp, Route

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
        rules.without_upgrade(),
        rules.forwarded([APP]),
        rules.answers(),
    ]
    assert "\n\n".join("\n".join(part) for part in parts) + "\n" == TEXT.read_text()


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
