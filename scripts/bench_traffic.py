"""Benchmark with traffic: the switch, the cost of the proxy, releases under load."""

from __future__ import annotations

import http.client
import multiprocessing
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from orchestrator.adapters.haproxy.files import ProxyFiles
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.adapters.haproxy.traffic import HAProxyTraffic
from orchestrator.domain.traffic.state import TrafficState
from tests.engine.harness import App, Load, engine, free_port

Row = tuple[str, str, str, str]


# A model of negligible cost, so that the proxy is measured: an HAProxy that answers itself.
FAST_MODEL = """\
global
  nbthread 1
defaults
  mode http
  timeout client 60s
  timeout http-keep-alive 60s
frontend model
  bind :8080
  http-request return status 200 content-type text/plain string "VERSION model"
"""
FAST_DOCKERFILE = """\
ARG BASE=deployctl-base:bookworm
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends haproxy && rm -rf /var/lib/apt/lists/*
COPY version haproxy.cfg /app/
RUN sed -i "s/VERSION/$(cat /app/version)/" /app/haproxy.cfg
CMD ["haproxy", "-db", "-f", "/app/haproxy.cfg"]
"""


def fast_app(folder: Path) -> App:
    """An app with a model of negligible cost."""
    app = App(folder / "fast", folder / "fast-state", name="fast")
    (app.folder / "Dockerfile").write_text(FAST_DOCKERFILE)
    (app.folder / "haproxy.cfg").write_text(FAST_MODEL)
    return app


class Clients:
    """A load in a separate process, which does not delay the measurement."""

    def __init__(self, port: int, clients: int = 64) -> None:
        context: Any = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._found = context.Queue()
        self._process = context.Process(target=_clients, args=(port, clients, self._stop, self._found))
        self.requests = self.failed = 0

    def __enter__(self) -> Clients:
        self._process.start()
        assert self._found.get(timeout=60) == "running"
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self.requests, self.failed = self._found.get(timeout=60)
        self._process.join()


def _clients(port: int, clients: int, stop: Event, found: Any) -> None:
    with Load(port, clients=clients) as load:
        time.sleep(0.5)
        found.put("running")
        stop.wait()
    found.put((len(load.replies), len(load.failures())))


def median(values: list[float]) -> float:
    return statistics.median(values)


def run(command: list[str], cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, capture_output=True, cwd=cwd, stdin=subprocess.DEVNULL)


def ask(port: int, host: str = "127.0.0.1") -> str | None:
    """The version that answers a request; None if there is no answer."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("POST", "/predict", b"{}")
        reply = connection.getresponse()
        body = reply.read().decode()
        return body.split()[0] if reply.status == 200 else None
    except OSError:
        return None
    finally:
        connection.close()


def until(wanted: str, port: int, host: str = "127.0.0.1") -> float:
    """The moment (perf_counter) at which `wanted` first answers."""
    while ask(port, host) != wanted:
        time.sleep(0.001)
    return time.perf_counter()


def switching(app: App, runs: int) -> list[Row]:
    """The switch under 64 keep-alive clients, compared with a reload of nginx."""
    folder = app.state_dir / "proxy"
    traffic = HAProxyTraffic(ProxyFiles(folder), Runtime(folder))
    status = app.json("status")
    versions = {status["live"]["slot"]: status["live"]["version"]}
    versions[status["previous"]["slot"]] = status["previous"]["version"]
    slots = list(versions)
    took = []
    with Clients(app.port) as load:
        for count in range(runs):
            slot = slots[(count + 1) % 2]
            started = time.perf_counter()
            traffic.apply(app.name, TrafficState(live=slot))
            took.append(until(versions[slot], app.port) - started)
            time.sleep(0.1)
        traffic.apply(app.name, TrafficState(live=slots[0]))
    rows: list[Row] = [
        (
            f"switch to first new reply ({runs}, {load.requests} requests)",
            f"{median(took) * 1000:.1f} ms",
            f"{load.failed} failed",
            "20 ms, 0 failed",
        )
    ]
    return rows + _nginx(app, versions, runs)


def _nginx(app: App, versions: dict[str, str], runs: int) -> list[Row]:
    if shutil.which("nginx") is None:
        return [("nginx -s reload", "nginx is not installed", "-", "-")]
    boxes = {
        box.labels["deployctl.version"]: box.attrs["NetworkSettings"]["Networks"][app.names.network]["IPAddress"]
        for box in engine().containers.list(filters={"label": f"deployctl.state={app.names.state_id}"})
        if "deployctl.version" in box.labels
    }
    folder, port = Path(tempfile.mkdtemp(prefix="deployctl-nginx-")), free_port()
    file = folder / "nginx.conf"

    def configure(version: str) -> None:
        file.write_text(
            f"worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; daemon on;\n"
            "events { worker_connections 4096; }\nhttp { access_log off; client_body_temp_path /tmp;\n"
            f"upstream m {{ server {boxes[version]}:8080; keepalive 64; }}\n"
            f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://m; proxy_http_version 1.1;"
            ' proxy_set_header Connection ""; } } }\n'
        )

    names = list(versions.values())
    configure(names[0])
    took = []
    run(["nginx", "-c", str(file)])
    try:
        until(names[0], port)
        with Clients(port) as load:
            for count in range(runs):
                configure(names[(count + 1) % 2])
                started = time.perf_counter()
                run(["nginx", "-c", str(file), "-s", "reload"])
                took.append(until(names[(count + 1) % 2], port) - started)
                time.sleep(0.1)
    finally:
        run(["nginx", "-c", str(file), "-s", "stop"])
        shutil.rmtree(folder, ignore_errors=True)
    what = f"nginx -s reload to first new reply ({runs}, {load.requests} requests)"
    return [(what, f"{median(took) * 1000:.1f} ms", f"{load.failed} failed", "-")]


def throughput(app: App, seconds: int, rounds: int) -> list[Row]:
    """Keep-alive POSTs through the proxy of deployctl and through a plain HAProxy on the host, alternating."""
    if shutil.which("wrk") is None or shutil.which("haproxy") is None:
        return [("throughput", "wrk or haproxy is not installed", "-", "-")]
    status = app.json("status")
    box = engine().containers.get(status["live"]["containers"][0]["id"])
    folder, port = Path(tempfile.mkdtemp(prefix="deployctl-haproxy-")), free_port()
    address = box.attrs["NetworkSettings"]["Networks"][app.names.network]["IPAddress"]
    (folder / "plain.cfg").write_text(
        "global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 3s\n  timeout client 60s\n"
        "  timeout server 60s\n"
        f"frontend f\n  bind 127.0.0.1:{port}\n  default_backend b\nbackend b\n  server s {address}:8080\n"
    )
    plain = subprocess.Popen(
        ["haproxy", "-db", "-f", str(folder / "plain.cfg")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    ours, theirs = [], []
    try:
        until(status["live"]["version"], port)
        for _ in range(rounds):
            ours.append(wrk(app.port, seconds))
            theirs.append(wrk(port, seconds))
    finally:
        plain.terminate()
        plain.wait()
        shutil.rmtree(folder, ignore_errors=True)
    mine, other = median([r for r, _ in ours]), median([r for r, _ in theirs])
    # Of adjacent rounds: the speed of the machine varies more than the difference.
    share = median([r / o for (r, _), (o, _) in zip(ours, theirs, strict=True)])
    p99, other_p99 = median([p for _, p in ours]), median([p for _, p in theirs])
    return [
        ("plain HAProxy on the host, wrk", f"{other:.0f}/s", f"p99 {other_p99:.1f} ms", "-"),
        ("our proxy, wrk", f"{mine:.0f}/s, p99 {p99:.1f} ms", f"{share:.2f} of plain", "0.8 of plain"),
    ]


def wrk(port: int, seconds: int) -> tuple[float, float]:
    """POSTs of 32 keep-alive clients at full speed: requests a second, and p99 in milliseconds."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write('wrk.method = "POST"\nwrk.body = "{}"\n')
        script.flush()
        command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "--latency", "-s", script.name]
        text = subprocess.run(
            [*command, f"http://127.0.0.1:{port}/predict"], capture_output=True, text=True, check=True
        ).stdout
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", text)
    p99 = re.search(r"99%\s+([0-9.]+)(us|ms|s)", text)
    assert rate and p99, text
    return float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]


def whole_life(app: App, count: int) -> list[Row]:
    """Complete releases: build, start, probe, switch, drain, stop."""
    app.config["rollout"]["keep_warm"] = "0s"
    first = max(int(row["version"][1:]) for row in _versions(app)) + 1
    quiet = _releases(app, first, count)
    with Clients(app.port) as load:
        loaded = _releases(app, first + count, count)
    what = f"{count} releases, built and with the containers' whole life"
    return [
        (f"{what}, no clients", f"{median(quiet):.2f} s each", "-", "-"),
        (
            f"{what}, 64 clients on the same two cores ({load.requests} requests)",
            f"{median(loaded):.2f} s each",
            f"{load.failed} failed",
            "0 failed",
        ),
    ]


def _releases(app: App, first: int, count: int) -> list[float]:
    took = []
    for number in range(first, first + count):
        app.write(f"v{number}")
        started = time.perf_counter()
        app.run("release", f"v{number}")
        took.append(time.perf_counter() - started)
    return took


def _versions(app: App) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    waiting = list(app.json("tree")["versions"])
    while waiting:
        row = waiting.pop()
        found.append(row)
        waiting += row["children"]
    return found
