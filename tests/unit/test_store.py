"""Copies of model folders: whole under their name, or not there, whenever the program dies."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.artifacts.store import ArtifactStore
from orchestrator.config import Config, load


class Crash(BaseException):
    """The process dies here."""


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "models", tmp_path / "checkouts")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "app" / "model" / "words").mkdir(parents=True)
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "app" / "deploy.toml").write_text(
        '[app]\nname = "m"\nport = 8080\n[model]\npath = "model"\nmount = "/model"\n'
    )
    write(tmp_path, "old")
    return load(tmp_path / "app" / "deploy.toml")


def write(tmp_path: Path, text: str) -> None:
    for name in ("weights", "words/a", "words/b"):
        (tmp_path / "app" / "model" / name).write_text(text)


def content(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The files of each copy, those that are not hidden."""
    return {
        copy.name: {str(path.relative_to(copy)): path.read_text() for path in copy.rglob("*") if path.is_file()}
        for copy in (tmp_path / "models" / "m").glob("[!.]*")
    }


def whole(text: str) -> dict[str, str]:
    return dict.fromkeys(("weights", "words/a", "words/b"), text)


def crashes(monkeypatch: pytest.MonkeyPatch, prepare: Callable[[], object], act: Callable[[], object]) -> Iterator[int]:
    """Does `act` again and again, and each time dies at one more change of the disk; yields after each death."""
    for number in range(100):
        prepare()
        count = 0
        with monkeypatch.context() as patch:

            def dying(real: Callable[..., Any], number: int = number) -> Callable[..., Any]:
                def call(*arguments: Any, **options: Any) -> Any:
                    nonlocal count
                    count += 1
                    if count > number:
                        raise Crash
                    return real(*arguments, **options)

                return call

            for place, name in (
                *((os, name) for name in ("mkdir", "rename", "unlink", "rmdir")),
                (shutil, "copyfile"),
            ):
                patch.setattr(place, name, dying(getattr(place, name)))
            try:
                act()
                died = False
            except Crash:
                died = True
        if died:
            yield number
            continue
        assert number > 2
        return
    raise AssertionError("it has no end")


def test_a_copy_is_whole_or_not_there(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in crashes(
        monkeypatch, lambda: store.drop_snapshot("m", "v1"), lambda: store.snapshot(config, "m", "v1")
    ):
        assert content(tmp_path) in ({}, {"v1": whole("old")}), number
        store.tidy("m")
        assert list((tmp_path / "models" / "m").glob(".*")) == []
    assert content(tmp_path) == {"v1": whole("old")}


def test_a_copy_that_is_made_anew_is_the_old_one_the_new_one_or_none(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare() -> None:
        write(tmp_path, "old")
        store.snapshot(config, "m", "v1")
        write(tmp_path, "new")

    for number in crashes(monkeypatch, prepare, lambda: store.snapshot(config, "m", "v1")):
        assert content(tmp_path) in ({}, {"v1": whole("old")}, {"v1": whole("new")}), number
        store.tidy("m")
        assert list((tmp_path / "models" / "m").glob(".*")) == []
    assert content(tmp_path) == {"v1": whole("new")}


def test_a_copy_that_is_removed_is_never_half_there(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in crashes(
        monkeypatch, lambda: store.snapshot(config, "m", "v1"), lambda: store.drop_snapshot("m", "v1")
    ):
        assert content(tmp_path) in ({}, {"v1": whole("old")}), number
        store.tidy("m")
        assert list((tmp_path / "models" / "m").glob(".*")) == []
    assert content(tmp_path) == {}


def test_tidying_touches_no_copy_and_no_other_app(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    store.snapshot(config, "m", "v1")
    (tmp_path / "models" / "other" / ".v1.tmp").mkdir(parents=True)
    store.tidy("m")
    store.tidy("never seen")
    assert content(tmp_path) == {"v1": whole("old")}
    assert (tmp_path / "models" / "other" / ".v1.tmp").is_dir()
