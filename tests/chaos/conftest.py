"""Fixtures of the chaos tests. Each test has its own state folder and removes everything."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy.container import image_tag
from tests.chaos.private import PYTHON_IMAGE, PrivateEngine, python_image
from tests.engine import harness
from tests.engine.conftest import app, engine_is_there, make_app
from tests.engine.harness import App

__all__ = ["app", "engine_is_there", "make_app"]


def needs_root() -> None:
    """Only root on Linux can create an engine, a namespace and a file system; CI runs as root."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("dockerd") is None:
        pytest.skip("needs root, iproute2 and dockerd, to make an engine of its own")


@pytest.fixture(scope="session")
def private_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateEngine]:
    """An engine that tests may kill. It is shared: each test leaves it running and empty."""
    needs_root()
    python_image()
    first = App(tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("state"))
    first.run("proxy", "up")
    first.clean()
    # Not in pytest's folder, whose path is too long for a socket. A new one, because a killed run leaves its folder.
    folder = Path(tempfile.gettempdir()) / f"deployctl-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    found = PrivateEngine(folder)
    found.make(PYTHON_IMAGE, image_tag())
    yield found
    found.close()


@pytest.fixture
def private_app(private_engine: PrivateEngine, tmp_path: Path) -> Iterator[App]:
    """An app on the private engine, which runs at the start of the test, however the previous test ended."""
    if private_engine.process.poll() is not None:
        private_engine.buried()
        private_engine.start()
    private_engine.thaw()
    made = App(tmp_path / "app", tmp_path / "state", port=harness.free_port(), place=private_engine.place)
    yield made
    made.clean()
