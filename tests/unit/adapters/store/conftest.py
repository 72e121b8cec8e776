"""Fixtures: a store, and an app with a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import Config, load
from tests.unit.stores import Stores, write


@pytest.fixture
def store(tmp_path: Path) -> Stores:
    return Stores(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "app" / "model" / "words").mkdir(parents=True)
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "app" / "deploy.toml").write_text(
        '[app]\nname = "m"\nport = 8080\n[model]\npath = "model"\nmount = "/model"\n'
    )
    write(tmp_path, "old")
    return load(tmp_path / "app" / "deploy.toml")
