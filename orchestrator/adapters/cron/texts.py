"""What a schedule consists of: a file for cron.d, an entry of a crontab, a service and a timer. Pure."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from collections.abc import Mapping, Sequence

from orchestrator.domain.watch.schedule import Job, cron_fields
from orchestrator.errors import UsageError

WRITTEN = "# Written by 'deployctl watchdog install'; 'deployctl watchdog uninstall' takes it away."
# cron refuses what is longer, or cuts it off.
_LONGEST = 990


def name(app: str) -> str:
    """What the schedule of an app is called. cron ignores files with a dot in their name: there is none."""
    return f"deployctl-{app}"


def arguments(program: Sequence[str], job: Job) -> tuple[str, ...]:
    """The words of the command that makes one pass.

    Raises:
        UsageError: one of them cannot be written into a line.
    """
    words = (*program, "--state-dir", job.state_dir, "-f", job.file, "watchdog", "run")
    for word in words:
        one_line("the path", word)
    return words


def one_line(what: str, text: str) -> None:
    """Refuses what would begin a new line, or end one, in a file of lines.

    Raises:
        UsageError: there is a control character, or what is no Unicode.
    """
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", text):
        raise UsageError(
            f"{what} {text!a} cannot be written into a schedule",
            why="it has a line break or another control character, or is not UTF-8",
            hint="rename it",
        )


def quote(word: str) -> str:
    """A word for /bin/sh. A # stands in quotes of its own, so that nobody takes it for a comment."""
    return shlex.quote(word).replace("#", "'\"#\"'")


def marker(job: Job, program: str) -> str:
    """The comment that says whose a schedule is."""
    facts = {"state_dir": job.state_dir, "file": job.file, "program": program}
    return f"# {name(job.app)} {json.dumps(facts)}"


def read_marker(app: str, line: str) -> dict[str, str] | None:
    """What `marker` has written; None when the line is no marker of this app."""
    head = f"# {name(app)} "
    if not line.startswith(head):
        return None
    try:
        found = json.loads(line[len(head) :])
    except ValueError:
        return None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else None


def cron_command(words: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """A command as cron wants it, where a % would end it. An environment goes in front.

    Raises:
        UsageError: it is longer than cron takes.
    """
    front = ["/usr/bin/env", *(f"{key}={value}" for key, value in environment.items())] if environment else []
    text = " ".join(quote(word) for word in (*front, *words)).replace("%", "\\%")
    return _short("the command", text)


def cron_file(job: Job, words: Sequence[str], environment: Mapping[str, str], user: str) -> str:
    """The file in /etc/cron.d."""
    lines = [WRITTEN, marker(job, words[0]), "SHELL=/bin/sh"]
    lines += [_assign(key, value) for key, value in environment.items()]
    lines.append(f"{cron_fields(job.every)} {user} {cron_command(words)}")
    return "\n".join(lines) + "\n"


def crontab_entry(job: Job, words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Two lines of a crontab. Its variables would reach the entries below, so they stand in the command."""
    return [marker(job, words[0]), f"{cron_fields(job.every)} {cron_command(words, environment)}"]


def service(job: Job, words: Sequence[str], environment: Mapping[str, str], *, system: bool) -> str:
    """The unit that makes one pass. That another command holds the app's lock (75) is no failure."""
    after = ["After=docker.service"] if system else []
    variables = [f"Environment={_unit_word(f'{key}={value}', expands=False)}" for key, value in environment.items()]
    # In the first word, the program's path, systemd knows no variables.
    command = [_unit_word(words[0], expands=False), *(_unit_word(word, expands=True) for word in words[1:])]
    lines = [
        WRITTEN,
        marker(job, words[0]),
        "[Unit]",
        f"Description=One pass of deployctl's watchdog over {job.app}",
        *after,
        "",
        "[Service]",
        "Type=oneshot",
        *variables,
        f"ExecStart={' '.join(command)}",
        "SuccessExitStatus=75",
    ]
    return "\n".join(lines) + "\n"


def timer(job: Job) -> str:
    """The unit that starts the service: once at once, then again so long after each start."""
    lines = [
        WRITTEN,
        "[Unit]",
        f"Description=deployctl's watchdog over {job.app}",
        "",
        "[Timer]",
        "OnActiveSec=1s",
        f"OnUnitActiveSec={job.every}s",
        "AccuracySec=1s",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def read_timer(text: str) -> int | None:
    """The seconds that `timer` has written; None when somebody has written something else."""
    found = re.search(r"^OnUnitActiveSec=([0-9]+)s$", text, re.MULTILINE)
    return int(found[1]) if found else None


def splice(text: str, app: str, entry: Sequence[str] | None) -> str:
    """A crontab with our entry new (None: without it). Every other line stays as it is.

    Raises:
        UsageError: our mark stands over a line that is not ours.
    """
    lines = text.split("\n")
    at = next((n for n, line in enumerate(lines) if read_marker(app, line) is not None), None)
    if at is None:
        if entry is None:
            return text
        return text + ("\n" if text and not text.endswith("\n") else "") + "\n".join(entry) + "\n"
    after = at + 1
    if after < len(lines) and lines[after].strip():
        if "watchdog run" not in lines[after]:
            raise UsageError(
                f"the crontab has changed: the line under '# {name(app)} …' is not deployctl's",
                hint="mend it with 'crontab -e': delete that comment, and the line that it belonged to",
            )
        after += 1
    return "\n".join([*lines[:at], *(entry or ()), *lines[after:]])


def entry_lines(text: str, app: str) -> tuple[dict[str, str], str] | None:
    """What our mark says and the line that goes with it, in a crontab or a file of cron.d; None when there is none."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        facts = read_marker(app, line)
        if facts is not None:
            below = itertools.takewhile(lambda found: not found.startswith("# deployctl-"), lines[number + 1 :])
            return facts, next((found for found in below if "watchdog run" in found), "")
    return None


def _assign(key: str, value: str) -> str:
    """A variable in a file of cron, which knows quotes, and nothing inside them."""
    one_line(f"the variable {key}", value)
    if re.fullmatch(r"[A-Za-z0-9_@%+:,./-]+", value):
        return _short(key, f"{key}={value}")
    mark = '"' if '"' not in value else "'"
    if mark in value:
        raise UsageError(f"the variable {key} has both kinds of quotes", hint=f"unset {key}, or write it otherwise")
    return _short(key, f"{key}={mark}{value}{mark}")


def _unit_word(word: str, *, expands: bool) -> str:
    """A word of a unit file."""
    one_line("the value", word)
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    word = word.replace("$", "$$") if expands else word
    return word if re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", word) else f'"{word}"'


def _short(what: str, text: str) -> str:
    if len(text.encode()) > _LONGEST:
        raise UsageError(
            f"{what} is too long for cron ({len(text.encode())} bytes)",
            hint=f"cron takes {_LONGEST}: use shorter paths, or --systemd",
        )
    return text
