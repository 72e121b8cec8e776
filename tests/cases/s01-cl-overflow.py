#!/usr/bin/env python3
"""A Content-Length of 2^64 from one client does not make the requests of other clients vanish.

HAProxy 2.6.12 reads it as 0 and passes it on. A model that answers before it has read the body then waits for the body
on a connection that the proxy uses for the next request, which may be that of another client.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = os.environ.get("DEPLOYCTL", "deployctl")
PORT = int(os.environ.get("PORT", "42534"))
APP = "cl-overflow"
SERVER = """
import asyncio
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode("latin1").lower()
            lengths = [line.split(":")[1] for line in head.split("\\r\\n") if line.startswith("content-length:")]
            path = head.split()[1].encode()
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(path) + path)
            await writer.drain()
            if "connection: close" in head:
                break
            left = int((lengths or ["0"])[0])
            while left > 0:
                left -= len(await reader.read(min(left, 65536)))
    except Exception:
        pass
    writer.close()
async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", 8080) as server:
        await server.serve_forever()
asyncio.run(main())
"""


def run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def connect() -> socket.socket:
    return socket.create_connection(("127.0.0.1", PORT), timeout=5)


def ask(connection: socket.socket, *lines: str) -> bytes:
    """The answer to a request with these lines; empty when the connection is closed without one."""
    connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = connection.recv(4096)
        if not piece:
            return b""
        answer += piece
    return answer


def vanished(length: str) -> int:
    """How many requests of other clients are not answered after attacks with this Content-Length."""
    lost = 0
    for _ in range(5):
        attackers = [connect() for _ in range(6)]
        for connection in attackers:
            ask(connection, "GET /attack HTTP/1.1", "Host: x", f"Content-Length: {length}")
        for connection in attackers:
            connection.close()
        time.sleep(0.1)
        with connect() as victim:
            # The first request of a client does not use a connection that another client has used.
            for _ in range(3):
                try:
                    lost += not ask(victim, "GET /victim HTTP/1.1", "Host: x", "Cookie: session=SECRET")
                except OSError:
                    lost += 1
                    break
    return lost


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="cl-overflow-"))
    state, app = folder / "state", folder / "app"
    app.mkdir()
    (app / "server.py").write_text(SERVER)
    (app / "Dockerfile").write_text('FROM cases/base:py\nCOPY server.py /\nCMD ["python3", "/server.py"]\n')
    (app / "deploy.toml").write_text(f'[app]\nname = "{APP}"\nport = 8080\n[proxy]\nlisten = "127.0.0.1:{PORT}"\n')
    own = hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:8]
    try:
        environment = {**os.environ, "DEPLOYCTL_STATE_DIR": str(state)}
        released = subprocess.run([PROGRAM, "release"], cwd=app, env=environment, capture_output=True, check=False)
        if released.returncode:
            print(f"WRONG: release: {released.stderr.decode()}")
            return 1
        lost = vanished(str(2**64)) + vanished("0")
        print(f"WRONG: {lost} requests of other clients were not answered" if lost else "RIGHT")
        return int(lost > 0)
    finally:
        containers = run("docker", "ps", "-aq", "--filter", f"label=deployctl.state={own}").split()
        run("docker", "rm", "-fv", *containers)
        run("docker", "network", "rm", f"deployctl-{own}")
        run("docker", "rmi", "-f", *run("docker", "images", "-q", APP).split())
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
