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
# What Docker, Git, the builder, credential helpers and HTTP clients read from the environment. Text, which the first
# comparison compiles: passes load this module, and compare no name.
_USED = (
    r"DOCKER_\w+|BUILDX_\w+|(HTTPS?|ALL|NO|FTP)_PROXY|(https?|all|no|ftp)_proxy|TMPDIR|TZ"
    r"|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|XDG_(CONFIG_HOME|RUNTIME_DIR)"
    r"|GIT_(SSH|SSH_COMMAND|SSL_\w+|CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|PROXY_COMMAND|ASKPASS)"
    r"|AWS_(PROFILE|(DEFAULT_)?REGION|(CONFIG|SHARED_CREDENTIALS)_FILE|ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN)"
    r"|GOOGLE_APPLICATION_CREDENTIALS|CLOUDSDK_CONFIG|AZURE_CONFIG_DIR|GNUPGHOME|PASSWORD_STORE_DIR"
)
# It leads to a process of the present session, which may end before the next pass. Git and ssh:// engines use it.
_SESSION = frozenset({"SSH_AUTH_SOCK"})
LEFT_OUT = "DEPLOYCTL_LEFT_OUT"
"""The variable of a schedule with the names of those that were set when it was installed and that it does not have."""
# The command line of a pass sets these, or a pass does not need them.
_LEFT_OUT = frozenset(f"DEPLOYCTL_{end}" for end in ("FILE", "STATE_DIR", "JSON", "QUIET", "NO_COLOR", "LEFT_OUT"))
# Other users can read a schedule: nothing that could be a secret is written into it.
_SECRET = re.compile(r"URL|TOKEN|SECRET|PASS(?!WORD_STORE_DIR)|KEY|CREDENTIAL|AUTH_CONFIG")
# These names only look like secrets: their values are the names of files and of profiles.
_HARMLESS = frozenset({"GOOGLE_APPLICATION_CREDENTIALS", "AWS_SHARED_CREDENTIALS_FILE", "GIT_SSL_KEY"})
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*@|^[^/@\s]*:[^/@\s]*@")


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

    `module`: deployctl is started as a module, so it needs the present PYTHONPATH. The names of what was left out are
    in the variable LEFT_OUT of the schedule, so that a pass can say what it lacks.
    """
    folders = [str(Path(path).parent) for path in (which("docker"), which("git")) if path and path.startswith("/")]
    front = [folder for folder in dict.fromkeys(folders) if folder not in _STANDARD_PATH and ":" not in folder]
    kept = {"PATH": ":".join([*front, *_STANDARD_PATH]), "HOME": home}
    notes, missing = [], []
    for key, value in sorted(environ.items()):
        ours = key.startswith("DEPLOYCTL_") and key not in _LEFT_OUT
        used = ours or key in _SESSION or bool(re.fullmatch(_USED, key))
        if not value or not (used or (module and key == "PYTHONPATH")):
            continue
        obstacle = _obstacle(key, value)
        if obstacle:
            notes.append(f"{key} is not written into the schedule{obstacle}")
            missing.append(key)
        else:
            kept[key] = value
    if missing:
        kept[LEFT_OUT] = ",".join(missing)
    return kept, notes


def missing_variables(environ: Mapping[str, str]) -> list[str]:
    """The variables that were set when the schedule was installed and that a pass does not have."""
    names = [name for name in environ.get(LEFT_OUT, "").split(",") if name]
    return [name for name in names if name not in environ]


def _obstacle(key: str, value: str) -> str:
    """Why a variable cannot be in a schedule and what to do instead, as the end of a sentence; empty when it can be."""
    if key == "DEPLOYCTL_NOTIFY_URLS":
        return ", which others may read: notify.urls_file names a file for it"
    if key in _SESSION:
        return ": it belongs to this login session, which passes outlive"
    proxy = key.lower().endswith("_proxy") and key.lower() != "no_proxy"
    if _SECRET.search(key) and key not in _HARMLESS:
        if key.startswith("DEPLOYCTL_"):
            return ", which others may read: use deploy.toml"
        return ", which others may read: use a file, such as the configuration of Docker or of the credential helper"
    if (proxy or key == "DOCKER_HOST") and _PASSWORD_IN_URL.search(value):
        return ", which others may read, because it contains a password: use a proxy that needs none for this machine"
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        return ": it contains a line break or another control character"
    return ""


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
