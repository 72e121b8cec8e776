"""The wheels of the frameworks: downloaded once, and served to the builds as a package index of this machine.

So builds need neither the settings that pip has on this machine (an index, a certificate) nor a download each. The
wheels stay in $DEPLOYCTL_FRAMEWORKS_CACHE, by default in deployctl-frameworks in the user's cache folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# What runs in the images: Debian 12 has Python 3.11 and glibc 2.36.
PYTHON = "3.11"
GLIBC = 36


def cache() -> Path:
    """The folder of the wheels."""
    chosen = os.environ.get("DEPLOYCTL_FRAMEWORKS_CACHE")
    users = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(chosen) if chosen else users / "deployctl-frameworks"


def platforms() -> list[str]:
    """The tags of wheels with compiled code that the images can install, best first."""
    machine = platform.machine()
    return [f"manylinux_2_{minor}_{machine}" for minor in range(GLIBC, 4, -1)] + [
        f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")
    ]


def fetch(requirements: Path) -> None:
    """Downloads what a file of requirements lists, unless all of it is in the cache. The list is complete: pip adds
    nothing to it, because it would decide for the Python that runs the tests.
    """
    folder = cache()
    (folder / "wheels").mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(requirements.read_bytes() + platform.machine().encode()).hexdigest()
    listing = folder / f"{requirements.parent.name}-{digest[:16]}.txt"
    # Tests in parallel fill the cache together.
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if listing.exists() and all((folder / "wheels" / name).exists() for name in listing.read_text().split()):
            return
        with tempfile.TemporaryDirectory(dir=folder) as new:
            _download(requirements, Path(new), folder / "wheels")
            names = sorted(path.name for path in Path(new).iterdir())
            for name in names:
                shutil.move(Path(new) / name, folder / "wheels" / name)
        listing.write_text("\n".join(names) + "\n")


def _download(requirements: Path, target: Path, known: Path) -> None:
    options = ["--no-deps", "--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    options += [option for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none") for option in ("--abi", abi)]
    options += [option for name in platforms() for option in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "download", "-qq", "--no-input", "--disable-pip-version-check"]
    command += [*options, "--find-links", str(known), "--dest", str(target), "-r", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"pip could not download {requirements}:\n{done.stderr[-3000:]}"


class _Index(SimpleHTTPRequestHandler):
    """A package index (PEP 503) of the wheels in a folder: /simple/NAME/ has links to /FILE."""

    def do_GET(self) -> None:
        project = re.fullmatch(r"/simple/([a-z0-9-]+)/", self.path)
        if project is None:
            super().do_GET()
            return
        names = [path.name for path in Path(self.directory).glob("*.whl") if normalized(path.name) == project[1]]
        page = "".join(f'<a href="/{name}">{name}</a>\n' for name in names).encode()
        self.send_response(200 if names else 404)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *arguments: object) -> None:
        pass


def normalized(wheel: str) -> str:
    """The name under which an index lists a wheel."""
    return re.sub(r"[-_.]+", "-", wheel.partition("-")[0]).lower()


@contextmanager
def serving() -> Iterator[str]:
    """Serves the cache; yields the address of the index."""
    folder = cache() / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: _Index(*a, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()
