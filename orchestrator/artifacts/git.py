"""What Git knows of a folder. Without Git, or outside a repository, it knows nothing, and that is no error."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.core.model import Commit, GitState
from orchestrator.errors import DeploymentFailed


def look(folder: Path) -> GitState:
    """The commit, whether the folder differs from it (files that are ignored do not count), the user."""
    status = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".")
    commit: str | None = None
    dirty: bool | None = None
    if status is not None:
        lines = status.splitlines()
        heads = [line.split()[2] for line in lines if line.startswith("# branch.oid ")]
        commit = heads[0] if heads and heads[0] != "(initial)" else None
        dirty = any(not line.startswith("#") for line in lines)
    return GitState(commit, dirty, user(folder))


def user(folder: Path) -> str | None:
    """`Name <mail>` as Git has it configured."""
    text = _git(folder, "config", "--get-regexp", r"^user\.(name|email)$") or ""
    found = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
    name, mail = found.get("user.name"), found.get("user.email")
    if name and mail:
        return f"{name} <{mail}>"
    return name or mail


def commits(folder: Path, before: str, after: str) -> list[Commit] | None:
    """The commits that lead to `after` and not to `before`, newest first; None when Git cannot tell."""
    text = _git(folder, "log", "-z", "--format=%H%x1f%an <%ae>%x1f%cI%x1f%s", f"{before}..{after}", "--")
    if text is None:
        return None
    return [Commit(*line.split("\x1f", 3)) for line in text.split("\0") if line]


@contextmanager
def checkout(folder: Path, commit: str, place: Path) -> Iterator[Path]:
    """The folder as it was at a commit: in a worktree of its own at `place`, which is gone afterwards.

    The user's own tree, index and branch are not touched.

    Raises:
        DeploymentFailed: Git cannot give it.
    """
    # Git's path, not ours: the folder may be reached by a symlink.
    below = _git(folder, "rev-parse", "--show-prefix")
    if below is None:
        raise DeploymentFailed(
            f"commit {commit[:10]} cannot be fetched",
            why=f"{folder} is in no Git repository (or Git is not installed)",
            hint="put the repository back where it was",
        )
    _forget(folder, place)  # what a killed command left behind
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = _run(folder, "worktree", "add", "--detach", "--force", str(place), commit, timeout=600)
        if done is None or done.returncode != 0:
            raise DeploymentFailed(
                f"commit {commit[:10]} cannot be fetched",
                why=done.stderr.strip() if done else "git did not end within 10 minutes",
                hint=f"does the repository still have it? git -C {folder} show {commit[:10]}",
            )
        yield place / below.strip()
    finally:
        _forget(folder, place)


def _forget(folder: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    _git(folder, "worktree", "prune")


def _git(folder: Path, *arguments: str) -> str | None:
    done = _run(folder, *arguments)
    return done.stdout if done is not None and done.returncode == 0 else None


def _run(folder: Path, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
