"""What models are told about clients, through the real proxy: alone, and behind another proxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.domain.traffic.route import EVERYBODY, Route
from tests.engine.raw_model import Proxied, fields, proxied

HOST = "Host: models.example.com"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    with proxied(
        tmp_path_factory.mktemp("forwarded") / "proxy",
        local=Route(""),
        nobody=Route("", ("nobody.example.com",), trusted=()),
        everybody=Route("", ("everybody.example.com",), trusted=EVERYBODY),
        other=Route("", ("other.example.com",), trusted=("10.0.0.0/8", "203.0.113.0/24", "fe80::/10")),
        prefixed=Route("", ("*.prefixed.example.com",), "/v1.0"),
        kept=Route("", ("kept.example.com",), "/kept", strip_prefix=False),
    ) as made:
        yield made


def told(proxy: Proxied, app: str, *lines: str, path: str = "/") -> dict[str, list[str]]:
    """What the model of an app is told by X-Forwarded-NAME and Forwarded, by name."""
    model = proxy.models[app]
    model.heads.clear()
    assert proxy.ask(*lines, path=path)[0] == 200
    (head,) = model.heads
    names = ("For", "Proto", "Host", "Port", "Prefix", "Server", "Ssl")
    found = {name.lower(): fields(head, f"X-Forwarded-{name}") for name in names}
    found |= {name: fields(head, name) for name in ("forwarded", "x-real-ip", "x-scheme")}
    return {name: values for name, values in found.items() if values}


def test_without_a_front_the_proxy_says_what_the_client_asked_for(shared: Proxied) -> None:
    assert told(shared, "local", HOST) == {
        "for": ["127.0.0.1"],
        "proto": ["http"],
        "host": ["models.example.com"],
        "port": [shared.rig.listen.rpartition(":")[2]],
    }


def test_what_a_trusted_front_says_reaches_the_model(shared: Proxied) -> None:
    front = (
        "X-Forwarded-For: 203.0.113.7, 10.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: public.example.com",
        "X-Forwarded-Port: 8443",
        "X-Forwarded-Prefix: /outer",
        "X-Real-IP: 203.0.113.7",
        "Forwarded: for=203.0.113.7;proto=https",
    )
    for app, host in (("local", HOST), ("everybody", "Host: everybody.example.com")):
        assert told(shared, app, host, *front) == {
            "for": ["203.0.113.7, 10.0.0.1, 127.0.0.1"],
            "proto": ["https"],
            "host": ["public.example.com"],
            "port": ["8443"],
            "prefix": ["/outer"],
            "x-real-ip": ["203.0.113.7"],
            "forwarded": ["for=203.0.113.7;proto=https, for=127.0.0.1"],
        }


@pytest.mark.parametrize("app", ["nobody", "other"])
def test_what_others_say_is_replaced(shared: Proxied, app: str) -> None:
    lines = (
        "X-Forwarded-For: 203.0.113.7",
        "X-Forwarded-Proto: https",
        "x-forwarded-host: public.example.com",
        "X-Forwarded-Port: 8443",
        "X-Forwarded-Prefix: /outer",
        "X-Forwarded-Server: front",
        "X-Forwarded-Ssl: on",
        "X-Real-IP: 203.0.113.7",
        "X-Scheme: https",
        "Forwarded: for=203.0.113.7;proto=https",
    )
    assert told(shared, app, f"Host: {app}.example.com", *lines) == {
        "for": ["127.0.0.1"],
        "proto": ["http"],
        "host": [f"{app}.example.com"],
        "port": [shared.rig.listen.rpartition(":")[2]],
    }


def test_a_list_of_several_lines_stays_in_order(shared: Proxied) -> None:
    found = told(shared, "local", HOST, "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2")
    assert ", ".join(found["for"]) == "1.1.1.1, 2.2.2.2, 127.0.0.1"


@pytest.mark.parametrize(
    ("lines", "port"),
    [
        (("X-Forwarded-Proto: https",), "443"),
        (("X-Forwarded-Proto: https", "X-Forwarded-Host: a.example:8443"), "8443"),
        (("X-Forwarded-Proto: https", "X-Forwarded-Host: [::1]:8443"), "8443"),
        (("X-Forwarded-Proto: https", "X-Forwarded-Host: a.example"), "443"),
        (("X-Forwarded-Port: 1",), "1"),
        (("X-Forwarded-Host: a.example:8080",), "8080"),
    ],
)
def test_the_port_is_that_of_the_front(shared: Proxied, lines: tuple[str, ...], port: str) -> None:
    assert told(shared, "local", HOST, *lines)["port"] == [port]


@pytest.mark.parametrize(
    ("forwarded", "proto", "host"),
    [
        ("proto=https", "https", "models.example.com"),
        ("for=1.2.3.4;Host=a.example;Proto=HTTPS", "https", "a.example"),
        ('for="[::1]";proto="https";host="a.example:8443", for=2.2.2.2;host=b.example', "https", "a.example:8443"),
        ("for=1.2.3.4, for=2.2.2.2;proto=https;host=b.example", "http", "models.example.com"),
    ],
)
def test_what_only_forwarded_says_is_said_in_both_ways(shared: Proxied, forwarded: str, proto: str, host: str) -> None:
    found = told(shared, "local", HOST, f"Forwarded: {forwarded}")
    assert (found["proto"], found["host"]) == ([proto], [host])
    assert found["forwarded"] == [f"{forwarded}, for=127.0.0.1"]


def test_the_prefix_of_the_app_follows_that_of_the_front(shared: Proxied) -> None:
    host = "Host: a.prefixed.example.com"
    for sent, prefix in (("", "/v1.0"), ("/outer", "/outer/v1.0"), ("/outer/", "/outer/v1.0")):
        lines = (f"X-Forwarded-Prefix: {sent}",) if sent else ()
        assert told(shared, "prefixed", host, *lines, path="/v1.0/x")["prefix"] == [prefix]
    found = told(shared, "kept", "Host: kept.example.com", "X-Forwarded-Prefix: /outer", path="/kept/x")
    assert found["prefix"] == ["/outer"]


# --- routes by name --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["other.example.com", "OTHER.Example.com", "other.example.com:8000", "other.example.com.", "other.example.com.:80"],
)
def test_a_name_leads_to_its_app_however_it_is_written(shared: Proxied, host: str) -> None:
    assert told(shared, "other", f"Host: {host}")["host"] == [host]


def test_a_front_does_not_choose_the_app(shared: Proxied) -> None:
    assert told(shared, "local", HOST, "X-Forwarded-Host: other.example.com")["host"] == ["other.example.com"]


@pytest.mark.parametrize("name", ["other.example.com, nobody.example.com", "nobody.example.com,other.example.com"])
def test_more_than_one_name_is_refused(shared: Proxied, name: str) -> None:
    assert_refused(shared, f"Host: {name}", why="Host must be one name")


@pytest.mark.parametrize("mark", ["#", "/", "?", "@", "\\", " ", "\t", "\x7f", "\xe4"])
def test_a_name_with_a_character_that_ends_it_is_refused(shared: Proxied, mark: str) -> None:
    line = f"Host: other.example.com{mark}nobody.example.com".encode("latin-1")
    assert_refused(shared, line, why="Host has a character that is not allowed there")


def test_a_url_without_a_path_does_not_carry_its_query_into_the_name(shared: Proxied) -> None:
    for model in shared.models.values():
        model.heads.clear()
    assert shared.ask("Host: other.example.com", path="http://other.example.com?nobody.example.com")[0] == 400
    assert [model.heads for model in shared.models.values()] == [[]] * len(shared.models)


def assert_refused(proxy: Proxied, line: str | bytes, *, why: str) -> None:
    """A rule says why; HAProxy 3.0 refuses such a Host before any rule, with its own page and without an id."""
    for model in proxy.models.values():
        model.heads.clear()
    status, head, body = proxy.ask(line)
    assert status == 400
    if not body.startswith(b"<html>"):
        assert body.decode() == f"{why} (request {fields(head, 'x-request-id')[0]})\n"
    assert [model.heads for model in proxy.models.values()] == [[]] * len(proxy.models)


def test_two_hosts_are_refused(shared: Proxied) -> None:
    assert shared.ask("Host: other.example.com", "Host: nobody.example.com")[0] == 400


def test_a_request_without_a_name_reaches_the_app_without_names(shared: Proxied) -> None:
    assert "host" not in told(shared, "local")
