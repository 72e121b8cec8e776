"""A scripted model server for tests: what it does stands in the environment and in /app/version.

MODE: ok, exit (ends at once), sick (healthz answers 503), late:SECONDS (the port opens later),
single (one request at a time, like many real model servers).

Predictions that turn bad AFTER seconds after the first one, while healthz answers 200 all the time:
errors:RATE:AFTER (that share of them is answered 500), slow:FACTOR:AFTER (they take FACTOR times 10 ms, and 10 ms
before), dies:EVERY:AFTER (the process exits with code 1, that many seconds after each start).

Predictions that are bad from the first one, while healthz answers 200: fails:N (each N-th one is answered 500), closes
(the connection is closed without an answer), crashes (the process exits at the first one), hangs (they are never
answered), swells:N (each one after N needs more memory, until there is none). brief:SECONDS: the process exits so long
after the first healthz.
"""

import base64
import hashlib
import itertools
import os
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

VERSION = Path("/app/version").read_text().strip()
MODE, *VALUES = Path("/app/mode").read_text().strip().split(":")
VALUE = float(VALUES[0]) if VALUES else 0.0
AFTER = float(VALUES[1]) if len(VALUES) > 1 else 0.0
# A process that was started again still knows when the first prediction was.
FIRST = Path("/app/first")
# While this file exists, healthz answers 503.
UNREADY = Path("/app/unready")
PREDICTION = 0.01
SWELL = 32 << 20

NUMBERS = itertools.count(1)
HELD = []
PROBED = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        url = urlsplit(self.path)
        seconds = float(parse_qs(url.query).get("seconds", ["0"])[0])
        if url.path == "/healthz":
            self.answer(503 if MODE == "sick" or UNREADY.exists() else 200, VERSION)
            PROBED.set()
        elif url.path == "/stream":
            self.stream(seconds)
        elif url.path == "/slow":
            time.sleep(seconds)
            self.answer(200, VERSION)
        elif url.path == "/ws":
            self.websocket()
        elif url.path == "/headers":
            self.answer(200, "".join(f"{key.lower()}: {value}\n" for key, value in self.headers.items()))
        elif url.path == "/env":
            self.answer(200, "".join(f"{key}={value}\n" for key, value in sorted(os.environ.items())))
        else:
            self.answer(200, f"{VERSION} {self.path}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        bad = turned_bad()
        if MODE == "slow":
            time.sleep(PREDICTION * (VALUE if bad else 1))
        if MODE == "errors" and bad and random.random() < VALUE:
            self.answer(500, f"{VERSION} no prediction")
            return
        if MODE in BROKEN and not BROKEN[MODE](self, next(NUMBERS)):
            return
        self.answer(200, f"{VERSION} {len(body)}")

    def answer(self, status, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def stream(self, seconds):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        end = time.monotonic() + seconds
        count = 0
        while time.monotonic() < end:
            data = f"{VERSION} {count}\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            count += 1
            time.sleep(0.1)
        self.wfile.write(b"4\r\nend\n\r\n0\r\n\r\n")
        self.wfile.flush()

    def websocket(self):
        """Echoes text frames with the version in front. RFC 6455, short masked frames only."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return
            length = head[1] & 127
            mask = self.rfile.read(4)
            data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(length)))
            opcode = head[0] & 15
            if opcode == 8:
                self.wfile.write(bytes([0x88, len(data)]) + data)
                self.wfile.flush()
                return
            reply = f"{VERSION} ".encode() + data
            self.wfile.write(bytes([0x81, len(reply)]) + reply)
            self.wfile.flush()

    def log_message(self, *arguments):
        pass


def first():
    """When the first prediction was asked for, by the wall clock; None before it."""
    try:
        return float(FIRST.read_text())
    except (FileNotFoundError, ValueError):
        return None


def turned_bad():
    """True AFTER seconds after the first prediction."""
    if first() is None:
        FIRST.write_text(str(time.time()))
    began = first()
    return began is not None and time.time() >= began + AFTER


def die():
    """Ends the process, VALUE seconds after it started or turned bad."""
    while (began := first()) is None or time.time() < began + AFTER:
        time.sleep(0.02)
    time.sleep(VALUE)
    print("segmentation fault, let us say", flush=True)
    os._exit(1)


def fails(handler, number):
    if number % VALUE:
        return True
    handler.answer(500, f"{VERSION} no prediction")
    return False


def closes(handler, number):
    handler.close_connection = True
    return False


def crashes(handler, number):
    print("segmentation fault, let us say", flush=True)
    os._exit(1)


def hangs(handler, number):
    threading.Event().wait()


def swells(handler, number):
    if number > VALUE:
        HELD.append(bytearray(os.urandom(1 << 10) * (SWELL >> 10)))
    return True


BROKEN = {"fails": fails, "closes": closes, "crashes": crashes, "hangs": hangs, "swells": swells}


def leave():
    """Ends the process, VALUE seconds after the first probe."""
    PROBED.wait()
    time.sleep(VALUE)
    print("segmentation fault, let us say", flush=True)
    os._exit(1)


print(f"model {VERSION} starts in mode {MODE}", flush=True)
if MODE == "exit":
    print("no weights found: giving up", flush=True)
    sys.exit(7)
if MODE == "late":
    time.sleep(VALUE)
if MODE == "dies":
    threading.Thread(target=die, daemon=True).start()
if MODE == "brief":
    threading.Thread(target=leave, daemon=True).start()
server = HTTPServer if MODE == "single" else ThreadingHTTPServer
server.request_queue_size = 256
server.daemon_threads = True
server(("0.0.0.0", 8080), Handler).serve_forever()
