"""Servers that receive notifications: one that accepts them, and some that hang."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """An HTTP server that records requests. A path that begins with /500 is answered with that status."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.gets: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(json.loads(body))
                self._answer()

            def do_GET(self) -> None:
                receiver.gets.append(self.path)
                self._answer()

            def _answer(self) -> None:
                status = self.path[1:4]
                self.send_response(int(status) if status.isdigit() else 200)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def hanging() -> Iterator[int]:
    """A port that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@contextmanager
def black_hole() -> Iterator[int]:
    """A port whose queue is full, so the kernel drops new connections without an answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = int(server.getsockname()[1])
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
            waiting.append(one)
        time.sleep(0.05)
        yield port
        for one in waiting:
            one.close()


@contextmanager
def dripping() -> Iterator[int]:
    """A port whose responses never end: it sends a byte of a header every 50 ms."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        threads = [threading.Thread(target=_accept, args=(server, done), daemon=True)]
        threads[0].start()
        yield int(server.getsockname()[1])
        done.set()
        threads[0].join()


def _accept(server: socket.socket, done: threading.Event) -> None:
    drips: list[threading.Thread] = []
    while not done.is_set():
        with suppress(TimeoutError):
            connection = server.accept()[0]
            drips.append(threading.Thread(target=_drip, args=(connection, done), daemon=True))
            drips[-1].start()
    for drip in drips:
        drip.join()


def _drip(connection: socket.socket, done: threading.Event) -> None:
    with connection, suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not done.wait(0.05):
            connection.sendall(b"x")


HARMS: dict[str, Callable[[], Any]] = {"hanging": hanging, "black hole": black_hole, "dripping": dripping}
