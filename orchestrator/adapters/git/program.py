"""Runs Git. Nothing here changes a repository's tree, index, branches, stash or configuration."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from orchestrator.frozen import frozen

QUICK = 30.0
"""Seconds that a command of Git may take."""
LONG = 600.0
"""Seconds that a checkout may take: it may be large, and submodules come from other hosts."""
NO_ANSWER = f"git did not end within {LONG / 60:.0f} minutes"
# In a hook these variables name the hook's repository, which is not the folder's.
_HOOK = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
)
# No command runs a hook, or a program that only makes Git faster or shows more.
_ALWAYS = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("log.showSignature", "false"),
    ("protocol.ext.allow", "never"),
)
# Our worktrees are complete, whatever the user has configured for theirs.
OURS = (
    *("-c", "core.sparseCheckout=false"),
    *("-c", "submodule.recurse=false"),
)


@frozen
class Done:
    """How a command of Git ended: its exit code and its output."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Its output without the last line break."""
        return os.fsdecode(self.out).removesuffix("\n")

    @property
    def words(self) -> str:
        """Git's error message, as one printable line."""
        lines = [line.strip() for line in self.err.splitlines() if line.strip()]
        lines = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
        text = "; ".join(dict.fromkeys(lines[-6:]))
        return "".join(c if c.isprintable() else " " for c in text)


def run(
    folder: Path,
    *arguments: str,
    timeout: float = QUICK,
    data: str | None = None,
    environment: dict[str, str] | None = None,
    settings: Sequence[tuple[str, str]] = (),
) -> Done | None:
    """Runs Git in a folder; None when it is not installed, or did not end within `timeout` seconds.

    `settings` override every configuration, in the submodules too.
    """
    environ = {key: value for key, value in os.environ.items() if key not in _HOOK}
    # Messages in English, no prompts; and commands that only read write nothing and wait for no lock.
    environ |= {"LC_ALL": "C", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    environ |= _settings(environ, (*_ALWAYS, *settings))
    try:
        process = subprocess.Popen(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ | (environment or {}),
            # Git refuses to run in a folder that was removed; ours may have been.
            cwd="/",
            # Ctrl-C is for us to handle, what Git starts must end with it, and ssh must not prompt at a terminal.
            start_new_session=True,
        )
    except (OSError, ValueError):
        return None
    with process:
        try:
            out, words = process.communicate(None if data is None else data.encode("utf-8", "replace"), timeout)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return None
            raise
    return Done(process.returncode, out, words.decode("utf-8", "replace"))


def _settings(environ: Mapping[str, str], settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Git's variables for settings, behind those that the environment has. Unlike with `-c`, a key may have a `=`."""
    count = environ.get("GIT_CONFIG_COUNT", "")
    begin = int(count) if count.isdecimal() else 0
    variables = {"GIT_CONFIG_COUNT": str(begin + len(settings))}
    for number, (key, value) in enumerate(settings, begin):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables
