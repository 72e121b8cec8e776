"""The texts of cron's schedules: a file for cron.d, and an entry of a crontab. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from orchestrator.domain.watch.schedule import Job, cron_fields
from orchestrator.domain.watch.schedule_texts import WRITTEN, marker, one_line, quote, read_marker, schedule_name
from orchestrator.errors import HostError, UsageError

# cron refuses a longer line, or cuts it off.
_LONGEST = 990


def cron_command(words: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """A command for cron, with each % escaped, which would end it. The environment is put before the command.

    Raises:
        UsageError: the command is too long for cron.
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
    """Two lines of a crontab. Variables are part of the command: on their own they would affect other entries."""
    return [marker(job, words[0]), f"{cron_fields(job.every)} {cron_command(words, environment)}"]


def splice(text: str, app: str, entry: Sequence[str] | None) -> str:
    """A crontab with our entry replaced, added, or removed (None). Every other line stays as it is.

    Raises:
        HostError: the line below the marker was not written by deployctl.
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
            raise HostError(
                f"the crontab has changed: the line below '# {schedule_name(app)} …' is not deployctl's",
                hint="run 'crontab -e', and delete that comment and the entry that belonged to it",
            )
        after += 1
    return "\n".join([*lines[:at], *(entry or ()), *lines[after:]])


def entry_lines(text: str, app: str) -> tuple[dict[str, str], str] | None:
    """The facts of our marker and the line that belongs to it, in a crontab or a file of cron.d; None without."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        facts = read_marker(app, line)
        if facts is not None:
            below = itertools.takewhile(lambda other: not other.startswith("# deployctl-"), lines[number + 1 :])
            return facts, next((entry for entry in below if "watchdog run" in entry), "")
    return None


def _assign(key: str, value: str) -> str:
    """A variable in a file of cron, which knows quotes but no escapes."""
    one_line(f"the variable {key}", value)
    if re.fullmatch(r"[A-Za-z0-9_@%+:,./-]+", value):
        return _short(key, f"{key}={value}")
    mark = '"' if '"' not in value else "'"
    if mark in value:
        raise UsageError(f"the variable {key} contains both kinds of quotes", hint=f"unset {key}, or change it")
    return _short(key, f"{key}={mark}{value}{mark}")


def _short(what: str, text: str) -> str:
    if len(text.encode()) > _LONGEST:
        raise UsageError(
            f"{what} is too long for cron ({len(text.encode())} bytes)",
            hint=f"the limit is {_LONGEST} bytes: use shorter paths, or --systemd",
        )
    return text
