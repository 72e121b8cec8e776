"""Whether an address is free, and what all addresses are on a host without IPv6."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy import edge as edge_module
from orchestrator.adapters.haproxy import listening
from orchestrator.adapters.haproxy.edge import HAProxyEdge
from orchestrator.adapters.haproxy.files import CONFIG, ProxyFiles
from orchestrator.adapters.haproxy.render import bind
from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.errors import UsageError

IPV6 = Path("/proc/net/if_inet6").exists()


class Container:
    """The proxy's container, which runs."""

    def state(self) -> str:
        return "running"


@pytest.fixture
def edge(tmp_path: Path) -> HAProxyEdge:
    return HAProxyEdge(ProxyFiles(tmp_path), None, Container(), None)  # type: ignore[arg-type]


@contextmanager
def listener(family: socket.AddressFamily, address: str) -> Iterator[int]:
    """Another process's socket, on one family only; gives its port."""
    with socket.socket(family) as other:
        if family == socket.AF_INET6:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.bind((address, 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("host", ["*", "[::]"])
@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, "127.0.0.1"),
        pytest.param(socket.AF_INET6, "::1", marks=pytest.mark.skipif(not IPV6, reason="no IPv6 here")),
    ],
)
def test_all_addresses_are_taken_when_one_of_either_family_is(
    edge: HAProxyEdge, family: socket.AddressFamily, address: str, host: str
) -> None:
    if host == "[::]" and not IPV6:
        pytest.skip("no IPv6 here")
    with listener(family, address) as port, pytest.raises(UsageError, match="another process uses it"):
        edge.check_listen(Route(f"{host}:{port}"))
    edge.check_listen(Route(f"{host}:{port}"))


def test_what_the_proxy_itself_listens_at_is_free(edge: HAProxyEdge, tmp_path: Path) -> None:
    with listener(socket.AF_INET, "127.0.0.1") as port:
        address = f"127.0.0.1:{port}"
        with pytest.raises(UsageError, match=r"proxy\.metrics"):
            edge.check_listen(Route("127.0.0.1:1", metrics=address))
        (tmp_path / CONFIG).write_text(f"frontend x\n  {bind(address)}\n")
        edge.check_listen(Route(address))


def test_without_ipv6_all_addresses_are_those_of_ipv4(
    edge: HAProxyEdge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = ProxyApp("m", Route("*:8000"), {"blue": SlotEndpoints("v1", ("10.0.0.1",), ProbeSpec("/", 80))})
    monkeypatch.setattr(listening, "_IPV6", tmp_path)
    assert "  bind *:8000,[::]:8000 v6only\n" in edge_module._wanted([app])[0][CONFIG]
    monkeypatch.setattr(listening, "_IPV6", tmp_path / "missing")
    assert "  bind 0.0.0.0:8000\n" in edge_module._wanted([app])[0][CONFIG]
    with listener(socket.AF_INET, "127.0.0.1") as port, pytest.raises(UsageError):
        edge.check_listen(Route(f"*:{port}"))
