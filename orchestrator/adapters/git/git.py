"""What Git knows of a folder. Without Git, or outside a repository, it knows nothing, and that is no error.

No command here changes a tree, an index, a branch, the stash or the configuration of a repository, waits for one of its
locks, or runs its hooks. What is added is a worktree for as long as it is needed, and tags.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain.version.version import Commit
from orchestrator.errors import DeploymentFailed, UsageError

_QUICK = 30.0
# A checkout may be large, and submodules come from elsewhere.
_LONG = 600.0
_TRIES = 3
# What a hook has in its environment names the hook's repository, which is not the folder's.
_HOOK = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
)
# A worktree of ours is whole, and nothing that the user has configured for theirs runs in it.
_OURS = (
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.sparseCheckout=false"),
    *("-c", "submodule.recurse=false"),
)


@dataclass(frozen=True)
class Repository:
    """A repository's work tree: its top folder, without symlinks."""

    top: Path


class NoRepository(Exception):
    """There is none: why, and what to do if there should be one. `refused`: there is one, and Git will not look."""

    def __init__(self, why: str, hint: str = "", *, refused: bool = False) -> None:
        super().__init__(why)
        self.why, self.hint, self.refused = why, hint, refused


@dataclass(frozen=True)
class Status:
    """The commit, and the paths that differ from it; files that Git ignores do not count."""

    commit: str | None
    changed: tuple[str, ...]


@dataclass(frozen=True)
class _Done:
    """How a command of Git ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return os.fsdecode(self.out).removesuffix("\n")

    @property
    def words(self) -> str:
        """What Git says is wrong, in one line that can be shown."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        lines = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
        text = "; ".join(dict.fromkeys(lines[-6:]))
        return "".join(c if c.isprintable() else " " for c in text)


def find(folder: Path) -> Repository:
    """The repository that a folder is in.

    Raises:
        NoRepository: in none that Git would look at.
    """
    done = _run(folder, "rev-parse", "--show-toplevel")
    if done is None:
        raise NoRepository("Git is not installed, or does not answer")
    if done.code == 0 and done.text:
        return Repository(Path(done.text))
    if "dubious ownership" in done.err:
        command = re.search(r"git config --global --add safe\.directory \S.*", done.err)
        owner = "Git does not look into it, because it belongs to somebody else"
        raise NoRepository(f"{folder}: {owner}", command.group() if command else "", refused=True)
    raise NoRepository(f"{folder} is in no Git repository")


def user(folder: Path) -> str | None:
    """`Name <mail>` as Git has it configured."""
    name, mail = _identity(folder)
    if name and mail:
        return f"{name} <{mail}>"
    return name or mail or None


def commits(folder: Path, before: str, after: str) -> list[Commit] | None:
    """The commits that lead to `after` and not to `before`, newest first; None when Git cannot tell."""
    done = _run(folder, "log", "-z", "--format=%H%x1f%an <%ae>%x1f%cI%x1f%s", f"{before}..{after}", "--")
    if done is None or done.code != 0:
        return None
    text = done.out.decode("utf-8", "replace")
    return [Commit(*line.split("\x1f", 3)) for line in text.split("\0") if line]


def resolve(repository: Repository, ref: str) -> str:
    """The commit that a tag, a branch or a commit's beginning stands for.

    Raises:
        UsageError: it stands for none.
    """
    found = None
    # What begins with "-" would be taken for an option; Git has no such names.
    if ref and not ref.startswith("-"):
        found = _run(repository.top, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    if found is not None and found.code == 0 and re.fullmatch(r"[0-9a-f]{40,64}", found.text):
        return found.text
    shallow = _run(repository.top, "rev-parse", "--is-shallow-repository")
    if shallow is not None and shallow.text == "true":
        raise UsageError(
            f"--ref: {ref!r} is no commit that {repository.top} has",
            why="it is a shallow clone: it has only the last part of the history",
            hint=f"git -C {repository.top} fetch --unshallow --tags",
        )
    raise UsageError(
        f"--ref: {ref!r} is no commit that {repository.top} has",
        why="no tag, branch or commit has this name",
        hint=f"git -C {repository.top} tag shows the tags; nothing is fetched here: git fetch --tags",
    )


def status(repository: Repository, paths: Sequence[Path]) -> Status | None:
    """How the paths differ from the commit; None when Git cannot tell."""
    done = _run(
        repository.top,
        *("status", "--porcelain=v2", "--branch", "-z", "--no-renames"),
        *("--untracked-files=normal", "--ignore-submodules=none", "--"),
        *(str(path) for path in paths),
        environment={"GIT_LITERAL_PATHSPECS": "1"},
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
            # Each kind has so many fields before the path, which may hold spaces.
            changed.append(line.split(" ", {"1": 8, "2": 9, "u": 10, "?": 1}[line[0]])[-1])
    return Status(commit, tuple(changed))


def add_worktree(repository: Repository, commit: str, place: Path) -> None:
    """Makes a worktree of a commit at `place`, submodules and all.

    Raises:
        DeploymentFailed: Git cannot give it.
    """
    made = _listed(repository.top, "add", "--quiet", "--detach", "--force", "--no-checkout", str(place), commit)
    # The files come without the lock: there may be many.
    done = _run(place, *_OURS, "reset", "--quiet", "--hard", timeout=_LONG) if made and made.code == 0 else made
    if done is None or done.code != 0:
        raise DeploymentFailed(
            f"commit {commit[:10]} cannot be fetched",
            why=done.words if done else f"git did not end within {_LONG / 60:.0f} minutes",
            hint=f"does the repository still have it? git -C {repository.top} show {commit[:10]}",
        )
    if (place / ".gitmodules").is_file():
        _add_submodules(repository, commit, place)


def _add_submodules(repository: Repository, commit: str, place: Path) -> None:
    # Without --init: that would write into the configuration of the user's repository.
    chosen = _run(repository.top, "config", "--get-all", "submodule.active")
    every = () if chosen is not None and chosen.code == 0 else ("-c", "submodule.active=.")
    done = _run(place, *_OURS, *every, "submodule", "--quiet", "update", "--recursive", timeout=_LONG)
    if done is not None and done.code == 0:
        return
    words = done.words.replace(f"{place}/", "") if done else f"git did not end within {_LONG / 60:.0f} minutes"
    named = re.search(r"submodule path '([^']*)'", words)
    which = f"submodule {named.group(1)}" if named else "submodules"
    raise DeploymentFailed(
        f"the {which} of commit {commit[:10]} cannot be fetched",
        why=words,
        hint=f"try it yourself: git -C {repository.top} submodule update --init --recursive",
    )


def forget_worktree(top: Path, place: Path) -> None:
    """Takes a worktree off the repository's list, whose folder is gone; no other one's."""
    _listed(top, "remove", "--force", "--force", str(place))


def _listed(top: Path, *arguments: str) -> _Done | None:
    """Changes the list of worktrees. Git trips over another one that is just being noted: one at a time."""
    done = None
    with _alone(top):
        for _ in range(_TRIES):  # the user's own commands know nothing of our lock
            done = _run(top, *_OURS, "worktree", *arguments, timeout=_LONG)
            if done is None or done.code == 0 or "worktrees/" not in done.words:
                break
    return done


@contextmanager
def _alone(top: Path) -> Iterator[None]:
    """Holds the kernel's lock on a repository's folder, whatever state folder a command works with."""
    found = _run(top, "rev-parse", "--git-common-dir")
    try:
        place = top / found.text if found is not None and found.code == 0 else top
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield  # there is nothing to change
        return
    try:
        end = time.monotonic() + _QUICK
        while time.monotonic() < end:  # whoever holds it for longer is stopped or hangs
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def tag(repository: Repository, name: str, commit: str, message: str, author: str) -> tuple[bool, str]:
    """Writes an annotated tag. Whether it was written, and what is wrong; nothing is, when it was there already."""
    there = _run(repository.top, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}")
    if there is not None and there.code == 0:
        at = _run(repository.top, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}")
        if at is not None and at.text == commit:
            return False, ""
        where = f"at {at.text[:10]}" if at is not None and at.code == 0 else "at something that is no commit"
        return False, f"there is such a tag already, {where}; it is not moved"
    done = _run(
        repository.top,
        *_OURS,
        *("tag", "--annotate", "--no-sign", "--cleanup=whitespace", "--file=-", name, commit),
        given=message,
        environment=_tagger(repository.top, author),
    )
    if done is None:
        return False, "git is not there, or did not end in time"
    return done.code == 0, "" if done.code == 0 else done.words


def _identity(folder: Path) -> tuple[str, str]:
    done = _run(folder, "config", "--get-regexp", r"^user\.(name|email)$")
    lines = done.text.splitlines() if done is not None and done.code == 0 else []
    found = dict(line.split(" ", 1) for line in lines if " " in line)
    return found.get("user.name", ""), found.get("user.email", "")


def _tagger(folder: Path, author: str) -> dict[str, str]:
    """Who tags: whoever Git has configured; else the version's author."""
    if all(_identity(folder)):
        return {}
    name, _, mail = " ".join(author.split()).partition("<")
    words = {
        "GIT_COMMITTER_NAME": name.strip() or "deployctl",
        "GIT_COMMITTER_EMAIL": mail.rstrip(">").strip() or "deployctl@localhost",
    }
    return {key: value for key, value in words.items() if key not in os.environ}


def _run(
    folder: Path,
    *arguments: str,
    timeout: float = _QUICK,
    given: str | None = None,
    environment: dict[str, str] | None = None,
) -> _Done | None:
    """Runs Git in a folder; None when it is not there, or did not end in time."""
    environ = {key: value for key, value in os.environ.items() if key not in _HOOK}
    # Its words in English; no questions; and a look writes nothing and waits for no lock.
    environ |= {"LC_ALL": "C", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        process = subprocess.Popen(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ | (environment or {}),
            # Ours may have been removed, and then Git refuses to work anywhere.
            cwd="/",
            # Ctrl-C is ours to handle, what Git starts must end with it, and ssh has no terminal to ask at.
            start_new_session=True,
        )
    except (OSError, ValueError):
        return None
    with process:
        try:
            out, words = process.communicate(None if given is None else given.encode("utf-8", "replace"), timeout)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return None
            raise
    return _Done(process.returncode, out, words.decode("utf-8", "replace"))
