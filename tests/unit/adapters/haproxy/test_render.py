"""The exact text of HAProxy's configuration."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.haproxy import backends, render, rules, words
from orchestrator.adapters.haproxy.container import shipped
from orchestrator.config import PRESET_NAMES
from orchestrator.domain.health.presets import resolve
from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.domain.traffic.state import TrafficState
from tests.unit.builders import backend, proxy_app

TEMPLATE = "global\n  setenv DEPLOYCTL_CONFIG @config@\n  nbthread @threads@\n"


def configuration(*apps: ProxyApp) -> tuple[str, str]:
    return render.configuration(TEMPLATE, apps, 2)


def text(*apps: ProxyApp) -> str:
    return configuration(*apps)[0]


def section(found: str, name: str) -> list[str]:
    """The lines of a section without their indent."""
    for block in found.split("\n\n"):
        lines = block.strip("\n").splitlines()
        if lines and lines[0] == name:
            return [line.strip() for line in lines[1:]]
    raise AssertionError(f"no section {name} in {found}")


ONE = proxy_app(
    "mymodel",
    Route("127.0.0.1:8000"),
    backend("v1", "10.213.0.64"),
    backend("none", "10.213.0.96", active=False),
)
ALPHA = proxy_app(
    "alpha",
    Route("127.0.0.1:8000", ("a.example.com", "*.b.example.com"), "/v1.0", True, 60.0),
    backend("v1", "10.213.0.64"),
    backend("none", "10.213.0.96", active=False),
)
BETA = proxy_app(
    "beta",
    Route("127.0.0.1:8000", (), "/beta", False, 7200.0),
    backend("v3", "10.213.0.128", "10.213.0.129", timeout=1.5, interval=5.0),
    backend("v4", "10.213.0.160", active=False),
)
GAMMA = proxy_app(
    "gamma",
    Route("[::1]:9000"),
    backend(
        "v1", "10.213.0.192", path="/v1/models/model", body='"state" *: *"AVAILABLE"', statuses=(200, 200), port=8501
    ),
    backend("none", "10.213.0.224", active=False),
)


def indented(*parts: list[str]) -> str:
    return "\n".join(f"  {line}" for part in parts for line in part)


# The lines of the rules, whose text test_rules.py compares.
BEFORE = indented(rules.tolerant(), rules.request_id(), rules.host(), rules.special(), rules.refusals())
CHOICE = indented(rules.usual(), rules.at_rest(), rules.shares())
REST = indented(rules.without_upgrade(), rules.forwarded([ONE]))
ANSWERS = indented(rules.answers())


def test_no_app() -> None:
    found, digest = configuration()
    assert found == f"global\n  setenv DEPLOYCTL_CONFIG {digest}\n  nbthread 2\n"


def test_one_app() -> None:
    found, digest = configuration(ONE)
    assert (
        found
        == f"""\
global
  setenv DEPLOYCTL_CONFIG {digest}
  nbthread 2

frontend listen_127.0.0.1:8000
  bind 127.0.0.1:8000
  timeout client 3600000ms
{BEFORE}
  http-request set-var(txn.app) str(mymodel) if !{{ var(txn.app) -m found }}
  http-request set-var(txn.state) var(txn.app),map_str(/etc/deployctl/routes.map,none)
  http-request set-var(txn.backend) var(txn.app),concat(_,txn.state)
{CHOICE}
{REST}
  http-after-response set-header X-Model-Version %[var(txn.backend),map_str(/etc/deployctl/versions.map,none)]
  http-after-response set-header X-Request-Id %[var(txn.request)]
{ANSWERS}
  use_backend deployctl_unknown if !{{ var(txn.app) -m found }}
  use_backend %[var(txn.backend),concat(_shielded)] if {{ var(txn.shielded) -m bool }}
  use_backend %[var(txn.backend)]
  default_backend deployctl_none

"""
        # test_backends.py compares their text.
        + "\n".join(backends.backends(ONE, with_state=True))
    )


def test_a_preview_has_a_frontend_of_its_own() -> None:
    app = replace(ONE, route=replace(ONE.route, preview="127.0.0.1:8001"))
    found = text(app)
    assert (
        f"""\
frontend preview_mymodel
  bind 127.0.0.1:8001
  timeout client 3600000ms
{BEFORE}
  http-request set-var(txn.app) str(mymodel)
  http-request set-var(txn.slot) var(txn.app),map_str(/etc/deployctl/routes.map,none),field(5,:)
  http-request return status 503 content-type text/plain string "no version of mymodel is previewed\\n"\
 unless {{ var(txn.slot) -m str blue green }}
  http-request set-var(txn.backend) var(txn.app),concat(_,txn.slot)
{indented(rules.usual())}
{REST}
  http-after-response set-header X-Model-Version %[var(txn.backend),map_str(/etc/deployctl/versions.map,none)]
  http-after-response set-header X-Request-Id %[var(txn.request)]
{ANSWERS}
  use_backend %[var(txn.backend)]
  default_backend deployctl_none

"""
        in found
    )
    # The frontend for clients is unchanged.
    assert section(found, "frontend listen_127.0.0.1:8000") == section(text(ONE), "frontend listen_127.0.0.1:8000")
    fields = (words.written(TrafficState("blue", "green", preview=True)) or "").split(":")
    assert fields[5 - 1] == "green"


def test_apps_by_host_and_prefix() -> None:
    found = text(GAMMA, BETA, ALPHA)
    headings = [line for line in found.splitlines() if line.startswith(("frontend", "backend"))]
    assert headings == [
        "frontend listen_127.0.0.1:8000",
        "frontend listen_::1:9000",
        *(
            f"backend {app}_{end}"
            for app in ("alpha", "beta", "gamma")
            for end in ("blue", "green", "blue_shielded", "green_shielded", "answers")
        ),
    ]
    first, second = section(found, "frontend listen_127.0.0.1:8000"), section(found, "frontend listen_::1:9000")
    assert first[:2] == ["bind 127.0.0.1:8000", "timeout client 7200000ms"]
    assert second[:2] == ["bind [::1]:9000", "timeout client 3600000ms"]
    unless = "!{ var(txn.app) -m found }"
    host = "var(txn.host)"
    assert [line for line in first if "set-var(txn.app)" in line] == [
        f"http-request set-var(txn.app) str(alpha) if {unless}"
        f" {{ {host} -m str a.example.com }} {{ path -m reg ^/v1\\.0(/|$) }}",
        f"http-request set-var(txn.app) str(alpha) if {unless}"
        f" {{ {host} -m end .b.example.com }} {{ path -m reg ^/v1\\.0(/|$) }}",
        f"http-request set-var(txn.app) str(beta) if {unless} {{ path -m reg ^/beta(/|$) }}",
    ]
    assert [line for line in second if "set-var(txn.app)" in line] == [
        f"http-request set-var(txn.app) str(gamma) if {unless}"
    ]


def test_each_metrics_address_has_one_frontend() -> None:
    def app(one: ProxyApp, metrics: str) -> ProxyApp:
        return replace(one, route=replace(one.route, metrics=metrics))

    assert "metrics" not in text(ALPHA, BETA, GAMMA)
    found = text(app(ALPHA, "127.0.0.1:8405"), app(BETA, "[::1]:9101"), app(GAMMA, "127.0.0.1:8405"))
    assert found.count("prometheus-exporter") == 2
    assert (
        """\
frontend metrics_0
  bind 127.0.0.1:8405
  mode http
  timeout client 30s
  http-request use-service prometheus-exporter if { path /metrics }
  http-request return status 404 content-type text/plain string "metrics are at /metrics\\n"

frontend metrics_1
  bind [::1]:9101
  mode http
"""
        in found
    )
    # The frontends for clients are unchanged.
    assert section(found, "frontend listen_127.0.0.1:8000") == section(
        text(ALPHA, BETA, GAMMA), "frontend listen_127.0.0.1:8000"
    )


def test_a_prefix_is_stripped_unless_configured_otherwise() -> None:
    found = text(ALPHA, BETA)
    for name in ("backend alpha_blue", "backend alpha_green"):
        assert section(found, name)[7:9] == [
            "http-request set-header X-Forwarded-Prefix %[req.fhdr(X-Forwarded-Prefix),rtrim(/)]/v1.0",
            "http-request replace-path ^/v1\\.0/?(.*) /\\1",
        ]
    assert not [line for line in section(found, "backend beta_blue") if "prefix" in line.lower()]
    assert not [line for line in section(found, "backend beta_blue") if "replace-path" in line]


def test_both_slots_have_as_many_servers_as_the_larger_one() -> None:
    slow, usual = (f"inter {2 * pause}ms fastinter {pause}ms downinter {pause}ms" for pause in (5000, 500))
    found = text(BETA)
    assert section(found, "backend beta_blue")[-4:] == [
        f"server s1 10.213.0.128:8080 check port 8080 {slow}",
        "server b1 10.213.0.128:8080 backup",
        f"server s2 10.213.0.129:8080 check port 8080 {slow}",
        "server b2 10.213.0.129:8080 backup",
    ]
    # The servers of a parked slot have the parked address.
    parked = [
        f"server s1 127.0.0.1:1 check port 1 {usual}",
        "server b1 127.0.0.1:1 backup disabled",
        f"server s2 127.0.0.1:1 check port 1 {usual}",
        "server b2 127.0.0.1:1 backup disabled",
    ]
    assert section(found, "backend beta_green")[-4:] == parked
    # In use, it has as many containers as it has: the second server has nobody's address.
    green = replace(BETA.slots["green"], active=True)
    found = text(replace(BETA, slots={**BETA.slots, "green": green}))
    assert section(found, "backend beta_green")[-4:] == [
        f"server s1 10.213.0.160:8080 check port 8080 {usual}",
        "server b1 10.213.0.160:8080 backup",
        *parked[2:],
    ]


def test_a_preset_that_reads_the_body() -> None:
    assert section(text(GAMMA), "backend gamma_blue") == [
        "timeout server 3600000ms",
        "timeout check 2000ms",
        "option httpchk",
        "http-check connect linger",
        "http-check send meth GET uri /v1/models/model ver HTTP/1.1 hdr Host localhost hdr User-Agent deployctl"
        " hdr Connection close",
        'http-check expect rstring \'"state" *: *"AVAILABLE"\'',
        "http-check expect status 200-200",
        "http-check expect ! rstring x^",
        *backends._counted("gamma", "blue"),
        *backends._moved(),
        "option allbackups",
        "server s1 10.213.0.192:8501 check port 8501 inter 1000ms fastinter 500ms downinter 500ms",
        "server b1 10.213.0.192:8501 backup",
    ]


@pytest.mark.parametrize("name", PRESET_NAMES)
@pytest.mark.parametrize("model", [None, "my.model"])
def test_every_preset_can_be_written(name: str, model: str | None) -> None:
    preset = resolve(name, model)
    probe = ProbeSpec(preset.path, preset.port, body=preset.body, statuses=preset.statuses)
    found = text(
        proxy_app("m", Route("*:80"), SlotEndpoints("v1", ("10.213.0.64",), probe), backend("v2", "10.213.0.96"))
    )
    lines = section(found, "backend m_blue")
    wanted = "2[0-9][0-9]" if preset.statuses == (200, 299) else "(200)"
    if preset.body is None:
        assert f"tcp-check expect rstring '^HTTP/1[.][01] {wanted}'" in lines
    else:
        assert f"http-check expect rstring '{preset.body}'" in lines
        assert f"http-check expect status {preset.statuses[0]}-{preset.statuses[1]}" in lines


def test_the_most_specific_route_is_asked_first() -> None:
    def app(name: str, *hosts: str, prefix: str = "") -> ProxyApp:
        return replace(ONE, name=name, route=Route("127.0.0.1:8000", hosts, prefix))

    found = text(
        app("a-any"),
        app("b-prefix", prefix="/p"),
        app("c-longer", prefix="/p/q"),
        app("d-wild", "*.example.com"),
        app("e-host", "x.example.com"),
        app("f-host-prefix", "x.example.com", prefix="/p"),
    )
    order = [
        line.split("str(")[1].split(")")[0]
        for line in section(found, "frontend listen_127.0.0.1:8000")
        if "set-var(txn.app)" in line
    ]
    assert order == ["f-host-prefix", "e-host", "d-wild", "c-longer", "b-prefix", "a-any"]


def test_wild_hosts_are_asked_the_longest_first() -> None:
    def app(name: str, *hosts: str, prefix: str = "") -> ProxyApp:
        return replace(ONE, name=name, route=Route("127.0.0.1:8000", hosts, prefix))

    found = text(
        app("wide", "*.example.com", prefix="/long/prefix"), app("zoo", "*.eu.example.com", "*.com"), app("exact", "x")
    )
    order = [
        (line.split("str(")[1].split(")")[0], line.split("-m ")[2].split()[1])
        for line in section(found, "frontend listen_127.0.0.1:8000")
        if "set-var(txn.app)" in line
    ]
    assert order == [("exact", "x"), ("zoo", ".eu.example.com"), ("wide", ".example.com"), ("zoo", ".com")]


def test_no_line_has_more_words_than_haproxy_reads() -> None:
    hosts = [f"h{n}.example.com" for n in range(100)] + [f"*.w{n}.example.com" for n in range(100)]
    found = text(replace(ONE, route=Route("127.0.0.1:8000", tuple(hosts))))
    assert max(len(line.split()) for line in found.splitlines()) <= 64
    asked = [word for line in found.splitlines() if "set-var(txn.app)" in line for word in line.split()]
    assert {host.removeprefix("*") for host in hosts} <= set(asked)


def test_no_time_is_longer_than_haproxy_can_count() -> None:
    month = 30 * 86400.0
    slow = turned(ONE, probe=ProbeSpec("/", 8080, interval=month, timeout=month))
    found = text(replace(slow, route=Route("127.0.0.1:8000", timeout=month)))
    assert "2592000000" not in found
    for key in ("timeout client", "timeout server", "timeout check", " inter", " fastinter", " downinter"):
        assert re.search(rf"{key} 2147483647ms[ \n]", found)


def test_a_path_with_our_own_marks_in_it_stays_as_it_is() -> None:
    found = text(turned(ONE, probe=ProbeSpec("/@config@/@threads@", 8080)))
    assert ' "GET /@config@/@threads@ HTTP/1.1' in found


# --- the digest --------------------------------------------------------------------------------------------------


def turned(app: ProxyApp, **slots: Any) -> ProxyApp:
    return replace(app, slots={slot: replace(backend, **slots) for slot, backend in app.slots.items()})


def test_which_slot_is_in_use_changes_the_text_and_not_the_digest() -> None:
    digests = {configuration(turned(ONE, active=active))[1] for active in (True, False)}
    texts = {configuration(turned(ONE, active=active))[0] for active in (True, False)}
    assert digests == {configuration(ONE)[1]}
    assert len(texts) == 2


def test_where_its_containers_are_changes_the_text_and_not_the_digest() -> None:
    for moved in (
        turned(ONE, addresses=("10.213.0.70",)),
        turned(ONE, probe=ProbeSpec("/healthz", 8081)),
        turned(ONE, port=9090),
    ):
        assert configuration(moved)[0] != text(ONE)
        assert configuration(moved)[1] == configuration(ONE)[1]


def test_one_slot_makes_both_backends_and_the_second_slot_changes_no_structure() -> None:
    """The first release of an app registers one slot; the next one must need no reload."""
    for first, second in (("blue", "green"), ("green", "blue")):
        slots: dict[Any, SlotEndpoints] = {
            "blue": backend("v1", "10.213.0.64", "10.213.0.65"),
            "green": backend("v2", "10.213.0.96", "10.213.0.97"),
        }
        both = ProxyApp("mymodel", Route("127.0.0.1:8000"), slots)
        one = replace(both, slots={first: slots[first]})  # type: ignore[dict-item]
        assert section(text(one), f"backend mymodel_{first}") == section(text(both), f"backend mymodel_{first}")
        parked = section(text(one), f"backend mymodel_{second}")
        assert parked == section(text(turned(both, active=False)), f"backend mymodel_{second}")
        assert len([line for line in parked if line.startswith(("server s", "server b"))]) == 4
        assert configuration(one)[1] == configuration(both)[1]
        assert configuration(one)[0] != configuration(both)[0]
        assert render.versions_map([one]) == f"mymodel_{first} {slots[first].version}\n"
        # What both slots were when the other one had a placeholder.
        placeholder = replace(slots[second], version="none", active=False)
        assert configuration(one) == configuration(replace(both, slots={**slots, second: placeholder}))


def test_which_version_is_in_a_slot_changes_neither() -> None:
    assert configuration(turned(ONE, version="v7")) == configuration(ONE)


def test_the_order_of_the_apps_does_not_matter() -> None:
    assert configuration(ALPHA, BETA, GAMMA) == configuration(GAMMA, ALPHA, BETA)


@pytest.mark.parametrize(
    "changed",
    [
        replace(ONE, name="other"),
        replace(ONE, route=Route("127.0.0.1:8001")),
        replace(ONE, route=Route("127.0.0.1:8000", ("a.example.com",))),
        replace(ONE, route=Route("127.0.0.1:8000", (), "/p")),
        replace(ONE, route=Route("127.0.0.1:8000", timeout=1.0)),
        replace(ONE, route=Route("127.0.0.1:8000", metrics="127.0.0.1:8405")),
        replace(ONE, route=Route("127.0.0.1:8000", preview="127.0.0.1:8001")),
        replace(ONE, route=Route("127.0.0.1:8000", repeatable=("GET",))),
        turned(ONE, addresses=("10.213.0.64", "10.213.0.65")),
        turned(ONE, probe=ProbeSpec("/ready", 8080)),
        turned(ONE, probe=ProbeSpec("/healthz", 8080, host="models.example.com")),
        turned(ONE, closing=False),
        turned(ONE, probe=ProbeSpec("/healthz", 8080, timeout=3.0)),
        turned(ONE, probe=ProbeSpec("/healthz", 8080, body="ok")),
    ],
)
def test_everything_else_changes_it(changed: ProxyApp) -> None:
    assert configuration(changed)[1] != configuration(ONE)[1]


def test_the_shipped_template_has_all_placeholders() -> None:
    found, digest = render.configuration(shipped("haproxy.cfg"), [ALPHA, BETA, GAMMA], 3)
    # The edge replaces it by the digest of that program.
    assert found.count("@hold@") == 1
    assert "@" not in found.replace("unix@/", "").replace("@hold@", "")
    assert f"setenv DEPLOYCTL_CONFIG {digest}\n" in found
    assert "nbthread 3\n" in found
    assert len(digest) == 12


@pytest.mark.parametrize(
    ("listen", "line"),
    [
        ("127.0.0.1:8000", "bind 127.0.0.1:8000"),
        ("0.0.0.0:8000", "bind 0.0.0.0:8000"),
        ("[::1]:8000", "bind [::1]:8000"),
        ("*:8000", "bind *:8000,[::]:8000 v6only"),
        ("[::]:8000", "bind *:8000,[::]:8000 v6only"),
    ],
)
def test_all_addresses_are_those_of_both_families(listen: str, line: str) -> None:
    assert render.bind(listen) == line
    assert f"\n  {line}\n" in text(replace(ONE, route=Route(listen)))
    assert f"\n  {line}\n" in text(replace(ONE, route=Route("127.0.0.1:1", metrics=listen)))


# --- the maps ----------------------------------------------------------------------------------------------------


def test_the_maps() -> None:
    states = {"beta": "green", "alpha": "blue:green:500:blue:none:0:30000"}
    assert render.routes_map(states) == "alpha blue:green:500:blue:none:0:30000\nbeta green\n"
    assert render.routes_map({}) == ""
    assert render.replicas_map([BETA, ALPHA]) == "alpha_blue 1\nalpha_green 1\nbeta_blue 2\nbeta_green 1\n"
    assert render.replicas_map([turned(ONE, addresses=())]) == "mymodel_blue 1\nmymodel_green 1\n"
    assert render.backend("mymodel", "blue") == "mymodel_blue"
    assert render.versions_map([BETA, ALPHA]) == ("alpha_blue v1\nalpha_green none\nbeta_blue v3\nbeta_green v4\n")


# --- injection -----------------------------------------------------------------------------------------------

EVIL = [
    "x\n  bind *:1",
    "x y",
    "x\ty",
    "x#y",
    "x\\y",
    "x'y",
    'x"y',
    "x{y",
    "x}y",
    "x%[y]",
    "x$y",
    "x(y",
    "x)y",
    "x!y",
    "x|y",
    "é",
    "",
    "x\0",
    "x\r",
]


def places(evil: str) -> dict[str, ProxyApp]:
    return {
        "name": replace(ONE, name=evil),
        "listen": replace(ONE, route=Route(evil)),
        "metrics": replace(ONE, route=Route("127.0.0.1:8000", metrics=evil)),
        "preview": replace(ONE, route=Route("127.0.0.1:8000", preview=evil)),
        "method": replace(ONE, route=Route("127.0.0.1:8000", repeatable=("GET", evil))),
        "host": replace(ONE, route=Route("127.0.0.1:8000", (evil,))),
        "wild host": replace(ONE, route=Route("127.0.0.1:8000", ("*." + evil,))),
        "prefix": replace(ONE, route=Route("127.0.0.1:8000", (), "/" + evil)),
        "path": turned(ONE, probe=ProbeSpec("/" + evil, 8080)),
        "address": turned(ONE, addresses=(evil,)),
    }


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("place", places(""))
def test_an_invalid_word_is_refused(place: str, evil: str) -> None:
    if evil == "" and place in ("wild host", "prefix", "path", "metrics", "preview", "address"):
        return
    with pytest.raises(ValueError, match="must not reach the proxy's configuration"):
        text(places(evil)[place])


@pytest.mark.parametrize("evil", ["ok'", "ok\n", "$HOME", "a;b", "ok#'"])
def test_a_pattern_that_leaves_its_quotes_is_refused(evil: str) -> None:
    with pytest.raises(ValueError, match="must not reach the proxy's configuration"):
        text(turned(ONE, probe=ProbeSpec("/", 80, body=evil)))


@pytest.mark.parametrize("evil", ["x\ny blue", "x y", "x#"])
def test_the_maps_refuse_it_as_well(evil: str) -> None:
    with pytest.raises(ValueError, match="must not reach"):
        render.routes_map({evil: "blue"})
    with pytest.raises(ValueError, match="must not reach"):
        render.routes_map({"mymodel": evil})
    with pytest.raises(ValueError, match="must not reach"):
        render.versions_map([turned(ONE, version=evil)])
    with pytest.raises(ValueError, match="must not reach"):
        render.versions_map([replace(ONE, name=evil)])
    with pytest.raises(ValueError, match="must not reach"):
        render.replicas_map([replace(ONE, name=evil)])


@given(st.text(min_size=1, max_size=30))
def test_no_text_adds_a_line(evil: str) -> None:
    lines = len(text(ONE).splitlines())
    for place in ("listen", "address"):
        try:
            found = text(places(evil)[place])
        except ValueError:
            continue
        assert len(found.splitlines()) == lines
