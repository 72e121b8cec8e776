"""Benchmark of rollouts: a change of shares, what the shield costs, and what a look at a rollout costs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.adapters.haproxy.files import ProxyFiles
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.adapters.haproxy.traffic import HAProxyTraffic
from orchestrator.domain.traffic.slot import Slot, other
from orchestrator.domain.traffic.state import ALL, TrafficState
from scripts.bench_traffic import Clients, Row, ask, median, wrk
from tests.engine.harness import App

PROGRAM = str(Path(sys.executable).with_name("deployctl"))
PATIENCE = 30.0


def shares(app: App, runs: int) -> list[Row]:
    """From the change of a share to its first effect, under 64 keep-alive clients: half of the requests and back."""
    traffic, live, versions = _edge(app)
    took = []
    with Clients(app.port) as load:
        for count in range(runs):
            share = ALL // 2 if count % 2 == 0 else 0
            started = time.perf_counter()
            traffic.apply(app.name, TrafficState(live, other(live), share, shield=True, patience=PATIENCE))
            confirmed = time.perf_counter()
            while share and ask(app.port) != versions[other(live)]:
                time.sleep(0.001)
            took.append((time.perf_counter() if share else confirmed) - started)
            time.sleep(0.1)
        traffic.apply(app.name, TrafficState(live))
    what = f"share change to first effect ({runs}, 64 clients, {load.requests} requests)"
    return [(what, f"{median(took) * 1000:.1f} ms", f"{load.failed} failed", "20 ms, 0 failed")]


def shielded(app: App, seconds: int, rounds: int) -> list[Row]:
    """Requests a second with a shield and at rest, alternating."""
    if shutil.which("wrk") is None:
        return [("our proxy with a shield", "wrk is not installed", "-", "-")]
    traffic, live, _ = _edge(app)
    with_shield, at_rest = [], []
    try:
        for _ in range(rounds):
            traffic.apply(app.name, TrafficState(live))
            at_rest.append(wrk(app.port, seconds)[0])
            traffic.apply(app.name, TrafficState(live, shield=True, patience=PATIENCE))
            with_shield.append(wrk(app.port, seconds)[0])
    finally:
        traffic.apply(app.name, TrafficState(live))
    share = median([one / two for one, two in zip(with_shield, at_rest, strict=True)])
    rate = f"{median(with_shield):.0f}/s"
    return [("our proxy with a shield, wrk", rate, f"{share:.2f} of at rest", "0.8 of at rest")]


def looks(folder: Path, count: int) -> list[Row]:
    """The processor time of a look at a canary, in a command that looks every second, beside one `status`."""
    app = App(folder / "looks", folder / "looks-state", name="looks")
    app.config["rollout"] = {"strategy": "canary", "stages": ["10% 1h"], "settle": "0s"}
    given = ["--state-dir", str(app.state_dir), "-f", str(app.folder / "deploy.toml")]
    try:
        app.release("v1")
        app.write("v2")
        command, quiet = [PROGRAM, *given, "release", "v2"], subprocess.DEVNULL
        with Clients(app.port, 8), subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
            while app.json("status")["rollout"] is None:
                time.sleep(0.2)
            time.sleep(2)  # the first looks load modules
            before = _processor(process.pid)
            time.sleep(count)
            each = (_processor(process.pid) - before) / count
            status = _status(given)
            process.terminate()
    finally:
        app.clean()
    return [
        ("deployctl status, its processor time", f"{status * 1000:.0f} ms", "-", "-"),
        (f"a look at a canary, its processor time ({count} looks)", f"{each * 1000:.1f} ms", "-", "20 ms"),
    ]


def _edge(app: App) -> tuple[HAProxyTraffic, Slot, dict[Slot, str]]:
    """The edge, the live slot, and the version in each slot."""
    folder = app.state_dir / "proxy"
    status = app.json("status")
    live: Slot = status["live"]["slot"]
    versions = {live: status["live"]["version"], other(live): status["previous"]["version"]}
    return HAProxyTraffic(ProxyFiles(folder), Runtime(folder)), live, versions


def _processor(pid: int) -> float:
    """The processor time of a process, in seconds: proc(5), the fields utime and stime."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(given: list[str]) -> float:
    """The processor time of a whole `status`, in seconds."""
    with subprocess.Popen([PROGRAM, *given, "status"], stdout=subprocess.DEVNULL) as process:
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return usage.ru_utime + usage.ru_stime
