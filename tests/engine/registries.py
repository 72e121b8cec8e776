"""Registries for tests: Debian's docker-registry in a folder, plain or with TLS and a password, if necessary in its own
network namespace; and a connection to it that closes or stalls."""

from __future__ import annotations

import base64
import json
import re
import secrets
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.engine.harness import free_port, until
from tests.engine.tools import tool

USER, PASSWORD = "somebody", "a password"
# The hash of that password; docker-registry accepts only bcrypt.
HTPASSWD = f"{USER}:$2y$05$abcdefghijklmnopqrstuu2sM.EEHj4jPcCa5rwqJGg1PNBllkZXy\n"
CERTIFICATES = Path("/etc/docker/certs.d")


@contextmanager
def other_host() -> Iterator[tuple[str, list[str]]]:
    """A network namespace: its address, and the prefix of a command that runs in it.

    Engines trust every registry on the loopback, whatever its certificate says.
    """
    taken = subprocess.run(["ip", "-o", "-4", "addr"], capture_output=True, text=True, check=True).stdout
    while f" 10.254.{(number := secrets.randbelow(256))}." in taken:
        pass
    name = f"reg{secrets.token_hex(4)}"
    here, there = f"10.254.{number}.1", f"10.254.{number}.2"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in (
            f"ip link add {name} type veth peer name eth0 netns {name}",
            f"ip addr add {here}/30 dev {name}",
            f"ip link set {name} up",
            f"ip -n {name} addr add {there}/30 dev eth0",
            f"ip -n {name} link set eth0 up",
        ):
            subprocess.run(command.split(), check=True)
        yield there, ["ip", "netns", "exec", name]
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def certificate(folder: Path, address: str) -> None:
    """A CA in `folder`, and a certificate that it has signed for the address: ca.crt, crt and key."""
    openssl = tool("openssl")
    new = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout"]
    commands = [
        [*new, f"{folder}/ca.key", "-out", f"{folder}/ca.crt", "-subj", "/CN=a CA of the tests"],
        [
            *(*new, f"{folder}/key", "-out", f"{folder}/crt", "-subj", "/CN=registry"),
            *("-CA", f"{folder}/ca.crt", "-CAkey", f"{folder}/ca.key", "-addext", f"subjectAltName=IP:{address}"),
            *("-addext", "basicConstraints=critical,CA:false"),
        ],
    ]
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)


@contextmanager
def registry(
    folder: Path, storage: Path, *, address: str = "127.0.0.1", prefix: tuple[str, ...] = (), secured: bool = False
) -> Iterator[str]:
    """A registry in the block: its `host:port`. Registries with the same storage have the same images."""
    program = tool("docker-registry")
    folder.mkdir(exist_ok=True)
    host = f"{address}:{free_port()}"
    settings = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}},
        "http": {"addr": host, "secret": "of the tests"},
    }
    if secured:
        certificate(folder, address)
        (folder / "htpasswd").write_text(HTPASSWD)
        settings["http"] = {"addr": host, "tls": {"certificate": f"{folder}/crt", "key": f"{folder}/key"}}
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": f"{folder}/htpasswd"}}
    (folder / "config.yml").write_text(json.dumps(settings))  # JSON is also YAML
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*prefix, program, "serve", f"{folder}/config.yml"], stdout=log, stderr=log)
    try:
        until(lambda: _listens(host) or process.poll() is not None, "the registry listens")
        assert process.poll() is None, (folder / "log").read_text()
        yield host
    finally:
        process.terminate()
        process.wait(20)


def _listens(host: str) -> bool:
    name, _, port = host.partition(":")
    try:
        socket.create_connection((name, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def trusted(host: str, ca: Path) -> Iterator[Path]:
    """The machine's engine trusts a CA for a registry; yields the file of the certificate."""
    there = CERTIFICATES.exists()
    place = CERTIFICATES / host
    place.mkdir(parents=True)
    try:
        shutil.copy(ca, place / "ca.crt")
        yield place / "ca.crt"
    finally:
        shutil.rmtree(place)
        if not there:
            CERTIFICATES.rmdir()


def log_in(folder: Path, host: str, password: str = PASSWORD) -> None:
    """Writes what `docker login` writes to the folder of DOCKER_CONFIG."""
    folder.mkdir(exist_ok=True)
    text = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {host: {"auth": text}}}))


_REQUEST = re.compile(rb"(GET|HEAD|POST|PATCH|PUT|DELETE) \S+ HTTP/1\.1\r\n")


class Way:
    """A connection to a registry without TLS, which tests may close or stall.

    `broken` is asked whenever the engine has sent something: with its last request on that connection, and how many
    bytes came since. True cuts the connection there. `stalled` is asked likewise: from then on nothing is passed on,
    until the way is healed, which cuts it too.
    """

    def __init__(self, to: str) -> None:
        self._to = to
        self.heal()
        self.cuts = self.stalls = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._listen, daemon=True)]
        self._threads[0].start()

    def heal(self) -> None:
        self.broken = self.stalled = nowhere

    def close(self) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join(10)
        self._server.close()

    def _listen(self) -> None:
        while not self._closed.is_set():
            if select.select([self._server], [], [], 0.05)[0]:
                thread = threading.Thread(target=self._pass_on, args=(self._server.accept()[0],), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, engine: socket.socket) -> None:
        name, _, port = self._to.partition(":")
        with closing(engine), closing(socket.create_connection((name, int(port)))) as behind:
            request, count, still = b"", 0, False
            while not self._closed.is_set() and not (still and self.stalled is nowhere):
                for source in select.select([engine, behind], [], [], 0.05)[0]:
                    try:
                        data = source.recv(1 << 16)
                    except OSError:
                        return
                    if not data:
                        return
                    if source is engine:
                        found = _REQUEST.match(data)
                        request, count = (found[0], 0) if found else (request, count + len(data))
                        if self.broken(request, count):
                            self.cuts += 1
                            return
                        if not still and self.stalled(request, count):
                            self.stalls += 1
                            still = True
                    if not still:
                        (behind if source is engine else engine).sendall(data)


def nowhere(request: bytes, count: int) -> bool:
    """No faults."""
    return False


def in_a_layer(request: bytes, count: int) -> bool:
    """100 kB of a layer are sent."""
    # The engine sends a layer in pieces; with the containerd image store, as a whole.
    sends = request.startswith(b"PATCH ") or (request.startswith(b"PUT ") and b"/blobs/" in request)
    return sends and count > 100_000


def at_the_manifest(request: bytes, count: int) -> bool:
    """All layers are pushed, and the manifest is next."""
    return request.startswith(b"PUT ") and b"/manifests/" in request


def everywhere(request: bytes, count: int) -> bool:
    return True
