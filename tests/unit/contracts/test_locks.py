"""The contract of `Locks`. There is no fake: the tests of the use cases use the real locks."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.adapters.posix.locks import FileLocks
from orchestrator.errors import Locked, StorageError
from orchestrator.ports.locks import Locks


def make(folder: Path, command: str) -> Locks:
    return FileLocks(folder, command=command, now=lambda: "2031-05-06T07:08:09.000Z")


def test_an_app_has_one_holder_who_is_named(tmp_path: Path) -> None:
    one, two = make(tmp_path / "locks", "deployctl release"), make(tmp_path / "locks", "deployctl rollback")
    assert one.holder("mymodel") is None
    with one.app("mymodel"):
        holder = two.holder("mymodel")
        assert holder is not None and holder["command"] == "deployctl release"
        with pytest.raises(Locked, match="deployctl release"), two.app("mymodel"):
            pytest.fail("two commands hold the lock")
        with two.app("other"), two.proxy():
            pass
    with two.app("mymodel"):
        pass


def test_a_folder_that_cannot_be_used_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file")
    for lock in (make(tmp_path / "locks", "deployctl").app("mymodel"), make(tmp_path / "locks", "deployctl").proxy()):
        with pytest.raises(StorageError, match="cannot be used"), lock:
            pytest.fail("there is no lock")
