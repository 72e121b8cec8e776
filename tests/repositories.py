"""Real Git repositories for tests, and all that can be told of one."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Runs Git as somebody."""
    who = ["-c", "user.name=Somebody", "-c", "user.email=some@body.example", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    """Commits all there is."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def dirty(folder: Path, file: str) -> None:
    """Every kind of change that a tree can have at once; `file` is one that is tracked."""
    (folder / "stashed.txt").write_text("stashed")
    git(folder, "stash", "push", "-q", "--include-untracked")
    (folder / file).write_text("being edited")
    (folder / "untracked file ü.txt").write_text("new")
    (folder / "staged.txt").write_text("staged")
    git(folder, "add", "staged.txt")
    (folder / "staged.txt").write_text("and edited again")


def fingerprint(top: Path) -> dict[str, str]:
    """Every file of a repository, in the tree and in .git (index, configuration, refs), and what Git says of it."""
    asked = (("status", "--porcelain=v2"), ("stash", "list"), ("worktree", "list"), ("branch", "-a"))
    said = {" ".join(words): git(top, "--no-optional-locks", *words) for words in asked}
    files = {
        str(path.relative_to(top)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in top.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    return {**said, **files}


def worktrees(top: Path) -> list[str]:
    """The worktrees that are registered, beside the repository's own."""
    return git(top, "worktree", "list").splitlines()[1:] + [str(path) for path in top.glob(".git/worktrees/*")]
