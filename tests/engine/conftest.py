"""Fixtures of the tests that need a real engine. Each test has its own state folder and removes everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engine import harness
from tests.engine.harness import App


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in these folders need an engine: `-m 'not engine'` leaves them out."""
    for item in items:
        if {"engine", "chaos", "frameworks"} & set(item.path.parts):
            item.add_marker("engine")


@pytest.fixture(scope="session", autouse=True)
def engine_is_there() -> Iterator[None]:
    """Fails without an engine, because skipped tests prove nothing."""
    harness.engine().ping()
    yield
    harness.close_engine()


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Creates apps; those with the same `state` share a state folder and its proxy."""
    made: list[App] = []

    def make(name: str = "mymodel", *, state: str = "state", port: int | None = None) -> App:
        app = App(tmp_path / f"{state}-{name}", tmp_path / state, name=name, port=port)
        made.append(app)
        return app

    yield make
    for app in made:
        app.clean()


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    return make_app()
