"""The parts that all schedules share: the command of a pass, its environment, and the comment that marks it. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.domain.watch.schedule import Job
from orchestrator.errors import UsageError

WRITTEN = "# Written by 'deployctl watchdog install'; 'deployctl watchdog uninstall' removes it."
_STANDARD_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_DOCKER = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
# The command line of a pass sets these, or a pass does not need them.
_LEFT_OUT = frozenset(f"DEPLOYCTL_{end}" for end in ("FILE", "STATE_DIR", "JSON", "QUIET", "NO_COLOR"))
# Other users can read a schedule: nothing that could be a secret is written into it.
_SECRET = re.compile(r"URL|TOKEN|SECRET|PASS|KEY|CREDENTIAL")


def program(executable: str, typed: Path, runs: Callable[[Path], bool]) -> tuple[str, ...]:
    """The words of a command that starts deployctl, whatever the working directory and PATH are.

    `executable` is the path of Python, `typed` the absolute path of the program on the command line.
    """
    installed = Path(executable).parent / "deployctl"
    if runs(installed):
        return (str(installed),)
    # Links in the path are not resolved: they may lead to another installed version later.
    if typed.name == "deployctl" and runs(typed):
        return (str(typed),)
    return (executable, "-m", "orchestrator.cli.main")


def environment(
    environ: Mapping[str, str], which: Callable[[str], str | None], home: str, *, module: bool
) -> tuple[dict[str, str], list[str]]:
    """The variables of a schedule, and sentences about those that were left out.

    `module`: deployctl is started as a module, so it needs the present PYTHONPATH.
    """
    folders = [str(Path(path).parent) for path in (which("docker"), which("git")) if path and path.startswith("/")]
    front = [folder for folder in dict.fromkeys(folders) if folder not in _STANDARD_PATH and ":" not in folder]
    kept = {"PATH": ":".join([*front, *_STANDARD_PATH]), "HOME": home}
    notes = []
    for key, value in sorted(environ.items()):
        ours = key.startswith("DEPLOYCTL_") and key not in _LEFT_OUT
        if ours and _SECRET.search(key):
            instead = "notify.urls_file names a file for it" if key == "DEPLOYCTL_NOTIFY_URLS" else "use deploy.toml"
            notes.append(f"{key} is not written into the schedule, which others may read: {instead}")
        elif value and (ours or key in _DOCKER or (module and key == "PYTHONPATH")):
            kept[key] = value
    return kept, notes


def schedule_name(app: str) -> str:
    """The name of an app's schedule. It contains no dot: cron ignores files with one."""
    return f"deployctl-{app}"


def arguments(program: Sequence[str], job: Job) -> tuple[str, ...]:
    """The words of the command that runs one pass.

    Raises:
        UsageError: one of them cannot be written into one line.
    """
    words = (*program, "--state-dir", job.state_dir, "-f", job.file, "watchdog", "run")
    for word in words:
        one_line("the path", word)
    return words


def one_line(what: str, text: str) -> None:
    """Checks that text can be written into one line of a schedule.

    Raises:
        UsageError: it contains a control character, or is not UTF-8.
    """
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text):
        raise UsageError(
            f"{what} {text!a} cannot be written into a schedule",
            why="it contains a line break or another control character, or is not UTF-8",
            hint="rename it",
        )


def quote(word: str) -> str:
    """Quotes a word for /bin/sh. A # is quoted separately, so that no parser reads it as a comment."""
    return shlex.quote(word).replace("#", "'\"#\"'")


def marker(job: Job, program: str) -> str:
    """The comment that names the owner of a schedule."""
    facts = {"state_dir": job.state_dir, "file": job.file, "program": program}
    return f"# {schedule_name(job.app)} {json.dumps(facts)}"


def read_marker(app: str, line: str) -> dict[str, str] | None:
    """The facts that `marker` has written; None when the line is not a marker of this app."""
    head = f"# {schedule_name(app)} "
    if not line.startswith(head):
        return None
    try:
        facts = json.loads(line[len(head) :])
    except ValueError:
        return None
    return {str(key): str(value) for key, value in facts.items()} if isinstance(facts, dict) else None
