"""Serves a handwritten-digits model over HTTP with nothing but the standard library.

POST /predict   {"pixels": [64 numbers from 0 to 16]}  ->  {"digit": 7, "confidence": 0.98, "version": "v2"}
GET  /healthz   200 {"status": "ok", ...}, or 503 {"status": "failing", "reason": ...} for a broken model

Settings: PORT (8080), HOST (0.0.0.0) and MODEL_DIR (the folder with weights.json; `model` next to this file).
SIGTERM ends it: requests under way are answered first.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import mul
from pathlib import Path
from typing import Any

PIXELS = 64
DIGITS = 10
MAX_PIXEL = 16
MAX_BODY = 64 * 1024
IDLE_SECONDS = 120  # longer than a proxy keeps its idle connections, so that the proxy closes first
IDLE_GRACE_SECONDS = 0.25  # in a stop: time for clients between two requests to be told "Connection: close"
STOP_SECONDS = 8  # how long a stop waits for requests under way; engines kill after 10


class ModelError(Exception):
    """The weights cannot be used."""


class BadRequest(Exception):
    """The request cannot be answered; the message says why."""


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Model:
    """Fully connected layers: ReLU between them, softmax at the end."""

    def __init__(self, version: str, layers: list[tuple[list[list[float]], list[float]]]) -> None:
        self.version = version
        self.layers = layers

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Model:
        """Check every shape, so that what is wrong is found before the first request."""
        layers: list[tuple[list[list[float]], list[float]]] = []
        try:
            for layer in document["layers"]:
                layers.append(([list(row) for row in layer["weights"]], list(layer["bias"])))
        except (KeyError, TypeError) as error:
            raise ModelError(f"weights.json is not laid out as expected: {error!r}") from error
        if not layers:
            raise ModelError("weights.json has no layers")
        width, giver = PIXELS, f"an image has {PIXELS} pixels"
        for number, (weights, bias) in enumerate(layers, start=1):
            for row in weights:
                if len(row) != width:
                    raise ModelError(f"shape mismatch: layer {number} takes {len(row)} inputs, but {giver}")
            if len(bias) != len(weights):
                raise ModelError(f"shape mismatch: layer {number} has {len(weights)} outputs and {len(bias)} biases")
            for row in (*weights, bias):
                if not all(is_number(value) and math.isfinite(value) for value in row):
                    raise ModelError(f"layer {number} holds something that is not a finite number")
            width, giver = len(weights), f"layer {number} gives {len(weights)}"
        if width != DIGITS:
            raise ModelError(f"shape mismatch: the last layer gives {width} outputs, but there are {DIGITS} digits")
        return cls(str(document.get("version", "unknown")), layers)

    def predict(self, pixels: list[float]) -> tuple[int, float]:
        """The most probable digit and its probability."""
        values = [pixel / MAX_PIXEL for pixel in pixels]
        last = len(self.layers) - 1
        for number, (weights, bias) in enumerate(self.layers):
            values = [sum(map(mul, row, values), start) for row, start in zip(weights, bias, strict=True)]
            if number != last:
                values = [value if value > 0.0 else 0.0 for value in values]
        top = max(values)
        return values.index(top), 1.0 / sum(math.exp(value - top) for value in values)


class Loaded:
    """A model, or the reason why there is none."""

    def __init__(self, folder: Path) -> None:
        self.model: Model | None = None
        self.version = "unknown"
        self.reason = ""
        path = folder / "weights.json"
        try:
            document = json.loads(path.read_bytes())
            if not isinstance(document, dict):
                raise ModelError("weights.json is not a JSON object")
            self.version = str(document.get("version", "unknown"))
            self.model = Model.from_document(document)
        except OSError as error:
            self.reason = f"cannot read {path}: {error.strerror}"
        except ValueError as error:
            self.reason = f"weights.json is not JSON: {error}"
        except ModelError as error:
            self.reason = str(error)


def read_pixels(body: bytes) -> list[float]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict) or "pixels" not in document:
        raise BadRequest('the body must be a JSON object with "pixels"')
    pixels = document["pixels"]
    if not isinstance(pixels, list):
        raise BadRequest(f'"pixels" must be a list of {PIXELS} numbers')
    if len(pixels) != PIXELS:
        raise BadRequest(f'"pixels" must hold {PIXELS} numbers, not {len(pixels)}')
    for index, pixel in enumerate(pixels):
        if not is_number(pixel):
            raise BadRequest(f"pixels[{index}] is not a number")
        if not 0 <= pixel <= MAX_PIXEL:
            raise BadRequest(f"pixels[{index}] is not between 0 and {MAX_PIXEL}")
    return pixels


class Server(ThreadingHTTPServer):
    """One thread per connection, and a record of which connections have a request under way."""

    request_queue_size = 512
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], loaded: Loaded) -> None:
        self.loaded = loaded
        self.stopping = False  # from here on replies say "Connection: close"
        self._closing_idle = False
        self._changed = threading.Condition()
        self._busy: dict[socket.socket, bool] = {}
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's own looks the host up in DNS
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._busy[request] = False
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._changed:
            self._busy.pop(request, None)
            self._changed.notify_all()
        super().shutdown_request(request)

    def set_busy(self, request: socket.socket, busy: bool) -> None:
        with self._changed:
            self._busy[request] = busy
            if self._closing_idle and not busy:
                self._stop_reading(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def handle_timeout(self) -> None:
        self._backlog_empty = True

    def finish(self, seconds: float) -> int:
        """After `shutdown()`: answer what has arrived, close what is idle; returns how many were cut."""
        self.stopping = True
        self.timeout, self._backlog_empty = 0, False
        while not self._backlog_empty:
            self.handle_request()
        self.server_close()
        with self._changed:
            if not self._changed.wait_for(lambda: not self._busy, IDLE_GRACE_SECONDS):
                self._closing_idle = True
                for request, busy in self._busy.items():
                    if not busy:
                        self._stop_reading(request)
                self._changed.wait_for(lambda: not self._busy, seconds)
            return len(self._busy)

    @staticmethod
    def _stop_reading(request: socket.socket) -> None:
        """Its thread still gets the bytes that are already here, and then the end."""
        try:
            request.shutdown(socket.SHUT_RD)
        except OSError:
            return  # the other side was faster


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet
    timeout = IDLE_SECONDS
    server: Server

    def parse_request(self) -> bool:
        self.server.set_busy(self.request, True)
        return super().parse_request()

    def handle_one_request(self) -> None:
        super().handle_one_request()
        self.server.set_busy(self.request, False)

    def handle_expect_100(self) -> bool:
        proceed = super().handle_expect_100()
        self.wfile.flush()  # the client waits for this line before it sends the body
        return proceed

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_GET

    def _answer(self) -> None:
        body = self._read_body()
        if body is None:
            return
        known = {"/healthz": (("GET", "HEAD"), self._health), "/predict": (("POST",), self._predict)}
        path = self.path.partition("?")[0]
        if path not in known:
            self._reply(HTTPStatus.NOT_FOUND, {"error": f"there is no {path}"})
            return
        methods, answer = known[path]
        if self.command not in methods:
            allowed = ", ".join(methods)
            self._reply(HTTPStatus.METHOD_NOT_ALLOWED, {"error": f"{path} takes {allowed}"}, {"Allow": allowed})
            return
        answer(body)

    def _health(self, body: bytes) -> None:
        loaded = self.server.loaded
        if loaded.model is None:
            failing = {"status": "failing", "reason": loaded.reason, "version": loaded.version}
            self._reply(HTTPStatus.SERVICE_UNAVAILABLE, failing)
        else:
            self._reply(HTTPStatus.OK, {"status": "ok", "version": loaded.version})

    def _predict(self, body: bytes) -> None:
        loaded = self.server.loaded
        if loaded.model is None:
            self._reply(HTTPStatus.SERVICE_UNAVAILABLE, {"error": f"the model cannot serve: {loaded.reason}"})
            return
        try:
            pixels = read_pixels(body)
        except BadRequest as error:
            self._reply(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        digit, confidence = loaded.model.predict(pixels)
        self._reply(HTTPStatus.OK, {"digit": digit, "confidence": round(confidence, 4), "version": loaded.version})

    def _read_body(self) -> bytes | None:
        """The whole body, or None when the request was refused (or its client left) before it was read."""
        if "Transfer-Encoding" in self.headers:
            return self._refuse(HTTPStatus.LENGTH_REQUIRED, "send a Content-Length")
        declared = self.headers.get("Content-Length", "0").strip()
        if not (declared.isascii() and declared.isdigit()):
            return self._refuse(HTTPStatus.BAD_REQUEST, "Content-Length is not a number")
        if len(declared) > 18 or int(declared) > MAX_BODY:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {MAX_BODY} bytes")
        body = self.rfile.read(int(declared))
        if len(body) < int(declared):
            self.close_connection = True
            return None
        return body

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True  # its body was not read, so what follows is not a request
        self._reply(status, {"error": reason})

    def _reply(self, status: int, document: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        body = json.dumps(document).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection or self.server.stopping:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.close_connection = True
        self._reply(code, {"error": message or HTTPStatus(code).phrase})

    def version_string(self) -> str:
        return "digits"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: the proxy in front logs requests."""


def main() -> int:
    # Blocked here and so in every thread: a signal waits until sigwait() below takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    host, port = os.environ.get("HOST", "0.0.0.0"), os.environ.get("PORT", "8080")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        print(f"PORT is not a port: {port!r}", file=sys.stderr)
        return 2
    loaded = Loaded(Path(os.environ.get("MODEL_DIR") or Path(__file__).resolve().parent / "model"))
    try:
        server = Server((host, int(port)), loaded)
    except OSError as error:
        print(f"cannot listen on {host}:{port}: {error.strerror}", file=sys.stderr)
        return 1
    if loaded.model is None:
        print(f"ERROR model {loaded.version} cannot serve: {loaded.reason}", file=sys.stderr, flush=True)
        print("/healthz answers 503 until a working model is deployed", file=sys.stderr, flush=True)
    print(f"digits {loaded.version} listens on {host}:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    received = signal.sigwait({signal.SIGTERM, signal.SIGINT})
    print(f"{signal.Signals(received).name}: finishing requests under way", flush=True)
    server.shutdown()
    cut = server.finish(STOP_SECONDS)
    print(f"stopped, {cut} cut" if cut else "stopped", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
