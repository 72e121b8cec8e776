"""What the real proxy passes on, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.domain.traffic.route import Route
from tests.engine.harness import until
from tests.engine.raw_model import KEY, Proxied, ended, exchange, fields, proxied, request

HOST = "Host: models.example.com"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    with proxied(tmp_path_factory.mktemp("requests") / "proxy", mymodel=Route("")) as made:
        yield made


@pytest.fixture
def proxy(shared: Proxied) -> Proxied:
    shared.model.heads.clear()
    return shared


# --- lengths ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "length",
    [
        str(2**64),
        str(2**64 + 5),
        str(2**63),
        "-1",
        "+5",
        "5 5",
        "0x5",
        "",
        f"{2**64}, {2**64}",
        f"0, {2**64}",
        "5, 6",
    ],
)
def test_a_length_that_is_not_certain_is_refused(proxy: Proxied, length: str) -> None:
    with proxy.connect() as connection:
        status, head, _ = exchange(connection, request(HOST, f"Content-Length: {length}"))
        assert status == 400
        assert ended(connection), "what follows on this connection cannot be trusted"
    assert fields(head, "connection") == ["close"]
    assert proxy.model.heads == []


def test_the_answer_to_a_refused_length_has_reason_and_id(proxy: Proxied) -> None:
    status, head, body = proxy.ask(HOST, "X-Request-Id: mine-7", f"Content-Length: {2**64}")
    assert (status, fields(head, "x-request-id")) == (400, ["mine-7"])
    assert body == b"Content-Length must be a number of 1 to 18 digits (request mine-7)\n"


@pytest.mark.parametrize("lines", [("Content-Length: 0",), ("Content-Length: 5, 5",), ("Content-Length: 5",) * 2, ()])
def test_an_ordinary_length_is_passed_on(proxy: Proxied, lines: tuple[str, ...]) -> None:
    assert proxy.ask(HOST, *lines, body=b"hello" if "5" in "".join(lines) else b"")[0] == 200
    (head,) = proxy.model.heads
    assert fields(head, "content-length") == ([lines[0].split()[-1]] if lines else [])


def test_a_length_with_many_zeros_reaches_no_model(proxy: Proxied) -> None:
    """HAProxy 2.6 passes them on, so a rule refuses the length; HAProxy 3.0 removes them, as RFC 9110 allows."""
    status, _, _ = proxy.ask(HOST, "Content-Length: " + "0" * 18 + "5", body=b"hello")
    lengths = [fields(head, "content-length") for head in proxy.model.heads]
    assert (status, lengths) in ((400, []), (200, [["5"]]))


def test_no_client_makes_the_request_of_another_one_vanish(proxy: Proxied) -> None:
    for length in (str(2**64), "0"):
        for _ in range(5):
            attackers = [proxy.connect() for _ in range(6)]
            for connection in attackers:
                exchange(connection, request(HOST, f"Content-Length: {length}", path="/attack"))
            for connection in attackers:
                connection.close()
            with proxy.connect() as victim:
                # Only the later requests of a client use a connection that another client has used.
                for _ in range(3):
                    status, _, body = exchange(victim, request(HOST, path="/victim"))
                    assert status == 200
                    assert body.startswith(b"GET /victim")


def test_an_answer_with_a_length_that_is_not_certain_is_refused(proxy: Proxied) -> None:
    with proxy.connect() as connection:
        assert exchange(connection, request(HOST))[0] == 200
        status, head, body = exchange(connection, request(HOST, path="/long-length"))
        assert (status, fields(head, "connection")) == (502, ["close"])
        assert f"(request {fields(head, 'x-request-id')[0]})" in body.decode()
    with proxy.connect() as other:
        for _ in range(3):
            # No byte of the refused answer is read as the answer to another request.
            assert exchange(other, request(HOST, path="/mine"))[2].startswith(b"GET /mine")


# --- the offer of another protocol -----------------------------------------------------------------------------------


@pytest.mark.parametrize("upgrade", ["h2c", "H2C", "h2c, foo", "foo, h2c"])
def test_the_model_is_not_offered_http2(proxy: Proxied, upgrade: str) -> None:
    lines = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {upgrade}", "HTTP2-Settings: AAMAAABkAAQAAP__")
    status, _, _ = proxy.ask(HOST, *lines)
    assert status == 200
    (head,) = proxy.model.heads
    for name in ("connection", "upgrade", "http2-settings"):
        assert fields(head, name) == []


def test_a_websocket_is_still_offered(proxy: Proxied) -> None:
    offer = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
    assert proxy.ask(HOST, *offer)[0] == 101
    assert fields(proxy.model.heads[0], "upgrade") == ["websocket"]


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [20_000, 32_000, 60_000, 70_000])
def test_long_headers_are_passed_on(proxy: Proxied, size: int) -> None:
    status, _, body = proxy.ask(HOST, "X-Long: " + "a" * size)
    assert (status, len(fields(body, "x-long")[0])) == (200, size)


def test_a_long_path_is_passed_on(proxy: Proxied) -> None:
    path = "/" + "a" * 60_000
    assert proxy.ask(HOST, path=path)[2].startswith(f"GET {path} HTTP/1.1".encode())


def test_many_headers_are_passed_on(proxy: Proxied) -> None:
    status, _, body = proxy.ask(HOST, *(f"X-Number-{number}: {number}" for number in range(900)))
    assert status == 200
    assert fields(body, "x-number-899") == ["899"]


@pytest.mark.parametrize("lines", [["X-Long: " + "a" * 80_000], [f"X-{number}: 1" for number in range(1001)]])
def test_a_head_beyond_the_limits_is_refused(proxy: Proxied, lines: list[str]) -> None:
    assert proxy.ask(HOST, *lines)[0] == 400
    assert proxy.model.heads == []


def test_a_model_may_answer_with_long_headers(proxy: Proxied) -> None:
    status, head, _ = proxy.ask(HOST, path="/long-header/60000")
    assert (status, len(fields(head, "x-long")[0])) == (200, 60_000)
    assert proxy.ask(HOST, path="/long-header/80000")[0] == 502


def test_idle_connections_are_closed_before_a_server_closes_them(proxy: Proxied) -> None:
    """Many servers close theirs after 5 s: a request that is on its way then would be lost."""
    clients = [proxy.connect() for _ in range(8)]
    for client in clients:
        # At the same time, so that each takes a connection.
        client.sendall(request(HOST, path="/slow"))
    until(lambda: proxy.model.open >= 8, "each request has a connection")
    for client in clients:
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    # One more: the proxy may be checking the model.
    until(lambda: proxy.model.open <= 1, "the idle connections are closed", 4)
    for client in clients:
        # Those of the clients stay open.
        assert exchange(client, request(HOST))[0] == 200
        client.close()


# --- odd requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/gr\u00f6\u00dfe?q=\u20ac", '/a{b}|c^d`e"f\\g[h]<i>', "/%zz", "//a/../b"])
def test_an_odd_path_reaches_the_model_as_it_is(proxy: Proxied, path: str) -> None:
    line = f"GET {path} HTTP/1.1".encode()
    with proxy.connect() as connection:
        status, _, body = exchange(connection, line + b"\r\n" + HOST.encode() + b"\r\n\r\n")
    assert (status, body.splitlines()[0]) == (200, line)


@pytest.mark.parametrize("line", [b"X_Under.score: 1", b"X-Name: gr\xc3\xb6\xc3\x9fe", b"!#$%&'*+-.^_`|~: 1"])
def test_an_odd_header_reaches_the_model(proxy: Proxied, line: bytes) -> None:
    status, _, body = proxy.ask(HOST, line)
    assert status == 200
    assert line.lower() in body.lower()


@pytest.mark.parametrize(
    "line",
    [
        b"Transfer-Encoding : chunked",
        b"Content-Length\t: 5",
        b"X Y: 1",
        b"X,Y: 1",
        b"X\xc3\xb6: 1",
        b"(X): 1",
        b"X\x00: 1",
    ],
)
def test_a_header_with_an_invalid_name_is_refused(proxy: Proxied, line: bytes) -> None:
    with proxy.connect() as connection:
        status, head, body = exchange(connection, request(HOST, line))
        assert ended(connection)
    assert (status, len(fields(head, "x-request-id"))) == (400, 1)
    assert body.startswith(b"the name of a header has a character that is not allowed there (request ")
    assert proxy.model.heads == []


@pytest.mark.parametrize(
    "line",
    ["GET /a#b HTTP/1.1", "GET http://other.example.com/ HTTP/1.1", "GET / HTTP/3.7", "GET / RTSP/2.5"],
)
def test_a_first_line_that_can_be_misread_is_refused(proxy: Proxied, line: str) -> None:
    with proxy.connect() as connection:
        assert exchange(connection, f"{line}\r\n{HOST}\r\n\r\n".encode())[0] == 400
    assert proxy.model.heads == []


@pytest.mark.parametrize("name", ["models.example.com", "MODELS.example.com:80", "models.example.com."])
def test_a_url_with_the_name_of_its_host_is_passed_on(proxy: Proxied, name: str) -> None:
    assert proxy.ask(HOST, path=f"http://{name}/x")[0] == 200


def test_the_answers_of_the_proxy_have_the_id_of_the_request(proxy: Proxied) -> None:
    status, head, body = proxy.ask(HOST, "X-Request-Id: mine-7", path="/nothing")
    assert (status, fields(head, "x-request-id")) == (502, ["mine-7"])
    assert body.decode().endswith("(request mine-7)\n")


# --- ids -------------------------------------------------------------------------------------------------------------


def test_the_id_of_a_client_is_kept_unless_it_is_too_long(proxy: Proxied) -> None:
    for wanted in ("mine-7", "x" * 200):
        assert fields(proxy.ask(HOST, f"X-Request-Id: {wanted}")[1], "x-request-id") == [wanted]
    made = fields(proxy.ask(HOST, "X-Request-Id: " + "x" * 201)[1], "x-request-id")
    assert [len(text) for text in made] == [36]
    assert fields(proxy.model.heads[-1], "x-request-id") == made
