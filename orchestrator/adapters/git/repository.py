"""Reads the state of a folder from Git. Without Git or a repository there is no state, which is not an error.

These commands do not change a tree, an index, a branch, the stash or the configuration of a repository, do not wait
for its locks, and do not run its hooks or the programs that its configuration names. Only tags are added.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from orchestrator.adapters.git.program import OURS, run
from orchestrator.adapters.git.untrusted import replacements
from orchestrator.domain.version.version import Commit
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen


@frozen
class Repository:
    """A repository's work tree: its top folder, without symlinks."""

    top: Path


class NoRepository(Exception):
    """There is no usable repository: why, and what to do. `refused`: there is one that Git refuses to read."""

    def __init__(self, why: str, hint: str = "", *, refused: bool = False) -> None:
        super().__init__(why)
        self.why, self.hint, self.refused = why, hint, refused


@frozen
class Status:
    """The commit, and the paths that differ from it, without those that Git ignores."""

    commit: str | None
    changed: tuple[str, ...]


def find(folder: Path) -> Repository:
    """The repository that a folder is in.

    Raises:
        NoRepository: there is none, or Git refuses to read it.
    """
    done = run(folder, "rev-parse", "--show-toplevel")
    if done is None:
        raise NoRepository("Git is not installed, or does not answer")
    if done.code == 0 and done.text:
        return Repository(Path(done.text))
    if "dubious ownership" in done.err:
        command = re.search(r"git config --global --add safe\.directory \S.*", done.err)
        owner = "Git refuses to read it, because another user owns it"
        raise NoRepository(f"{folder}: {owner}", command.group() if command else "", refused=True)
    raise NoRepository(f"{folder} is not in a Git repository")


def user(folder: Path) -> str | None:
    """`Name <mail>` from the configuration of Git."""
    name, mail = _identity(folder)
    if name and mail:
        return f"{name} <{mail}>"
    return name or mail or None


def commits(folder: Path, before: str, after: str) -> list[Commit] | None:
    """The commits that lead to `after` and not to `before`, newest first; None when Git fails."""
    done = run(folder, "log", "-z", "--format=%H%x1f%an <%ae>%x1f%cI%x1f%s", f"{before}..{after}", "--")
    if done is None or done.code != 0:
        return None
    text = done.out.decode("utf-8", "replace")
    return [Commit(*line.split("\x1f", 3)) for line in text.split("\0") if line]


def resolve(repository: Repository, ref: str) -> str:
    """The commit that a tag, a branch or an abbreviated hash names.

    Raises:
        UsageError: there is no such commit.
    """
    named = None
    # A ref that begins with "-" would be an option; Git does not allow such names.
    if ref and not ref.startswith("-"):
        named = run(repository.top, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if named is not None and named.code == 0 and re.fullmatch(r"[0-9a-f]{40,64}", named.text):
        return named.text
    shallow = run(repository.top, "rev-parse", "--is-shallow-repository")
    if shallow is not None and shallow.text == "true":
        raise UsageError(
            f"--ref: {ref!r} is not a commit of {repository.top}",
            why="it is a shallow clone, which contains only the newest commits",
            hint=f"git -C {repository.top} fetch --unshallow --tags",
        )
    raise UsageError(
        f"--ref: {ref!r} is not a commit of {repository.top}",
        why="no tag, branch or commit has this name",
        hint=f"git -C {repository.top} tag lists the tags; to get new ones: git fetch --tags",
    )


def status(repository: Repository, paths: Sequence[Path]) -> Status | None:
    """How the paths differ from the commit; None when Git fails."""
    done = run(
        repository.top,
        *("status", "--porcelain=v2", "--branch", "-z", "--no-renames"),
        *("--untracked-files=normal", "--ignore-submodules=none", "--"),
        *(str(path) for path in paths),
        environment={"GIT_LITERAL_PATHSPECS": "1"},
        settings=replacements(repository.top, submodules=True),
    )
    if done is None or done.code != 0:
        return None
    commit: str | None = None
    changed = []
    for line in filter(None, os.fsdecode(done.out).split("\0")):
        if line.startswith("# branch.oid "):
            oid = line.split()[2]
            commit = None if oid == "(initial)" else oid
        elif line[0] in "12u?":
            # Each kind has a fixed number of fields before the path, which may contain spaces.
            changed.append(line.split(" ", {"1": 8, "2": 9, "u": 10, "?": 1}[line[0]])[-1])
    return Status(commit, tuple(changed))


def tag(repository: Repository, name: str, commit: str, message: str, author: str) -> tuple[bool, str]:
    """Creates an annotated tag. Returns whether it was created, and why not (empty if it is already at this commit)."""
    existing = run(repository.top, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}")
    if existing is not None and existing.code == 0:
        at = run(repository.top, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}")
        if at is not None and at.text == commit:
            return False, ""
        where = f"at {at.text[:10]}" if at is not None and at.code == 0 else "at an object that is not a commit"
        return False, f"the tag already exists {where}, and is not moved"
    done = run(
        repository.top,
        *OURS,
        *("tag", "--annotate", "--no-sign", "--cleanup=whitespace", "--file=-", name, commit),
        data=message,
        environment=_tagger(repository.top, author),
    )
    if done is None:
        return False, "git is not installed, or did not end in time"
    return done.code == 0, "" if done.code == 0 else done.words


def _identity(folder: Path) -> tuple[str, str]:
    done = run(folder, "config", "--get-regexp", r"^user\.(name|email)$")
    lines = done.text.splitlines() if done is not None and done.code == 0 else []
    values = dict(line.split(" ", 1) for line in lines if " " in line)
    return values.get("user.name", ""), values.get("user.email", "")


def _tagger(folder: Path, author: str) -> dict[str, str]:
    """Git's variables for the tagger: the configured user, else the author of the version."""
    if all(_identity(folder)):
        return {}
    name, _, mail = " ".join(author.split()).partition("<")
    words = {
        "GIT_COMMITTER_NAME": name.strip() or "deployctl",
        "GIT_COMMITTER_EMAIL": mail.rstrip(">").strip() or "deployctl@localhost",
    }
    return {key: value for key, value in words.items() if key not in os.environ}
