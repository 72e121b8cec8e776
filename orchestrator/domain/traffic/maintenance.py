"""Maintenance: no version answers an app's requests, because somebody has decided so. Pure."""

from __future__ import annotations

import math
import unicodedata

from orchestrator.domain.durations import written
from orchestrator.frozen import frozen

MESSAGE = "this app is in maintenance"
"""What requests are answered with when nobody says anything else."""

LONGEST_MESSAGE = 500
"""The longest message, in characters."""

LONGEST_HOLD = 600.0
"""The longest that a request waits, in seconds."""

RETRY_AFTER = 30
"""When a client may try again, unless somebody says otherwise, in seconds."""


@frozen
class Maintenance:
    """What happens to an app's requests in maintenance.

    Each is answered with 503, `message` and Retry-After: `retry_after` seconds, at least 1. With `hold`, a request
    first waits for the end of the maintenance, for at most this many seconds; 0: it does not wait.
    """

    message: str = MESSAGE
    retry_after: int = RETRY_AFTER
    hold: float = 0.0

    def __str__(self) -> str:
        wait = f"wait for at most {written(self.hold)}, then " if self.hold else ""
        return f"requests {wait}get 503: {self.message}"


@frozen
class MaintenanceRecord:
    """A maintenance as the ledger has it: when it began (UTC in ISO 8601), and who began it."""

    maintenance: Maintenance
    since: str
    by: str


def checked_message(text: str) -> str:
    """A message without spaces around it.

    Raises:
        ValueError: it cannot be one; with the reason.
    """
    text = text.strip(" ")
    if not text:
        raise ValueError("the message is empty")
    if len(text) > LONGEST_MESSAGE:
        raise ValueError(f"the message has {len(text)} characters, at most {LONGEST_MESSAGE} are allowed")
    # Cc: control characters, line breaks among them; Cs: halves of characters, which UTF-8 does not have; Zl, Zp: line
    # breaks of Unicode; Cf: invisible ones, such as those that change the direction of writing.
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Cf", "Zl", "Zp"):
            raise ValueError(f"the message has the character U+{ord(character):04X}, which is not printed")
    return text


def checked_hold(seconds: float) -> float:
    """For how long a request may wait, in seconds.

    Raises:
        ValueError: it is too long; with the reason.
    """
    if seconds > LONGEST_HOLD:
        raise ValueError(f"requests wait for at most {LONGEST_HOLD / 60:.0f} minutes")
    return seconds


def whole_seconds(seconds: float) -> int:
    """Retry-After, which is a number of whole seconds: rounded up, at least 1."""
    return max(1, math.ceil(seconds))
