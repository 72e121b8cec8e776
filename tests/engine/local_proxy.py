"""HAProxy as a process of this host instead of a container, to test the rules on another version of the program.

$DEPLOYCTL_TEST_HAPROXY is the path of the program.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from orchestrator.adapters.haproxy import render
from orchestrator.adapters.haproxy.container import shipped
from orchestrator.adapters.haproxy.files import CONFIG, HOLD, REPLICAS, VERSIONS, ProxyFiles
from orchestrator.adapters.haproxy.names import FOLDER
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.state import TrafficState
from tests.engine.harness import free_port, until

PROGRAM = "DEPLOYCTL_TEST_HAPROXY"


def program() -> str:
    """The program that is tested instead of the proxy's image; empty when there is none."""
    return os.environ.get(PROGRAM, "")


class LocalProxy:
    """A proxy whose apps are all live in blue. `folder` takes the place of the one in its container."""

    def __init__(self, folder: Path) -> None:
        self.listen = f"127.0.0.1:{free_port()}"
        self._files = ProxyFiles(folder)
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, apps: Sequence[ProxyApp]) -> None:
        self._files.prepare()
        self._files.write_states({app.name: TrafficState("blue") for app in apps})
        self._files.write(VERSIONS, render.versions_map(apps))
        self._files.write(REPLICAS, render.replicas_map(apps))
        text = render.configuration(shipped(CONFIG), apps, 2)[0]
        for name, content in ((CONFIG, text), (HOLD, shipped(HOLD))):
            self._files.write(name, content.replace(FOLDER, str(self._files.folder)))
        command = [program(), "-W", "-db", "-f", str(self._files.folder / CONFIG)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        until(self._listens, f"{program()} listens; see {self._log}")

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        host, _, port = self.listen.partition(":")
        with suppress(ConnectionError), socket.create_connection((host, int(port)), timeout=1):
            return True
        return False

    def close(self) -> None:
        """Ends the process. May be repeated."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
