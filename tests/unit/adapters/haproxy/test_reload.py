"""How a reload waits for the master process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.haproxy.edge import HAProxyEdge
from orchestrator.adapters.haproxy.files import CONFIG, ProxyFiles
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.adapters.haproxy.sockets import Sockets

TEXT = "global\n  setenv DEPLOYCTL_CONFIG abc\n"


class Container:
    def check(self, file: str) -> str:
        return ""


@pytest.mark.parametrize("answer", ["", "Success=1\n--\n[NOTICE] (1) : Loading success.\n\n"], ids=["2.6", "3.0"])
def test_a_reload_may_take_longer_than_other_commands(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HAProxy 2.6 closes the connection at once; 3.0 answers seconds later when an address is in use."""
    asked: list[str] = []

    def ask(self: Sockets, name: str, command: str, timeout: float) -> str:
        asked.append(command)
        if command == "reload":
            if timeout < 10:
                raise TimeoutError("timed out")
            return answer
        if command == "show proc":
            return f"1 master {asked.count('reload')} [failed: 0]\n# workers\n8 worker 0\n"
        return "DEPLOYCTL_CONFIG=abc\n"

    monkeypatch.setattr(Sockets, "ask", ask)
    files = ProxyFiles(tmp_path)
    files.write(CONFIG, TEXT)
    no: Any = None
    HAProxyEdge(files, Runtime(tmp_path, timeout=1.0), Container(), no).reload()  # type: ignore[arg-type]
    assert "reload" in asked
