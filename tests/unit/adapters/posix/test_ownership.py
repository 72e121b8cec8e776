"""Who may change a file, and the state folder, which is private."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrator.adapters.posix.host import LocalHost
from orchestrator.adapters.posix.ownership import prepare_state_folder, writers
from orchestrator.errors import UsageError

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir(0o755)
    path = folder / "deploy.toml"
    path.write_text("")
    path.chmod(0o644)
    return path


def test_a_file_that_only_its_owner_can_change(file: Path) -> None:
    assert writers(file) is None
    link = file.with_name("link.toml")
    link.symlink_to(file)
    assert writers(link) is None
    assert LocalHost().writers(file) is None


def test_a_file_that_every_user_can_change(file: Path) -> None:
    file.chmod(0o666)
    assert writers(file) == f"every user can write to {file}"
    file.chmod(0o644)
    file.parent.chmod(0o777)
    assert writers(file) == f"every user can write to {file.parent}"
    file.parent.chmod(0o1777)  # like /tmp: others cannot replace the file
    assert writers(file) is None


def test_behind_a_link_the_folders_of_its_target_count(file: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(0o700)
    link = tmp_path / "private" / "current"
    link.symlink_to(file.parent)
    file.parent.chmod(0o777)
    assert writers(link / "deploy.toml") == f"every user can write to {link}"
    file.parent.chmod(0o755)
    link.parent.chmod(0o777)
    assert writers(link / "deploy.toml") == f"every user can write to {link.parent}"


@root_only
def test_the_owner_and_the_group_of_a_file(file: Path) -> None:
    file.chmod(0o664)
    os.chown(file, 0, 0)
    assert writers(file) is None  # the group of root, with no other member
    os.chown(file, 0, 54321)
    assert writers(file) == f"the group gid 54321 can write to {file}"
    os.chown(file, 54321, 0)
    assert writers(file) == f"{file} belongs to uid 54321"
    os.chown(file, 0, 0)
    os.chown(file.parent, 54321, 0)
    assert writers(file) == f"{file.parent} belongs to uid 54321"


@root_only
def test_a_link_that_another_user_can_turn(file: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    link = tmp_path / "shared" / "deploy.toml"
    link.symlink_to(file)
    os.chown(link, 54321, -1, follow_symlinks=False)
    assert writers(link) == f"{link} belongs to uid 54321"


def test_a_missing_file_counts_as_one_of_others(tmp_path: Path) -> None:
    assert LocalHost().writers(tmp_path / "no") == f"{tmp_path / 'no'} cannot be checked: No such file or directory"


# --- the state folder --------------------------------------------------------------------------------------------


def test_a_new_state_folder_is_private(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        folder = prepare_state_folder(tmp_path / "a" / "state")
    finally:
        os.umask(before)
    assert (folder, mode(folder)) == (tmp_path / "a" / "state", 0o700)


@pytest.mark.parametrize("names", [[], ["ledger.db"], ["locks", "notes"]])
def test_an_existing_state_folder_becomes_private(tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    for name in names:
        (tmp_path / "state" / name).touch()
    assert mode(prepare_state_folder(tmp_path / "state")) == 0o700


def test_a_folder_of_other_programs_is_not_locked_away_from_them(tmp_path: Path) -> None:
    folder = tmp_path / "srv"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "www").mkdir()
    with pytest.raises(UsageError, match=f"{folder} cannot be the state folder") as refused:
        prepare_state_folder(folder)
    assert "--state-dir" in refused.value.hint
    assert mode(folder) == 0o755
    folder.chmod(0o700)  # it is private already
    assert prepare_state_folder(folder) == folder


@root_only
def test_the_state_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(0o700)
    (folder / "ledger.db").touch()
    os.chown(folder, 54321, -1)
    with pytest.raises(UsageError, match=f"the state folder {folder} belongs to uid 54321"):
        prepare_state_folder(folder)


def test_a_file_is_not_a_state_folder(file: Path) -> None:
    with pytest.raises(UsageError, match="cannot be created: File exists"):
        prepare_state_folder(file)
