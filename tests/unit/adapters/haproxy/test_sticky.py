"""The exact text of the rules for sticky sessions: sticky.txt has them as HAProxy reads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy import backends, render, rules, sticky
from orchestrator.domain.traffic.route import ProxyApp, Route
from tests.unit.builders import backend, proxy_app

APP = proxy_app(
    "mymodel", Route("127.0.0.1:8000"), backend("v1", "10.213.0.64", "10.213.0.65"), backend("v2", "10.213.0.96")
)
TEXT = Path(__file__).with_name("sticky.txt")
KINDS = ["cookie", "header:X-User", "query:session_hash"]


def with_sessions(kind: str, name: str = "mymodel") -> ProxyApp:
    return replace(APP, name=name, route=replace(APP.route, sticky=kind))


def parts(app: ProxyApp) -> dict[str, list[str]]:
    return {
        "the frontend": list(sticky.slots(app, 2)),
        "mymodel_blue": sticky.replicas(app, "blue", 2, "s"),
        "mymodel_blue, last": sticky.servers_of_sessions(app, 2),
        "mymodel_blue_shielded": sticky.replicas(app, "blue", 2, "n"),
        "answers": sticky.answers(app, 2),
        "tables": sticky.tables([app]),
    }


def test_each_rule_is_written_as_haproxy_reads_it() -> None:
    lines = []
    for kind in KINDS[:2]:
        for name, part in parts(with_sessions(kind)).items():
            lines += [f"# {kind}: {name}", *part, ""]
    assert "\n".join(lines) == TEXT.read_text()


def test_a_query_parameter_is_as_a_header() -> None:
    header, query = (parts(with_sessions(kind)) for kind in KINDS[1:])
    assert header == {
        name: [line.replace("url_param(session_hash)", "req.fhdr(X-User)") for line in part]
        for name, part in query.items()
    }


def text(*apps: ProxyApp) -> str:
    return render.configuration("global\n", apps, 2)[0]


def test_an_app_without_sticky_sessions_has_no_rule_for_them() -> None:
    assert not any(parts(APP).values())
    # Nor does an app beside it cost it anything at rest: the frontend has no more rules before the evaluation ends.
    alone, beside = text(APP), text(APP, with_sessions("cookie", "other"))
    for name in ("mymodel_blue", "mymodel_green", "mymodel_blue_shielded", "mymodel_green_shielded"):
        (section,) = [each for each in alone.split("\n\n") if each.startswith(f"backend {name}\n")]
        assert section in beside.split("\n\n")
    (rest,) = rules.at_rest()
    before = beside.split(rest)[0]
    assert "sticky" not in before
    assert "deployctl-other" not in before


@pytest.mark.parametrize("kind", KINDS)
def test_rules_stand_where_haproxy_evaluates_them(kind: str) -> None:
    """A rule of requests after `use-server` brings a warning, and after the one for `stopping` it has no effect."""
    for section in backends.backends(with_sessions(kind), with_state=True):
        lines = [line.strip() for line in section.splitlines()]
        first = next((n for n, line in enumerate(lines) if line.startswith("use-server")), len(lines))
        assert not any(line.startswith("http-request") for line in lines[first:])
        ends = [n for n, line in enumerate(lines) if line == "http-request allow if !{ stopping }"]
        for n in ends:
            assert not any("txn.replica" in line and "http-request" in line for line in lines[n:])
        assert max(len(line.split()) for line in lines) <= 64


def test_an_app_without_servers_has_no_rules_of_servers() -> None:
    app = with_sessions("cookie")
    assert not sticky.replicas(app, "blue", 0, "s")
    assert not sticky.servers_of_sessions(app, 0)
    assert not sticky.answers(app, 0)
    assert "_up" not in "\n".join(sticky.slots(app, 0))


def test_the_tables_have_one_peer() -> None:
    found = sticky.tables(
        [with_sessions(KINDS[1], "a"), with_sessions("cookie", "b"), with_sessions(KINDS[2], "c"), APP]
    )
    assert [each.splitlines()[0] for each in found] == [
        "global",
        "peers deployctl_reload",
        "backend a_sessions",
        "backend c_sessions",
    ]
