"""Who may change a file, and the folder that only this user may read: the state folder."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from orchestrator.errors import UsageError

# The names in a state folder; a folder with none of them is not one.
_OURS = frozenset({"ledger.db", "locks", "proxy", "store", "secrets", "models", "checkouts"})
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
# The system's folders for everybody, which belong to root, or in some containers to nobody.
_SHARED = frozenset(map(Path, ("/tmp", "/var/tmp", "/dev/shm")))
_HINT = "use --state-dir with a folder that only deployctl uses"


def prepare_state_folder(folder: Path) -> Path:
    """Creates the state folder, or makes an existing one private; returns its path without links.

    It holds the values of secrets and the files of the proxy, so only its owner may read it.

    Raises:
        UsageError: it cannot be created, belongs to another user, or holds the files of something else.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = folder.resolve()
        status = folder.stat()
        if status.st_uid != os.geteuid():
            raise UsageError(
                f"the state folder {folder} belongs to {_user(status.st_uid)}",
                why="its owner can replace files in it while deployctl writes them",
                hint=f"run the command as {_user(status.st_uid)}, or {_HINT}",
            )
        if status.st_mode & _OTHERS and _writable(folder):
            names = {entry.name for entry in folder.iterdir()}
            if names and not names & _OURS:
                raise UsageError(
                    f"{folder} cannot be the state folder",
                    why="it has files of other programs, and only its owner could read it afterwards",
                    hint=_HINT,
                )
            folder.chmod(0o700)
    except OSError as error:
        raise UsageError(
            f"the state folder {folder} cannot be created",
            why=str(error.strerror),
            hint="use --state-dir, or run the command as root",
        ) from error
    return folder


def writers(path: Path) -> str | None:
    """Who besides root and this user can change a file, or replace it; None when nobody can.

    Follows links, and checks every folder above the file. In a folder with the sticky bit, such as /tmp, others cannot
    replace what is not theirs. A group whose only member is the owner of the file does not count.

    Raises:
        OSError: there is no such file, or a folder above it cannot be read.
    """
    real, named = path.resolve(strict=True), path.absolute()
    for link in (named, *named.parents):
        if link not in _SHARED and (owner := link.lstat().st_uid) not in (0, os.geteuid()):
            return f"{link} belongs to {_user(owner)}"
    for place in dict.fromkeys((*named.parents, real, *real.parents)):
        status = place.stat()
        if place in _SHARED and status.st_mode & stat.S_ISVTX:
            continue
        if status.st_uid not in (0, os.geteuid()):
            return f"{place} belongs to {_user(status.st_uid)}"
        if place != real and status.st_mode & stat.S_ISVTX:
            continue
        if status.st_mode & stat.S_IWOTH:
            return f"every user can write to {place}"
        if status.st_mode & stat.S_IWGRP and not _alone(status.st_gid, status.st_uid):
            return f"the group {_group(status.st_gid)} can write to {place}"
    return None


def _writable(folder: Path) -> bool:
    return not os.statvfs(folder).f_flag & os.ST_RDONLY


def _alone(group: int, user: int) -> bool:
    """Whether a group has no other members than a user (and root): the usual group of one user, or that of root."""
    try:
        known, name = grp.getgrgid(group), pwd.getpwuid(user).pw_name
    except KeyError:
        return False
    return known.gr_name in (name, "root") and not set(known.gr_mem) - {name, "root"}


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return f"gid {number}"
