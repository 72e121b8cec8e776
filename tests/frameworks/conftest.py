"""Fixtures of the tests with real serving frameworks."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest

from tests.chaos import FULL
from tests.engine.conftest import engine_is_there
from tests.engine.harness import engine
from tests.frameworks import wheels
from tests.frameworks.deployed import HERE

__all__ = ["engine_is_there"]


@pytest.fixture(scope="session")
def index() -> Iterator[str]:
    """The address of the index from which builds install packages."""
    with wheels.serving() as address:
        yield address


@pytest.fixture(scope="session")
def layers(engine_is_there: None) -> Iterator[None]:
    """Keeps the layers that most Dockerfiles begin with, so that they are built once for all of them."""
    if not FULL:
        yield
        return
    text, found, _ = (HERE / "onnxruntime" / "Dockerfile").read_text().partition("\n# Another package index")
    assert found
    tag = f"deployctl-test-frameworks:{os.getpid()}"
    engine().images.build(fileobj=io.BytesIO(text.encode()), tag=tag, rm=True, forcerm=True)
    yield
    engine().images.remove(tag, force=True)
