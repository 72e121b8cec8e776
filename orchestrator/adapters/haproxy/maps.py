"""Replaces all entries of a map atomically.

A worker gets them as another version of the map, which is then committed: requests meet the old entries or the new
ones. Protocol: HAProxy Management Guide 2.6, section 9.3 (`prepare map`, `add map @VERSION`, `commit map`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from orchestrator.adapters.haproxy import rows
from orchestrator.adapters.haproxy.masters import PATIENCE, Masters, Worker
from orchestrator.errors import ProxyError

# The answer to `prepare map`.
_VERSION = re.compile(r"New version created: (\d+)")


def replace_entries(masters: Masters, file: str, entries: Mapping[str, str]) -> None:
    """Replaces all entries of a map in every worker, and confirms it with every worker. May be repeated.

    A version that a crash leaves without its commit has no effect, and the next commit removes it.

    Raises:
        ProxyError: a worker reports other entries.
    """
    end = time.monotonic() + PATIENCE
    waiting = masters.workers()
    while waiting:
        # All get them first, so that the workers commit as soon after each other as possible.
        versions = {worker: _offer(masters, worker, file, entries) for worker in waiting}
        for worker, version in versions.items():
            if version is not None:
                masters.tell(worker, f"commit map @{version} {file}")
        # Read the list again: a worker that ends does not answer, and one that has just started read the old file.
        reported = {
            each: rows.entries(masters.tell(each, f"show map {file}").splitlines()) for each in masters.workers()
        }
        waiting = [worker for worker, current in reported.items() if current != entries]
        if waiting and time.monotonic() > end:
            raise _not_replaced(entries, waiting[0], reported[waiting[0]])
        if waiting:
            time.sleep(0.02)


def _offer(masters: Masters, worker: Worker, file: str, entries: Mapping[str, str]) -> str | None:
    """Gives a worker another version of a map; its number, or None when the worker does not have all of it."""
    found = _VERSION.search(masters.tell(worker, f"prepare map {file}"))
    if found is None:
        return None
    adding = [f"add map @{found[1]} {file} {key} {value}" for key, value in entries.items()]
    answers = masters.tell_all(worker, [*adding, f"show map @{found[1]} {file}"])
    return found[1] if rows.entries(answers[-1]) == entries else None


def _not_replaced(entries: Mapping[str, str], worker: Worker, current: Mapping[str, str]) -> ProxyError:
    """Names the first entry that a worker has otherwise."""
    key = next(key for key in sorted({*entries, *current}) if entries.get(key) != current.get(key))
    return ProxyError(
        f"the proxy did not set {key} to {entries.get(key) or 'none'}",
        why=f"worker {worker}: {current.get(key) or 'none'}",
        hint="deployctl doctor",
    )
