"""The configuration is valid for each HAProxy of this host: the one in PATH, and the one in $DEPLOYCTL_TEST_HAPROXY.

tests/engine checks it with the program of the proxy's image.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy import render
from orchestrator.adapters.haproxy.container import shipped
from orchestrator.adapters.haproxy.files import CONFIG, HOLD, ProxyFiles
from orchestrator.adapters.haproxy.names import FOLDER
from orchestrator.domain.traffic.route import EVERYBODY, ProxyApp, Route
from tests.unit.builders import backend, proxy_app

# Debian installs it where only root has its programs.
_PATH = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin"
PROGRAMS = {
    found
    for name in ("haproxy", os.environ.get("DEPLOYCTL_TEST_HAPROXY"))
    if name and (found := shutil.which(name, path=_PATH))
}
V1 = backend("v1", "10.213.0.64", "10.213.0.65")
V2 = backend("v2", "10.213.0.96", active=False, path="/v1/models/model", body='"state" *: *"AVAILABLE"')
ROUTES = [
    Route("127.0.0.1:8000"),
    Route("*:8001", ("a.example.com", "*.b.example.com"), "/v1.0", trusted=EVERYBODY, metrics="127.0.0.1:8404"),
    Route("127.0.0.1:8003", preview="127.0.0.1:8004", repeatable=("GET",)),
    Route("[::1]:8002", (), "/~beta", strip_prefix=False, timeout=7200.0, trusted=("10.0.0.0/8", "fe80::/10")),
    Route("[::1]:8002", trusted=()),
]
# HAProxy 3.1 and newer have another name for an option, which 2.6 does not know.
_DEPRECATED = re.compile("'accept-invalid-http-request' is deprecated")
APPS = [proxy_app(f"app-{number}", route, V1, V2) for number, route in enumerate(ROUTES)]


def messages(program: str, folder: Path, apps: Sequence[ProxyApp], more: str = "") -> str:
    """What the program says about the configuration of these apps; empty when it is valid, without a warning."""
    files = ProxyFiles(folder)
    files.prepare()
    text = render.configuration(shipped(CONFIG), apps, 2)[0] + more
    for name, content in ((CONFIG, text), (HOLD, shipped(HOLD))):
        files.write(name, content.replace(FOLDER, str(folder)))
    found = subprocess.run([program, "-c", "-f", folder / "haproxy.cfg"], capture_output=True, text=True, timeout=30)
    output = found.stdout + found.stderr
    warnings = [line for line in output.splitlines() if "[WARNING]" in line and not _DEPRECATED.search(line)]
    return output if found.returncode != 0 or warnings else ""


@pytest.mark.skipif(not PROGRAMS, reason="needs haproxy")
@pytest.mark.parametrize("program", sorted(PROGRAMS) or [""])
def test_the_configuration_is_valid(program: str, tmp_path: Path) -> None:
    assert messages(program, tmp_path, []) == ""
    assert messages(program, tmp_path, APPS) == ""


@pytest.mark.skipif(not PROGRAMS, reason="needs haproxy")
@pytest.mark.parametrize("program", sorted(PROGRAMS) or [""])
@pytest.mark.parametrize("line", ["evil", "http-request set-header X %[x]", "timeout client 1d\n  timeout client 1s"])
def test_a_configuration_that_is_not_valid_is_noticed(program: str, line: str, tmp_path: Path) -> None:
    assert messages(program, tmp_path, APPS, f"\nfrontend x\n  bind 127.0.0.1:1\n  {line}\n") != ""
