"""Computes digests of files, optionally while copying them."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from orchestrator.errors import UsageError
from orchestrator.files import open_regular

CHUNK = 1 << 20
"""How much of a file is read at once, in bytes."""
_TRIES = 3
# Seconds; two changes within one tick of the kernel's clock (at most 10 ms) leave the same times on a file.
_TICK = 0.02


def digest(
    source: Path, copy: IO[bytes] | None = None, stopped: Callable[[], bool] = lambda: False
) -> tuple[str, os.stat_result, int]:
    """Reads a file once. Returns its SHA-256 in hex, its status, and when it was read (nanoseconds since the epoch).

    `copy` receives the content. `stopped` is called for each chunk; if it returns True, reading stops.
    Memory: one chunk.

    Raises:
        OSError: the file cannot be read, or the copy cannot be written; `InterruptedError` when it was stopped.
        UsageError: the file changes while it is read.
    """
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    for _ in range(_TRIES):
        with os.fdopen(open_regular(source), "rb", buffering=0) as file:
            _let_tick_pass(os.fstat(file.fileno()))
            read_at = time.time_ns()
            before = os.fstat(file.fileno())
            if copy is not None:
                copy.seek(0)
                copy.truncate()
            total = hashlib.sha256()
            count = 0
            while size := file.readinto(buffer):
                if stopped():
                    raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR), str(source))
                total.update(view[:size])
                count += size
                if copy is not None:
                    _write(copy, view[:size])
            after = os.fstat(file.fileno())
        same = (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
            after.st_size,
            after.st_mtime_ns,
            after.st_ctime_ns,
        )
        if same and count == before.st_size:
            return total.hexdigest(), before, read_at
    raise UsageError(
        f"{source} changes while it is read",
        why=f"it changed during each of {_TRIES} attempts",
        hint="let the program that writes it finish, or add the file to .dockerignore; then release again",
    )


def _let_tick_pass(status: os.stat_result) -> None:
    """Waits until another change would change the times of the file."""
    age = time.time() - status.st_ctime_ns / 1e9
    if 0 <= age < _TICK:
        time.sleep(_TICK - age)


def _write(copy: IO[bytes], data: memoryview) -> None:
    while data:
        data = data[copy.write(data) :]
