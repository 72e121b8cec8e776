"""Many clients in a program of their own: they are not slowed down by the test, and send many requests a second.

They POST on keep-alive connections, one request after another, and repeat nothing. Whatever is not an answer with
status 200 is a failure: another status, a connection that ends before the answer is complete, or cannot be made.

`volume.py PORT CLIENTS BODY PROGRESS [PAUSE]` ends at SIGTERM, after the requests that are open then, and prints as
JSON what it has counted. PROGRESS is a file with the number of requests so far, PAUSE how many seconds each client
waits before its next request.
"""

from __future__ import annotations

import heapq
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

HEAD_END = b"\r\n\r\n"
# How long an answer may take, in seconds.
LIMIT = 60.0
TOLD_EVERY = 0.1


class Client:
    """One connection with at most one open request."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.data = b""
        self.began = 0.0


class Clients:
    """All clients, in one thread."""

    def __init__(self, port: int, count: int, body: bytes, progress: Path, pause: float) -> None:
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.port, self.pause, self.request = port, pause, head.encode() + body
        self.progress = os.open(progress, os.O_WRONLY | os.O_CREAT, 0o644)
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.requests = self.open = 0
        self.slowest = 0.0
        self.stopping = False
        self.selector = selectors.DefaultSelector()
        self.clients = [Client() for _ in range(count)]
        # When which client sends its next request.
        self.due = [(0.0, number) for number in range(count)]

    def stop(self, *_: object) -> None:
        self.stopping = True

    def run(self) -> None:
        told = 0.0
        while self.open or not self.stopping:
            now = time.monotonic()
            while self.due and self.due[0][0] <= now and not self.stopping:
                self.send(heapq.heappop(self.due)[1])
            if now - told > TOLD_EVERY:
                told = now
                os.pwrite(self.progress, b"%12d" % self.requests, 0)
                self.late(now)
            for key, _ in self.selector.select(0.01):
                self.receive(key.data)

    def send(self, number: int) -> None:
        client = self.clients[number]
        self.open += 1
        client.began, client.data = time.monotonic(), b""
        try:
            if client.socket is None:
                client.socket = socket.create_connection(("127.0.0.1", self.port), 10)
                client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.selector.register(client.socket, selectors.EVENT_READ, number)
            client.socket.sendall(self.request)
        except OSError as error:
            self.failed(number, repr(error))

    def receive(self, number: int) -> None:
        client = self.clients[number]
        assert client.socket is not None
        try:
            data = client.socket.recv(65536)
        except OSError as error:
            self.failed(number, repr(error))
            return
        if not data:
            self.failed(number, f"the connection was closed after {client.data[:40]!r}")
            return
        client.data += data
        head, found, body = client.data.partition(HEAD_END)
        if not found:
            return
        status, *lines = head.decode().split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(body) < int(fields.get("content-length", 0)):
            return
        code = status.split()[1]
        if code != "200":
            self.failed(number, f"{status}: {body[:100]!r}")
            return
        version = (body.split() or [b""])[0].decode()
        self.answers[f"{version} {fields.get('x-model-version', '')}"] += 1
        if fields.get("connection") == "close":
            self.close(client)
        self.ended(number)

    def failed(self, number: int, why: str) -> None:
        client = self.clients[number]
        self.failures.append(f"{why} after {time.monotonic() - client.began:.3f} s, at {time.time():.3f}")
        self.close(client)
        self.ended(number)

    def ended(self, number: int) -> None:
        now = time.monotonic()
        self.slowest = max(self.slowest, now - self.clients[number].began)
        self.requests += 1
        self.open -= 1
        heapq.heappush(self.due, (now + self.pause, number))

    def close(self, client: Client) -> None:
        if client.socket is not None:
            self.selector.unregister(client.socket)
            client.socket.close()
            client.socket = None

    def late(self, now: float) -> None:
        waiting = {number for _, number in self.due}
        for number, client in enumerate(self.clients):
            if number not in waiting and now - client.began > LIMIT:
                self.failed(number, "no answer")


class Volume:
    """Runs the program while the block runs. Afterwards `answers` are the answers by the version that gave them and
    their X-Model-Version, and `failures` the first ones, in words.
    """

    def __init__(self, port: int, clients: int, body: bytes, folder: Path, *, pause: float = 0.0) -> None:
        self.progress = folder / "requests"
        self.progress.write_text("0")
        (folder / "body").write_bytes(body)
        self.arguments = [str(port), str(clients), str(folder / "body"), str(self.progress), str(pause)]
        self.answers: dict[tuple[str, str], int] = {}
        self.failures: list[str] = []
        self.total = 0
        self.slowest = 0.0

    def __enter__(self) -> Volume:
        self.process = subprocess.Popen([sys.executable, __file__, *self.arguments], stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=LIMIT + 10)
        found: dict[str, Any] = json.loads(out)
        self.answers = {(key.split(" ")[0], key.split(" ")[1]): count for key, count in found["answers"].items()}
        self.failures, self.total, self.slowest = found["failures"], found["requests"], found["slowest"]

    def requests(self) -> int:
        """How many requests have ended so far."""
        return int(self.progress.read_text() or 0)

    def check(self) -> None:
        """Fails when a request has failed, or when an answer has the X-Model-Version of another version."""
        assert self.failures == []
        assert sum(self.answers.values()) == self.total
        assert {version for version, header in self.answers if version != header} == set()

    def __str__(self) -> str:
        by = ", ".join(f"{version} {count:,}" for (version, _), count in sorted(self.answers.items()))
        return f"{self.total:,} requests ({by}), {len(self.failures)} failed, slowest {self.slowest:.2f} s"


def main(port: str, count: str, body: str, progress: str, pause: str = "0") -> None:
    clients = Clients(int(port), int(count), Path(body).read_bytes(), Path(progress), float(pause))
    signal.signal(signal.SIGTERM, clients.stop)
    clients.run()
    found = {"answers": clients.answers, "failures": clients.failures}
    print(json.dumps({**found, "requests": clients.requests, "slowest": clients.slowest}))


if __name__ == "__main__":
    main(*sys.argv[1:])
