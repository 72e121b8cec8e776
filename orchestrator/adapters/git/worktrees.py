"""Temporary worktrees. The worktrees, branches and hooks of the user are not changed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestrator.adapters.git.program import LONG, NO_ANSWER, OURS, QUICK, Done, run
from orchestrator.adapters.git.untrusted import Settings, replacements
from orchestrator.errors import GitError
from orchestrator.files import lock, open_folder

# Attempts to change the list of worktrees.
_TRIES = 3


def add(top: Path, commit: str, place: Path) -> None:
    """Creates a worktree of a commit at `place`, with its submodules.

    Raises:
        GitError: Git cannot provide it.
    """
    made = _listed(top, "add", "--quiet", "--detach", "--force", "--no-checkout", str(place), commit)
    settings = replacements(top)
    done = made
    if made and made.code == 0:
        # The files are written without the lock, because there may be many.
        done = run(place, *OURS, "reset", "--quiet", "--hard", timeout=LONG, settings=settings)
    if done is None or done.code != 0:
        raise GitError(
            f"commit {commit[:10]} cannot be fetched",
            why=done.words if done else NO_ANSWER,
            hint=f"check that the repository still has it: git -C {top} show {commit[:10]}",
        )
    if (place / ".gitmodules").is_file():
        _add_submodules(top, commit, place, settings)


def _add_submodules(top: Path, commit: str, place: Path, settings: Settings) -> None:
    # Without --init, which would change the configuration of the user's repository.
    chosen = run(top, "config", "--get-all", "submodule.active")
    every = () if chosen is not None and chosen.code == 0 else ("-c", "submodule.active=.")
    done = run(place, *OURS, *every, "submodule", "--quiet", "update", "--recursive", timeout=LONG, settings=settings)
    if done is not None and done.code == 0:
        return
    words = done.words.replace(f"{place}/", "") if done else NO_ANSWER
    named = re.search(r"submodule path '([^']*)'", words)
    which = f"submodule {named.group(1)}" if named else "submodules"
    raise GitError(
        f"the {which} of commit {commit[:10]} cannot be fetched",
        why=words,
        hint=f"run: git -C {top} submodule update --init --recursive",
    )


def forget(top: Path, place: Path) -> None:
    """Removes a worktree whose folder was removed from the list of the repository."""
    _listed(top, "remove", "--force", "--force", str(place))


def _listed(top: Path, *arguments: str) -> Done | None:
    """Changes the list of worktrees, one at a time: Git fails while another worktree is being added."""
    done = None
    with _alone(top):
        for _ in range(_TRIES):  # the user's own commands do not take our lock
            done = run(top, *OURS, "worktree", *arguments, timeout=LONG)
            if done is None or done.code == 0 or "worktrees/" not in done.words:
                break
    return done


@contextmanager
def _alone(top: Path) -> Iterator[None]:
    """Holds a lock on the folder of the repository, for commands of all state folders.

    Continues without the lock after `QUICK` seconds: a process that holds it longer is stopped or hangs.
    """
    common = run(top, "rev-parse", "--git-common-dir")
    try:
        descriptor = open_folder(top / common.text if common is not None and common.code == 0 else top)
    except OSError:
        yield  # the repository was removed
        return
    try:
        with suppress(OSError):  # the file system does not support locks
            lock(descriptor, wait=QUICK)
        yield
    finally:
        os.close(descriptor)
