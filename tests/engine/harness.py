"""A real app on the real engine with its own state folder, and clients that send requests."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import docker

from orchestrator.domain.naming import LABEL_STATE, Names

HERE = Path(__file__).parent
# The same lines as in the sample model, so that both use the builder's cache.
PYTHON_LAYER = next(
    text.strip()
    for text in (HERE.parents[1] / "compose/sample-model/Dockerfile").read_text().replace("\\\n", "\\\n").split("\n\n")
    if "apt-get" in text
)
PYTHON_LAYER = PYTHON_LAYER[PYTHON_LAYER.index("RUN") :]


def free_port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Place:
    """Where commands and clients run: with an engine, which may have its own network namespace."""

    client: Callable[[], Any] = lambda: engine()
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    namespace: str | None = None
    # What goes in front of the test model's own lines: where no network is, an image that has Python already.
    layers: str = "ARG BASE=deployctl-base:bookworm\nFROM ${BASE}\n" + PYTHON_LAYER

    def enter(self) -> None:
        """Moves the calling thread into the namespace: its new sockets belong to it."""
        if self.namespace is None:
            return
        with open(self.namespace) as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")


CLONE_NEWNET = 0x40000000
HERE_PLACE = Place()


class App:
    """A folder with a deploy.toml, a Dockerfile and a scripted server; commands run as for a user."""

    def __init__(
        self,
        folder: Path,
        state_dir: Path,
        *,
        name: str = "mymodel",
        port: int | None = None,
        place: Place = HERE_PLACE,
    ) -> None:
        self.folder, self.state_dir, self.name, self.place = folder, state_dir, name, place
        self.port = port or free_port()
        self.names = Names.of(str(state_dir.resolve()))
        self.config: dict[str, dict[str, Any]] = {
            "app": {"name": name, "port": 8080},
            "run": {"stop_timeout": "1s"},
            "health": {"path": "/healthz", "interval": "50ms", "timeout": "2s", "successes": 2, "deadline": "20s"},
            "proxy": {"listen": f"127.0.0.1:{self.port}", "drain": "15s"},
            "rollout": {"keep_warm": "10m", "settle": "0s"},
            "retention": {"versions": 5},
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        self.write("v1")

    def prepare(self) -> None:
        """Writes into the folder what all versions share."""
        (self.folder / "Dockerfile").write_text(
            self.place.layers + '\nCOPY server.py mode version /app/\nCMD ["python3", "-u", "/app/server.py"]\n'
        )
        shutil.copy(HERE / "model" / "server.py", self.folder / "server.py")

    def write(self, version: str, mode: str = "ok") -> None:
        """Writes the source of a version into the folder."""
        (self.folder / "version").write_text(version)
        (self.folder / "mode").write_text(mode)
        self.write_config()

    def write_config(self) -> None:
        lines = []
        for section, values in self.config.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
        (self.folder / "deploy.toml").write_text("\n".join(lines) + "\n")

    def command(self, *arguments: str, crash: str | None = None, program: str = "orchestrator.cli.main") -> list[str]:
        """The command line; `crash` is 'when:step' and kills the program there with SIGKILL. `program` is a module."""
        module = [program] if crash is None else ["tests.engine.crash", crash]
        return [*self.place.prefix, sys.executable, "-m", *module, "--state-dir", str(self.state_dir), *arguments]

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DEPLOYCTL_")}
        return {**kept, "PYTHONPATH": str(HERE.parents[1]), "DEPLOYCTL_DEBUG": "1", **self.place.environment}

    def start(self, *arguments: str, crash: str | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments, crash=crash),
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        *arguments: str,
        code: int | None = 0,
        crash: str | None = None,
        env: dict[str, str] | None = None,
        limit: float = 180,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command and checks its exit code (None: any); it may take `limit` seconds."""
        done = subprocess.run(
            self.command(*arguments, crash=crash),
            cwd=self.folder,
            env={**self.environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
        if code is not None:
            assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, code: int | None = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(*arguments, "--json", code=code).stdout)
        return found

    def release(self, version: str, mode: str = "ok", *, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Writes a version's source and releases it."""
        self.write(version, mode)
        return self.run("release", version, code=code)

    def watch(self, *arguments: str, code: int | None = 0) -> str:
        """Runs one pass of the watchdog as cron does; returns its output."""
        done = self.run("watchdog", "run", *arguments, code=code)
        return done.stdout + done.stderr

    def rows(self, statement: str) -> list[Any]:
        """Rows of the ledger."""
        with closing(sqlite3.connect(f"file:{self.state_dir / 'ledger.db'}?mode=ro", uri=True)) as db:
            return db.execute(statement).fetchall()

    def counts(self) -> dict[str, int]:
        """The watchdog's counters."""
        return dict(self.rows(f"SELECT name, value FROM counters WHERE app = '{self.name}'"))

    def mark(self, version: str) -> str:
        """The mark of a version in `tree`."""
        rows = self.json("tree")["versions"]
        while rows:
            row = rows.pop()
            if row["version"] == version:
                return str(row["mark"])
            rows += row["children"]
        raise AssertionError(f"{version} is not in the tree")

    def container(self, version: str, index: int = 1) -> Any:
        """The engine's container of a version."""
        chosen = {"deployctl.app": self.name, "deployctl.version": version, "deployctl.index": str(index)}
        return next(c for c in self.engine_containers() if chosen.items() <= c.labels.items())

    def get(self, path: str = "/", headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
        """One request through the proxy: status, headers in lower case, body."""
        if self.place.namespace is None:
            return self._get(path, headers)
        with ThreadPoolExecutor(1, initializer=self.place.enter) as thread:
            return thread.submit(self._get, path, headers).result()

    def _get(self, path: str, headers: dict[str, str] | None) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            connection.request("GET", path, headers=headers or {})
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read().decode()
        finally:
            connection.close()

    def serving(self) -> str | None:
        """The version that answers now, according to its server."""
        status, _, body = self.get()
        return body.split()[0] if status == 200 else None

    def containers(self) -> dict[str, str]:
        """The containers of the app by name, with their states; without the proxy."""
        return {c.name: c.status for c in self.engine_containers() if "deployctl.deployment" in c.labels}

    def engine_containers(self) -> list[Any]:
        """The containers of this state folder on the engine, the proxy too."""
        chosen = {"label": f"{LABEL_STATE}={self.names.state_id}"}
        # Tests run in parallel with commands: a container may be removed meanwhile.
        return self.place.client().containers.list(all=True, filters=chosen, ignore_removed=True)

    def left_over(self) -> list[str]:
        """Everything of this state folder on the engine, and temporary files in the folder."""
        found = [container.name for container in self.engine_containers()]
        found += [
            n.name for n in self.place.client().networks.list(filters={"label": f"{LABEL_STATE}={self.names.state_id}"})
        ]
        found += [str(path) for path in self.state_dir.rglob("*.tmp")]
        return found + [str(path) for path in self.state_dir.rglob("*.new")]

    def clean(self) -> None:
        """Removes everything of this state folder on the engine."""
        for container in self.engine_containers():
            container.remove(force=True, v=True)
        for network in self.place.client().networks.list(filters={"label": f"{LABEL_STATE}={self.names.state_id}"}):
            network.remove()
        with suppress(docker.errors.APIError):
            # The image of an upgrade of the proxy that was killed.
            self.place.client().images.remove(f"{self.names.proxy}:next")
        for image in self.place.client().images.list(filters={"label": f"{LABEL_STATE}={self.names.state_id}"}):
            # By id: the tag may belong to the image of another test by now.
            try:
                self.place.client().images.remove(image.id, force=True)
            except docker.errors.APIError:
                # Another test removes an image with the same parent: the engine may fail at that one when ours is gone.
                with suppress(docker.errors.ImageNotFound):
                    self.place.client().images.get(image.id)
                    raise


def crashed(said: str) -> bool:
    """Whether a command has printed a traceback of its own. Those of a model's log are indented."""
    return re.search(r"^Traceback", said, re.MULTILINE) is not None


def monotonic(moment: str) -> float:
    """A time of the ledger or of the engine, converted to the clock of the clients."""
    return datetime.fromisoformat(moment).timestamp() - time.time() + time.monotonic()


def until(true: Callable[[], Any], what: str, limit: float = 20.0) -> None:
    """Waits until a condition is true; fails after `limit` seconds."""
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, f"not within {limit} s: {what}"
        time.sleep(0.05)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)


_ENGINE: list[Any] = []


def engine() -> Any:
    """The engine's client, one for all tests."""
    if not _ENGINE:
        _ENGINE.append(docker.from_env())
    return _ENGINE[0]


def close_engine() -> None:
    while _ENGINE:
        _ENGINE.pop().close()


@dataclass(frozen=True)
class Reply:
    """One request of a client: its times (monotonic seconds) and reply. `error` is empty when it was answered."""

    client: int
    started: float
    ended: float
    status: int
    header: str
    version: str
    error: str

    @property
    def failed(self) -> bool:
        return bool(self.error) or self.status != 200


class Load:
    """Clients that POST on keep-alive connections, one request after another, without retries.

    Used as a context manager; `replies` holds every request that was made, in order of its end, and `connections` the
    client of each connection that was opened. `reader` finds the version in the text of an answer.
    """

    def __init__(
        self,
        port: int,
        clients: int = 8,
        *,
        path: str = "/predict",
        host: str = "127.0.0.1",
        place: Place = HERE_PLACE,
        pause: float = 0.02,
        body: bytes = b'{"pixels": [0]}',
        headers: Mapping[str, str] | None = None,
        reader: Callable[[str], str] = lambda text: text.split()[0] if text else "",
    ) -> None:
        self.port, self.path, self.host, self.place, self.pause = port, path, host, place, pause
        self.body, self.headers, self.reader = body, {"Host": host, **(headers or {})}, reader
        self.replies: list[Reply] = []
        self.connections: list[int] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(clients)]

    def __len__(self) -> int:
        """How many clients there are."""
        return len(self._threads)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        self.replies.sort(key=lambda reply: reply.ended)

    def _client(self, number: int) -> None:
        self.place.enter()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._stop.is_set():
            started = time.monotonic()
            status, header, version, error = 0, "", "", ""
            try:
                if connection.sock is None:
                    self.connections.append(number)
                self.send(connection)
                answer = connection.getresponse()
                text = answer.read().decode()
                status, header = answer.status, answer.getheader("X-Model-Version") or ""
                version = self.reader(text)
                if answer.getheader("Connection") == "close":
                    connection.close()
            except (OSError, http.client.HTTPException) as problem:
                error = repr(problem)
                connection.close()
            self.replies.append(Reply(number, started, time.monotonic(), status, header, version, error))
            # At full speed the clients would use all cores.
            time.sleep(self.pause)
        connection.close()

    def send(self, connection: http.client.HTTPConnection) -> None:
        """Sends one request."""
        connection.request("POST", self.path, self.body, self.headers)

    def failures(self) -> list[Reply]:
        return [reply for reply in self.replies if reply.failed]

    def order(self) -> list[str]:
        """The versions in the order in which they began to answer, without repetitions in a row.

        Requests that overlap a switch may be answered by either side; only requests that began after a version
        was first seen to have answered everywhere count, so the order is judged by each client on its own.
        """
        orders = set()
        for client in {reply.client for reply in self.replies}:
            seen: list[str] = []
            for reply in self.replies:
                if reply.client == client and (not seen or seen[-1] != reply.version):
                    seen.append(reply.version)
            orders.add(tuple(seen))
        assert len(orders) == 1, f"clients saw different orders: {orders}"
        return list(orders.pop())

    def strays(self, expected: Sequence[str]) -> int:
        """How many answers, at least, must be left out so that every client has seen the versions in this order.

        A version that could not be reached in time is shielded: its predecessor answers instead.
        """
        total = 0
        for client in {reply.client for reply in self.replies}:
            # The fewest answers left out so far when the last one kept is of each of the expected versions.
            fewest = [0] * len(expected)
            for reply in self.replies:
                if reply.client == client:
                    reached = list(accumulate(fewest, min))
                    fewest = [
                        best if version == reply.version else left_out + 1
                        for best, left_out, version in zip(reached, fewest, expected, strict=True)
                    ]
            total += min(fewest)
        return total
