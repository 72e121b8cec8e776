"""The standard streams of the process. That nobody reads them, or that they cannot be written, ends no command.

A reader goes away (`| head`), a terminal is lost (ssh drops), the disk of a log is full: a deployment ends as it would
have ended, with its own exit code.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO


def prepare() -> None:
    """Opens streams that the caller has closed: else the next file that is opened would get the number of one.

    A character that stdout cannot encode is written as an escape.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, as the lower ones are open. Programs that deployctl starts need it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115, PTH123
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    with suppress(AttributeError):  # another program has replaced it
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def write(stream: TextIO, text: str, *, flush: bool = False) -> OSError | None:
    """Writes to a stream; returns the error when it cannot be written."""
    try:
        stream.write(text)
        if flush:
            stream.flush()
    except OSError as error:
        return error
    except ValueError as error:  # it is closed
        return OSError(0, str(error))
    return None


def finish() -> None:
    """Writes what the streams still hold. Python would exit with 120 if it could not do that at its end."""
    for stream in (sys.stdout, sys.stderr):
        if write(stream, "", flush=True) is not None:
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
