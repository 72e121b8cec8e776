"""Listening sockets in the kernel's tables."""

from __future__ import annotations

import pytest

from orchestrator.domain.health.sockets import Listener, other_ports, parse, reachable

# As of a machine with little-endian words: 0.0.0.0:8080, the engine's DNS, a connection, and 127.0.0.1:8000.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 10001        0 20150 1 0000 100 0 0 10 0
   1: 0B00007F:B571 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20084 1 0000 100 0 0 10 0
   2: 6040D50A:1F90 0060D50A:D5A6 06 00000000:00000000 03:000011D2 00000000     0        0 0 3 0000
   3: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20085 1 0000 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
   1: 00000000000000000000000001000000:1388 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
   2: 0000000000000000FFFF00000100007F:1389 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
"""


@pytest.fixture(autouse=True)
def little_endian(monkeypatch: pytest.MonkeyPatch) -> None:
    import struct

    from orchestrator.domain.health import sockets

    class Little:
        error = struct.error

        @staticmethod
        def pack(form: str, *words: int) -> bytes:
            return struct.pack(form.replace("=", "<"), *words)

    monkeypatch.setattr(sockets, "struct", Little)


def test_only_listening_sockets_count_and_not_the_engine_s() -> None:
    assert parse(TCP) == (Listener("127.0.0.1", 8000), Listener("0.0.0.0", 8080))


def test_both_tables_in_one_text() -> None:
    assert parse(TCP6) == (Listener("::", 80), Listener("::1", 5000), Listener("127.0.0.1", 5001))
    assert len(parse(TCP + TCP6)) == 5


@pytest.mark.parametrize("text", ["", "\n", "cat: /proc/net/tcp6: No such file\n", "a b c 0A\n", "0: zz:1F90 x 0A\n"])
def test_other_text_means_no_sockets(text: str) -> None:
    assert parse(text) == ()


@pytest.mark.parametrize(
    ("address", "everywhere", "loopback"),
    [
        ("0.0.0.0", True, False),
        ("::", True, False),
        ("127.0.0.1", False, True),
        ("127.0.1.1", False, True),
        ("::1", False, True),
        ("10.0.0.7", False, False),
    ],
)
def test_what_an_address_means(address: str, everywhere: bool, loopback: bool) -> None:
    assert (Listener(address, 1).everywhere, Listener(address, 1).loopback) == (everywhere, loopback)


def test_what_can_be_reached_from_outside() -> None:
    sockets = (Listener("127.0.0.1", 1), Listener("::", 2), Listener("10.0.0.7", 3))
    assert [reachable(sockets, port) for port in (1, 2, 3, 4)] == [False, True, True, False]
    assert other_ports(sockets, 2) == (3,)
    assert str(Listener("::1", 5)) == "[::1]:5"
