"""Measures what the documentation quotes, side by side in one run. Called by scripts/bench."""

from __future__ import annotations

import argparse
import http.client
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.engine.harness import App, Load, close_engine, engine, free_port  # noqa: E402

IMPORTS = "import docker, httpx, typer, pydantic"
Row = tuple[str, str, str, str]


def timed(action: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def median(values: list[float]) -> float:
    return statistics.median(values)


def run(command: list[str], cwd: Path | None = None) -> None:
    subprocess.run(command, check=True, capture_output=True, cwd=cwd, stdin=subprocess.DEVNULL)


def ask(port: int, host: str = "127.0.0.1") -> str | None:
    """The version that answers one request; None while nobody does."""
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


def startup(app: App, runs: int) -> tuple[float, list[Row]]:
    """U, and the quick commands beside it."""
    base = [sys.executable, "-c", IMPORTS]
    program = str(Path(sys.executable).with_name("deployctl"))
    given = ["--state-dir", str(app.state_dir), "-f", str(app.folder / "deploy.toml")]
    u, help_, status = [], [], []
    for _ in range(runs):
        u.append(timed(lambda: run(base)))
        help_.append(timed(lambda: run([program, "--help"])))
        status.append(timed(lambda: run([program, *given, "status"])))
    unit = median(u)
    return unit, [
        ("U: " + IMPORTS, f"{unit * 1000:.0f} ms", "1 U", "-"),
        ("deployctl --help", f"{median(help_) * 1000:.0f} ms", f"{median(help_) / unit:.2f} U", "0.5 U"),
        ("deployctl status", f"{median(status) * 1000:.0f} ms", f"{median(status) / unit:.2f} U", "1.3 U"),
    ]


def raw_start(app: App, image: str) -> float:
    """`docker run` to the first healthy reply, by hand, on the same network."""
    started = time.perf_counter()
    run(["docker", "run", "-d", "--name", "deployctl-bench-raw", "--network", app.names.network, image])
    box = engine().containers.get("deployctl-bench-raw")
    until("raw", 8080, box.attrs["NetworkSettings"]["Networks"][app.names.network]["IPAddress"])
    took = time.perf_counter() - started
    box.remove(force=True)
    return took


def raw_restart(app: App, image: str) -> float:
    """`docker start` of a stopped container to its first healthy reply."""
    box = engine().containers.create(image, name="deployctl-bench-raw", network=app.names.network)
    started = time.perf_counter()
    run(["docker", "start", box.name])
    box.reload()
    until("raw", 8080, box.attrs["NetworkSettings"]["Networks"][app.names.network]["IPAddress"])
    took = time.perf_counter() - started
    box.remove(force=True)
    return took


def deployments(app: App, unit: float, runs: int) -> list[Row]:
    """Release of a built image and both rollbacks, each beside the raw engine's part of it."""
    program = str(Path(sys.executable).with_name("deployctl"))

    def deployctl(*arguments: str) -> None:
        run([program, "--state-dir", str(app.state_dir), "-q", *arguments], cwd=app.folder)

    app.write("raw")
    engine().images.build(path=str(app.folder), tag="deployctl-bench:raw", rm=True)
    app.config["rollout"]["keep_warm"] = "10m"
    app.write("v1")
    deployctl("release", "v1")
    app.write("v2")
    deployctl("release", "v2")
    raw, release, warm, cold, raw_cold = [], [], [], [], []
    for _ in range(runs):
        raw.append(raw_start(app, "deployctl-bench:raw"))
        # v2 is live: back to v1, warm; then v2 again: its image is there.
        started = time.perf_counter()
        process = subprocess.Popen(
            [program, "--state-dir", str(app.state_dir), "-q", "rollback"], cwd=app.folder, stdin=subprocess.DEVNULL
        )
        warm.append(until("v1", app.port) - started)
        process.wait()
        app.write("v2")
        release.append(timed(lambda: deployctl("release", "v2")))
    app.config["rollout"]["keep_warm"] = "0s"
    app.write("v2")
    for _ in range(runs):
        deployctl("rollback")
        deployctl("release", "v2")
        raw_cold.append(raw_restart(app, "deployctl-bench:raw"))
        started = time.perf_counter()
        process = subprocess.Popen(
            [program, "--state-dir", str(app.state_dir), "-q", "rollback"], cwd=app.folder, stdin=subprocess.DEVNULL
        )
        cold.append(until("v1", app.port) - started)
        process.wait()
        deployctl("release", "v2")
    engine().images.remove("deployctl-bench:raw")
    over, cold_over = median(release) - median(raw), median(cold) - median(raw_cold)
    return [
        ("docker run to first healthy reply", f"{median(raw) * 1000:.0f} ms", "-", "-"),
        ("release of a built image", f"{median(release) * 1000:.0f} ms", f"raw + {over / unit:.2f} U", "raw + 2.5 U"),
        ("warm rollback to first old reply", f"{median(warm) * 1000:.0f} ms", f"{median(warm) / unit:.2f} U", "1.6 U"),
        ("docker start to first healthy reply", f"{median(raw_cold) * 1000:.0f} ms", "-", "-"),
        (
            "cold rollback to first old reply",
            f"{median(cold) * 1000:.0f} ms",
            f"raw + {cold_over / unit:.2f} U",
            "raw + 2.5 U",
        ),
    ]


def switching(app: App, runs: int) -> list[Row]:
    """The switch alone, under 64 keep-alive clients; nginx's reload beside it."""
    from orchestrator.proxy.container import ProxyContainer
    from orchestrator.proxy.haproxy import HAProxy

    folder = app.state_dir / "proxy"
    proxy = HAProxy(folder, ProxyContainer(engine, app.names, folder))
    status = app.json("status")
    app.config["rollout"]["keep_warm"] = "10m"
    app.release(f"v{int(status['live']['version'][1:]) + 10}")
    status = app.json("status")
    versions = {status["live"]["slot"]: status["live"]["version"]}
    versions[status["previous"]["slot"]] = status["previous"]["version"]
    slots = list(versions)
    took = []
    with Load(app.port, clients=64) as load:
        for count in range(runs):
            slot = slots[(count + 1) % 2]
            started = time.perf_counter()
            proxy.switch(app.name, slot)
            took.append(until(versions[slot], app.port) - started)
            time.sleep(0.1)
        proxy.switch(app.name, slots[0])
    rows: list[Row] = [
        (
            f"switch to first new reply ({runs}, {len(load.replies)} requests)",
            f"{median(took) * 1000:.1f} ms",
            f"{len(load.failures())} failed",
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
        with Load(port, clients=64) as load:
            for count in range(runs):
                configure(names[(count + 1) % 2])
                started = time.perf_counter()
                run(["nginx", "-c", str(file), "-s", "reload"])
                took.append(until(names[(count + 1) % 2], port) - started)
                time.sleep(0.1)
    finally:
        run(["nginx", "-c", str(file), "-s", "stop"])
        shutil.rmtree(folder, ignore_errors=True)
    what = f"nginx -s reload to first new reply ({runs}, {len(load.replies)} requests)"
    return [(what, f"{median(took) * 1000:.1f} ms", f"{len(load.failures())} failed", "-")]


def throughput(app: App, seconds: int, rounds: int) -> list[Row]:
    """Keep-alive POSTs through our proxy and through a plain HAProxy on the host, in turn."""
    if shutil.which("wrk") is None or shutil.which("haproxy") is None:
        return [("throughput", "wrk or haproxy is not installed", "-", "-")]
    status = app.json("status")
    box = engine().containers.get(status["live"]["containers"][0]["id"])
    folder, port = Path(tempfile.mkdtemp(prefix="deployctl-haproxy-")), free_port()
    address = box.attrs["NetworkSettings"]["Networks"][app.names.network]["IPAddress"]
    (folder / "post.lua").write_text('wrk.method = "POST"\nwrk.body = "{}"\n')
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
            ours.append(_wrk(folder, app.port, seconds))
            theirs.append(_wrk(folder, port, seconds))
    finally:
        plain.terminate()
        plain.wait()
        shutil.rmtree(folder, ignore_errors=True)
    mine, other = median([r for r, _ in ours]), median([r for r, _ in theirs])
    p99, other_p99 = median([p for _, p in ours]), median([p for _, p in theirs])
    return [
        ("plain HAProxy on the host, wrk", f"{other:.0f}/s", f"p99 {other_p99:.1f} ms", "-"),
        ("our proxy, wrk", f"{mine:.0f}/s, p99 {p99:.1f} ms", f"{mine / other:.2f} of plain", "0.8 of plain"),
    ]


def _wrk(folder: Path, port: int, seconds: int) -> tuple[float, float]:
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "--latency", "-s", str(folder / "post.lua")]
    text = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/predict"], capture_output=True, text=True, check=True
    ).stdout
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", text)
    p99 = re.search(r"99%\s+([0-9.]+)(us|ms|s)", text)
    assert rate and p99, text
    return float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]


def whole_life(app: App, count: int) -> list[Row]:
    """Releases with the containers' whole life: start, probe, switch, drain, stop."""
    app.config["rollout"]["keep_warm"] = "0s"
    first = max(int(row["version"][1:]) for row in _versions(app)) + 1
    took = []
    with Load(app.port, clients=64) as load:
        for number in range(first, first + count):
            app.write(f"v{number}")
            took.append(timed(lambda number=number: app.run("release", f"v{number}")))
    what = f"{count} releases, the containers' whole life ({len(load.replies)} requests)"
    return [(what, f"{median(took):.2f} s each", f"{len(load.failures())} failed", "0 failed")]


def _versions(app: App) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    waiting = list(app.json("tree")["versions"])
    while waiting:
        row = waiting.pop()
        found.append(row)
        waiting += row["children"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="few runs: shows that it works, its figures mean little")
    short = parser.parse_args().short
    with tempfile.TemporaryDirectory(prefix="deployctl-bench-") as folder:
        app = App(Path(folder) / "app", Path(folder) / "state", name="bench")
        app.config["health"]["successes"] = 1
        app.config["retention"]["versions"] = 3
        app.write("v1")
        try:
            app.run("release", "v1")
            unit, rows = startup(app, 3 if short else 15)
            rows += deployments(app, unit, 2 if short else 9)
            rows += switching(app, 4 if short else 40)
            rows += throughput(app, 1 if short else 5, 1 if short else 3)
            rows += whole_life(app, 2 if short else 20)
        finally:
            app.clean()
            close_engine()
    print("| what | median | beside | aim |\n| --- | --- | --- | --- |")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
