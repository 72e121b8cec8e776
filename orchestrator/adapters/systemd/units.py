"""The units of a schedule: a service and a timer. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from orchestrator.domain.watch.schedule import Job
from orchestrator.domain.watch.schedule_texts import WRITTEN, marker, one_line


def service(job: Job, words: Sequence[str], environment: Mapping[str, str], *, system: bool) -> str:
    """The unit that runs one pass. Exit code 75 (another command holds the app's lock) is not a failure."""
    after = ["After=docker.service"] if system else []
    variables = [f"Environment={_unit_word(f'{key}={value}', expands=False)}" for key, value in environment.items()]
    # systemd expands no variables in the first word, the program's path.
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
    """The unit that starts the service: at once, then `job.every` seconds after each start."""
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
    """The interval that `timer` wrote, in seconds; None when the unit has another form."""
    interval = re.search(r"^OnUnitActiveSec=([0-9]+)s$", text, re.MULTILINE)
    return int(interval[1]) if interval else None


def _unit_word(word: str, *, expands: bool) -> str:
    """A word of a unit file, quoted and escaped where needed."""
    one_line("the value", word)
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    word = word.replace("$", "$$") if expands else word
    return word if re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", word) else f'"{word}"'
