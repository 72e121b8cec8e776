"""Atomic writes, bounded reads and locks."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy.files import ProxyFiles
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.files import (
    FOREVER,
    SMALL,
    NotRegular,
    TooLarge,
    create,
    left_over,
    lock,
    open_regular,
    read_small,
    write_atomic,
)


def inside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_file_has_the_content_and_the_mode(tmp_path: Path) -> None:
    target = tmp_path / "routes.map"
    write_atomic(target, "mymodel grün\n", mode=0o600)
    assert target.read_bytes() == "mymodel grün\n".encode()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert inside(tmp_path) == ["routes.map"]


def test_a_given_mode_is_set_regardless_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomic(tmp_path / "with-mode", "", mode=0o644)
        write_atomic(tmp_path / "without-mode", "")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"with-mode": 0o644, "without-mode": 0o600}


def test_it_replaces_the_file_and_does_not_write_into_it(tmp_path: Path) -> None:
    target = tmp_path / "routes.map"
    write_atomic(target, "a long old text\n")
    with target.open() as reader:
        write_atomic(target, "new\n")
        assert reader.read() == "a long old text\n"
    assert target.read_text() == "new\n"
    assert inside(tmp_path) == ["routes.map"]


def test_what_has_the_name_of_a_temporary_file_is_not_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user of the folder makes a link or a pipe of the name, even if they could know it."""
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    monkeypatch.setattr(os, "urandom", bytes)
    for trap in (
        lambda path: path.symlink_to(victim),
        lambda path: path.symlink_to(tmp_path / "nowhere"),
        lambda path: path.hardlink_to(victim),
        lambda path: os.mkfifo(path),
    ):
        name = tmp_path / f".routes.map.{'00' * 8}.tmp"
        trap(name)
        with pytest.raises(FileExistsError):
            write_atomic(tmp_path / "routes.map", "new\n")
        name.unlink()
        assert inside(tmp_path) == ["victim"]
    assert victim.read_text() == "precious\n"


def test_a_fixed_temporary_name_means_nothing(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    (tmp_path / "routes.map.tmp").symlink_to(victim)
    os.mkfifo(tmp_path / ".routes.map.tmp")
    (tmp_path / "routes.map").symlink_to(victim)
    write_atomic(tmp_path / "routes.map", "new\n", mode=0o644)
    assert (victim.read_text(), stat.S_IMODE(victim.stat().st_mode) & 0o077) == ("precious\n", 0o044)
    assert (tmp_path / "routes.map").read_text() == "new\n"
    assert not (tmp_path / "routes.map").is_symlink()


def test_two_writers_do_not_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def meanwhile(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        write_atomic(tmp_path / "routes.map", "of the other one\n")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", meanwhile)
    write_atomic(tmp_path / "routes.map", "own\n")
    assert (tmp_path / "routes.map").read_text() == "own\n"
    assert inside(tmp_path) == ["routes.map"]


def test_temporary_files_of_a_crash_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("seen.json", "seen", "ü" * 120)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: os.kill)  # the power fails before the rename
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        for name in names:
            write_atomic(tmp_path / name, "")
    found = {name: [path.name for path in left_over(tmp_path / name)] for name in names}
    assert [len(paths) for paths in found.values()] == [1, 1, 1]
    assert sorted(inside(tmp_path)) == sorted(path for paths in found.values() for path in paths)


def test_a_folder_in_the_way_leaves_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "routes.map"
    target.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        write_atomic(target, "new\n")
    assert inside(tmp_path) == ["routes.map"]
    assert target.is_dir()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "no" / "routes.map", "new\n")
    assert inside(tmp_path) == []


@pytest.mark.parametrize("broken", ["write", "fsync"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    target = tmp_path / "routes.map"
    write_atomic(target, "old\n")

    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(target, "new\n")
    assert target.read_text() == "old\n"
    assert inside(tmp_path) == ["routes.map"]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    write_atomic(tmp_path / "routes.map", "more than three\n")
    assert (tmp_path / "routes.map").read_text() == "more than three\n"


def test_the_file_is_on_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        order.append("fsync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        order.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_atomic(tmp_path / "routes.map", "new\n")
    assert order == ["fsync file", "rename", "fsync folder"]


def test_temporary_files_in_the_proxys_folder_are_removed(tmp_path: Path) -> None:
    files = ProxyFiles(tmp_path)
    files.write("routes.map", "mymodel blue\n")
    for name in ("routes.map.tmp", "versions.map.tmp", "haproxy.cfg.new", "haproxy.cfg.new.tmp"):
        (tmp_path / name).write_text("half of")
    files.prepare()
    assert inside(tmp_path) == ["messages.map", "moved.map", "replicas.map", "routes.map", "run", "versions.map"]
    assert files.states() == {"mymodel": TrafficState("blue")}


# --- bounded reads and locks -------------------------------------------------------------------------------------


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * SMALL)
    assert read_small(tmp_path / "file") == b"x" * SMALL
    with (tmp_path / "file").open("ab") as file:
        file.write(b"x")
    with pytest.raises(TooLarge):
        read_small(tmp_path / "file")


def test_pipes_devices_and_folders_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(NotRegular):
            read_small(path)
    with pytest.raises(IsADirectoryError):
        read_small(tmp_path)
    with pytest.raises(OSError, match="invalid path"):
        read_small(tmp_path / "a\0b")


def test_a_pipe_is_not_opened_instead_of_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegular):
        open_regular(tmp_path / "pipe")
    with pytest.raises(FileExistsError):
        create(tmp_path / "pipe")


def test_a_lock_is_exclusive_unless_it_is_shared(tmp_path: Path) -> None:
    one, two = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        assert lock(one)
        assert not lock(two)
        assert not lock(two, shared=True, wait=0.02)
        assert lock(one, shared=True)
        assert lock(two, shared=True, wait=FOREVER)
    finally:
        os.close(one)
        os.close(two)
