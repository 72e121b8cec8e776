"""A scripted model server for tests: what it does stands in the environment and in /app/version.

MODE: ok, exit (ends at once), sick (healthz answers 503), late:SECONDS (the port opens later),
single (one request at a time, like many real model servers).
"""

import base64
import hashlib
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

VERSION = Path("/app/version").read_text().strip()
MODE, _, VALUE = Path("/app/mode").read_text().strip().partition(":")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):
        url = urlsplit(self.path)
        seconds = float(parse_qs(url.query).get("seconds", ["0"])[0])
        if url.path == "/healthz":
            self.answer(503 if MODE == "sick" else 200, VERSION)
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


print(f"model {VERSION} starts in mode {MODE}", flush=True)
if MODE == "exit":
    print("no weights found: giving up", flush=True)
    sys.exit(7)
if MODE == "late":
    time.sleep(float(VALUE))
server = HTTPServer if MODE == "single" else ThreadingHTTPServer
server.request_queue_size = 256
server.daemon_threads = True
server(("0.0.0.0", 8080), Handler).serve_forever()
