"""What Git knows of a folder. Without Git, or outside a repository, it knows nothing, and that is no error."""

from __future__ import annotations

import subprocess
from pathlib import Path

from orchestrator.core.model import GitState


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


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
