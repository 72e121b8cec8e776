"""Benchmark of broken versions: how many requests fail while deployctl or Swarm replaces a good version by one.

Swarm has no IPVS on every machine, so its service is found by DNS; its clients run in a container of the same network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from scripts.bench_traffic import Row, run
from tests.chaos.private import PYTHON_IMAGE, PrivateEngine, python_image
from tests.engine.harness import App, engine

WAYS = {"crashes": "its process exits at the first prediction", "fails:1": "it answers 500 to every prediction"}
CLIENTS = 16
PAUSE = 0.02
GOOD = "deployctl-bench-model:good"
SERVICE = "model"
# Opens a connection for each request, repeats nothing, and counts until SIGTERM: client.py HOST PORT.
CLIENT = f"""\
import http.client, json, signal, sys, threading, time
counts = [0, 0]
stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())

def client():
    while not stopping.is_set():
        good = False
        connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=30)
        try:
            connection.request("POST", "/predict", b"{{}}")
            answer = connection.getresponse()
            answer.read()
            good = answer.status == 200
        except (OSError, http.client.HTTPException):
            pass
        connection.close()
        counts[0] += 1
        counts[1] += not good
        time.sleep({PAUSE})

threads = [threading.Thread(target=client, daemon=True) for _ in range({CLIENTS})]
for thread in threads:
    thread.start()
while not stopping.wait(0.1):
    print(json.dumps(counts), flush=True)
for thread in threads:
    thread.join(35)
print(json.dumps(counts), flush=True)
"""


def broken(folder: Path) -> list[Row]:
    """Rows of both, one after the other, for each way to be broken."""
    return [*_ours(folder), *_swarm(folder)]


def _ours(folder: Path) -> list[Row]:
    rows: list[Row] = []
    app = App(folder / "broken", folder / "broken-state", name="broken")
    app.config["run"]["replicas"] = 2
    app.config["rollout"]["settle"] = "3s"
    try:
        app.release("v1")
        for number, (mode, what) in enumerate(WAYS.items(), 2):
            app.write(f"v{number}", mode)
            command = [sys.executable, "-u", "-c", CLIENT, "127.0.0.1", str(app.port)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
                time.sleep(1)
                started = time.perf_counter()
                app.run("release", f"v{number}", code=3)
                took = time.perf_counter() - started
                time.sleep(1)
                client.terminate()
                said, _ = client.communicate(timeout=60)
            requests, failed = json.loads(said.splitlines()[-1])
            rows.append((_text("deployctl release", what, requests), f"{took:.1f} s", f"{failed} failed", "0 failed"))
    finally:
        app.clean()
    return rows


def _swarm(folder: Path) -> list[Row]:
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "dockerd"))):
        return [("Swarm service update of a version that is broken", "needs root, ip and dockerd", "-", "-")]
    images = {mode: f"deployctl-bench-model:{mode.partition(':')[0]}" for mode in WAYS}
    source = App(folder / "swarm", folder / "swarm-state", name="swarm")
    private = PrivateEngine(folder / "swarm-engine")
    private.folder.mkdir()
    try:
        python_image()
        for mode, image in [("ok", GOOD), *images.items()]:
            source.write("v1" if image == GOOD else "v2", mode)
            engine().images.build(path=str(source.folder), tag=image, rm=True)
        private.make(PYTHON_IMAGE, GOOD, *images.values())
        return _service(private, images)
    finally:
        private.close()
        for image in (GOOD, *images.values()):
            engine().images.remove(image, force=True)
        shutil.rmtree(folder / "swarm-engine", ignore_errors=True)


def _service(private: PrivateEngine, images: dict[str, str]) -> list[Row]:
    docker = ["docker", "-H", private.socket]
    run([*private.place.prefix, *docker, "swarm", "init", "--advertise-addr", "127.0.0.1"])
    run([*docker, "network", "create", "-d", "overlay", "--attachable", "bench"])
    check = "python3 -c \"import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz')\""
    update = ["--update-order", "start-first", "--update-monitor", "5s", "--update-failure-action", "rollback"]
    run(
        [
            *(*docker, "service", "create", "-q", "--name", SERVICE, "--network", "bench", "--replicas", "2"),
            *("--endpoint-mode", "dnsrr", "--no-resolve-image", "--rollback-order", "start-first", *update),
            *("--health-cmd", check, "--health-interval", "1s", "--health-start-period", "5s", GOOD),
        ]
    )
    rows: list[Row] = []
    for mode, what in WAYS.items():
        client = subprocess.run(
            [*docker, "run", "-d", "--network", "bench", PYTHON_IMAGE, "python3", "-u", "-c", CLIENT, SERVICE, "8080"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        time.sleep(3)
        before = _counts(docker, client)
        started = time.perf_counter()
        # It fails when Swarm rolls back.
        subprocess.run(
            [*docker, "service", "update", "-q", "--image", images[mode], "--no-resolve-image", SERVICE],
            capture_output=True,
            check=False,
            timeout=180,
        )
        state = subprocess.run(
            [*docker, "service", "inspect", "-f", "{{.UpdateStatus.State}}", SERVICE],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        by_hand = not state.startswith("rollback")
        if by_hand:
            run([*docker, "service", "rollback", "-q", SERVICE])
        took = time.perf_counter() - started
        time.sleep(1)
        run([*docker, "stop", "-t", "40", client])
        requests, failed = (after - early for after, early in zip(_counts(docker, client), before, strict=True))
        run([*docker, "rm", client])
        end = ", rolled back by hand at once" if by_hand else ", which rolls back"
        rows.append((_text("Swarm service update", what, requests) + end, f"{took:.1f} s", f"{failed} failed", "-"))
    return rows


def _counts(docker: list[str], client: str) -> list[int]:
    said = subprocess.run([*docker, "logs", "--tail", "1", client], capture_output=True, text=True, check=True).stdout
    counts: list[int] = json.loads(said)
    return counts


def _text(command: str, what: str, requests: int) -> str:
    return f"{command} of a version that is broken: {what} ({CLIENTS} clients, {requests} requests)"
