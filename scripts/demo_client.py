"""Clients that constantly send predictions, each over one keep-alive connection, and record every reply.

Nothing is retried: a request without a reply of status 200 and a digit has failed.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAUSE = 0.004  # seconds between a reply and the next request of a client, to limit the load


@dataclass(frozen=True, slots=True)
class Reply:
    """The result of one request. `problem` is empty for a good one."""

    began: float
    ended: float
    client: int
    digit: int  # which of the held-out digits was sent
    status: int
    version: str  # the header X-Model-Version
    correct: bool
    problem: str


@dataclass(frozen=True)
class Digits:
    """Images that no version was trained on, and their labels."""

    bodies: tuple[bytes, ...]
    labels: tuple[int, ...]

    @classmethod
    def load(cls, file: Path) -> Digits:
        document = json.loads(file.read_bytes())
        bodies = tuple(json.dumps({"pixels": image}).encode() for image in document["images"])
        return cls(bodies, tuple(document["labels"]))


class Clients:
    """`count` threads, running between `start` and `stop`."""

    TIMEOUT = 10.0  # seconds after which a request without a reply has failed

    def __init__(self, port: int, digits: Digits, count: int) -> None:
        self._port = port
        self._digits = digits
        self._numbers = itertools.count()
        self._stopping = threading.Event()
        self._replies: list[Reply] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), name=f"client-{number}", daemon=True)
            for number in range(1, count + 1)
        ]
        self.connections = 0
        self.started = False
        self.broken: list[str] = []  # clients that ended before `stop`
        self._counting = threading.Lock()

    def start(self) -> None:
        self.started = True
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends the clients after their open requests. May be called twice."""
        if self.started and not self._stopping.is_set():
            self.broken = [thread.name for thread in self._threads if not thread.is_alive()]
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(self.TIMEOUT + 1)

    def replies(self, since: int = 0) -> list[Reply]:
        """The recorded replies from index `since` on, in order."""
        return self._replies[since:]

    @property
    def answered(self) -> int:
        return len(self._replies)

    def _run(self, client: int) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._stopping.is_set():
            digit = next(self._numbers) % len(self._digits.labels)
            began = time.monotonic()
            status, version, correct, problem = 0, "", False, ""
            try:
                if connection is None:
                    connection = self._connect()
                status, version, correct, problem = self._ask(connection, digit)
                if connection.sock is None:  # the reply had "Connection: close"
                    connection = None
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                problem = f"{type(error).__name__}: {error}"
                if connection is not None:
                    connection.close()
                    connection = None
            ended = time.monotonic()
            self._replies.append(Reply(began, ended, client, digit, status, version, correct, problem))
            self._stopping.wait(0.05 if problem else PAUSE)  # a missing proxy must not fill the log
        if connection is not None:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=self.TIMEOUT)
        connection.connect()
        with self._counting:
            self.connections += 1
        return connection

    def _ask(self, connection: http.client.HTTPConnection, digit: int) -> tuple[int, str, bool, str]:
        connection.request("POST", "/predict", self._digits.bodies[digit], {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        version = response.headers.get("X-Model-Version", "")
        if response.status != 200:
            return response.status, version, False, f"HTTP {response.status}: {body[:120].decode(errors='replace')}"
        answer = json.loads(body)
        problem = ""
        if answer["version"] != version:
            problem = f"the header says {version or 'nothing'}, the model says {answer['version']}"
        return response.status, version, answer["digit"] == self._digits.labels[digit], problem


def write_log(file: Path, replies: Iterable[Reply]) -> None:
    """One line for each request, separated by tabs; times are seconds since the first request."""
    rows = sorted(replies, key=lambda reply: reply.began)
    with file.open("w", encoding="utf-8") as out:
        out.write("sent\ttook_ms\tclient\tdigit\tstatus\tversion\tcorrect\tproblem\n")
        for reply in rows:
            out.write(
                f"{reply.began - rows[0].began:.4f}\t{(reply.ended - reply.began) * 1000:.1f}\t{reply.client}"
                f"\t{reply.digit}\t{reply.status}\t{reply.version}\t{int(reply.correct)}\t{reply.problem}\n"
            )
