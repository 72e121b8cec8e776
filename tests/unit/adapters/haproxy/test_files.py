"""The proxy's files, intact and damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy.files import ROUTES, SHIELDS, ProxyFiles
from orchestrator.errors import ProxyError, StorageError


def test_slots_are_written_and_read(tmp_path: Path) -> None:
    files = ProxyFiles(tmp_path)
    assert files.slots(ROUTES) == {}
    assert files.written_at(ROUTES) is None
    assert files.write_slots(ROUTES, {"other": "green", "mymodel": "blue"}) is True
    assert files.read(ROUTES) == "mymodel blue\nother green\n"
    assert files.slots(ROUTES) == {"mymodel": "blue", "other": "green"}
    assert files.slots(SHIELDS) == {}


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    files = ProxyFiles(tmp_path)
    assert files.write_slots(ROUTES, {}) is True
    os.utime(tmp_path / ROUTES, (1.0, 1.0))
    assert files.write_slots(ROUTES, {}) is False
    assert files.written_at(ROUTES) == 1.0
    assert files.write_slots(ROUTES, {"mymodel": "blue"}) is True
    assert files.written_at(ROUTES) != 1.0


@pytest.mark.parametrize(
    "text", ["mymodel", "mymodel ", "mymodel blu", "mymodel blue green", "\0\0", "\n", "a blue\nb"]
)
@pytest.mark.parametrize("name", [ROUTES, SHIELDS])
def test_a_damaged_file_is_recognized(tmp_path: Path, name: str, text: str) -> None:
    files = ProxyFiles(tmp_path)
    (tmp_path / name).write_text(text)
    assert files.slots_or_none(name) is None
    with pytest.raises(ProxyError, match=rf"{name} is damaged") as caught:
        files.slots(name)
    assert caught.value.hint == "deployctl recover restores it from the ledger"


def test_prepare_creates_missing_files_and_keeps_others(tmp_path: Path) -> None:
    files = ProxyFiles(tmp_path / "proxy")
    files.prepare_folder()
    assert sorted(path.name for path in files.folder.iterdir()) == ["run"]
    files.write_slots(ROUTES, {"mymodel": "blue"})
    files.prepare()
    assert sorted(path.name for path in files.folder.iterdir()) == ["moved.map", ROUTES, "run", SHIELDS, "versions.map"]
    assert files.slots(ROUTES) == {"mymodel": "blue"}


def test_a_file_that_cannot_be_written_is_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ProxyFiles(tmp_path)
    files.write_slots(ROUTES, {"mymodel": "blue"})

    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match=r"routes\.map cannot be written: .*No space left") as caught:
        files.write_slots(ROUTES, {"mymodel": "green"})
    assert caught.value.hint == "check that the disk is not full"
    monkeypatch.undo()
    assert files.slots(ROUTES) == {"mymodel": "blue"}
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be prepared"):
        ProxyFiles(tmp_path / "file").prepare()


def test_the_digest_is_the_one_in_the_configuration(tmp_path: Path) -> None:
    files = ProxyFiles(tmp_path)
    assert files.digest() == "none"
    files.write("haproxy.cfg", "global\n  setenv DEPLOYCTL_CONFIG 0123456789ab\n")
    assert files.digest() == "0123456789ab"
