"""A replica as a small server in this process."""

from __future__ import annotations

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Replica(ThreadingHTTPServer):
    """Answers health checks, `/` with its version, and `/slow` when it is released."""

    daemon_threads = False

    def __init__(self, address: tuple[str, int], version: str) -> None:
        self.asked, self.released = threading.Event(), threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/slow":
                    outer.asked.set()
                    outer.released.wait(20)
                with suppress(ConnectionError):
                    self.send_response(200)
                    # So that the proxy keeps the connection to the client.
                    self.send_header("Content-Length", str(len(version)))
                    self.end_headers()
                    self.wfile.write(version.encode())

            def log_message(self, *arguments: object) -> None:
                """Logs nothing."""

        super().__init__(address, Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores health checks that the proxy aborts."""

    def stop(self) -> None:
        self.released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()
