"""What a repository's own configuration may not do: name programs that Git then runs.

A repository may come from somewhere else, as an archive with its `.git`. What the user has configured for all
repositories (`git config --global`), on the system, or in the environment counts; of the repository's own
configuration, and of its submodules', everything counts but the keys in which it names programs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from orchestrator.adapters.git.program import run

# Sections and keys are in lower case in Git's list; what is between them is as it was written.
_FILTERS = re.compile(r"filter\..*\.(clean|smudge|process)", re.DOTALL)
_HELPERS = re.compile(r"credential\.(.*\.)?helper", re.DOTALL)
_PROGRAMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (_FILTERS, ""),
    (_HELPERS, ""),
    (re.compile(r"core\.(askpass|gitproxy)"), ""),
    (re.compile(r"core\.sshcommand"), "ssh"),
    (re.compile(r"remote\..*\.uploadpack", re.DOTALL), "git-upload-pack"),
    (re.compile(r"submodule\..*\.update", re.DOTALL), "checkout"),
    (re.compile(r"lfs\.(.*\.)?standalonetransferagent|lfs\.(customtransfer|extension)\..*", re.DOTALL), ""),
)
# What `git lfs install --local` writes: it runs the git-lfs that the user has installed.
_LFS = {
    "filter.lfs.clean": ("git-lfs clean -- %f",),
    "filter.lfs.smudge": ("git-lfs smudge -- %f", "git-lfs smudge --skip -- %f"),
    "filter.lfs.process": ("git-lfs filter-process", "git-lfs filter-process --skip"),
}

Settings = list[tuple[str, str]]


def replacements(top: Path, *, submodules: bool = False) -> Settings:
    """The settings that override every program that a repository names itself: by the user's own, or by none.

    With `submodules` also those that are named by the submodules in its tree.
    """
    settings: Settings = []
    for folder in (top, *(_submodules(top, set()) if submodules else ())):
        settings += _replacements(folder)
    return list(dict.fromkeys(settings)) if submodules else settings


def _replacements(folder: Path) -> Settings:
    done = run(folder, "config", "--list", "--show-scope", "-z")
    fields = os.fsdecode(done.out).split("\0") if done is not None and done.code == 0 else []
    users: dict[str, list[str]] = {}
    own: dict[str, str] = {}
    for scope, setting in zip(fields[::2], fields[1::2], strict=False):
        key, _, value = setting.partition("\n")
        if scope in ("local", "worktree"):
            own[key] = value
        else:
            users.setdefault(key, []).append(value)
    settings: Settings = []
    for key, value in own.items():
        neutral = next((neutral for pattern, neutral in _PROGRAMS if pattern.fullmatch(key)), None)
        if neutral is None or value in _LFS.get(key, ()):
            continue
        if key.startswith("submodule.") and not value.startswith("!"):
            continue  # not a program
        if _HELPERS.fullmatch(key):
            settings += [(key, ""), *((key, helper) for helper in users.get(key, ()))]
        else:
            settings.append((key, users[key][-1] if key in users else neutral))
        if _FILTERS.fullmatch(key) and key not in users:
            # Without its program, a filter that is required would be an error.
            settings.append((f"{key.rpartition('.')[0]}.required", "false"))
    return settings


def _submodules(top: Path, known: set[Path]) -> Iterator[Path]:
    """The submodules that are checked out below a folder, at any depth."""
    done = run(top, "ls-files", "--stage", "-z")
    rows = os.fsdecode(done.out).split("\0") if done is not None and done.code == 0 else []
    for row in rows:
        folder = top / row.partition("\t")[2]
        if row.startswith("160000 ") and folder not in known and (folder / ".git").exists():
            known.add(folder)
            yield folder
            yield from _submodules(folder, known)
