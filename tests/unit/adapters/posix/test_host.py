"""This machine: its users, programs and files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrator.adapters.posix.host import LocalHost
from orchestrator.errors import HostError


def test_a_program_that_does_not_exist() -> None:
    with pytest.raises(HostError, match="there is no program deployctl-nonsense"):
        LocalHost().run(("deployctl-nonsense",))


def test_how_a_program_ended() -> None:
    ended = LocalHost().run(("sh", "-c", "cat; echo wrong >&2; exit 3"), b"given")
    assert (ended.code, ended.output, ended.message) == (3, b"given", "wrong")


def test_with_sudo_the_user_is_the_original_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "person")
    assert LocalHost().user() == "person"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_written_file_is_readable_for_all_users(tmp_path: Path, umask: int) -> None:
    host, path = LocalHost(), tmp_path / "file"
    assert host.read(path) is None
    before = os.umask(umask)
    try:
        host.write(path, "text\n")
    finally:
        os.umask(before)
    assert host.read(path) == "text\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    host.remove(path)
    host.remove(path)
    assert host.read(path) is None


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    host = LocalHost()
    with pytest.raises(HostError, match="cannot be read: Is a directory"):
        host.read(tmp_path)
    with pytest.raises(HostError, match="cannot be written: No such file"):
        host.write(tmp_path / "no" / "file", "")
    with pytest.raises(HostError, match="cannot be removed: Is a directory"):
        host.remove(tmp_path)
