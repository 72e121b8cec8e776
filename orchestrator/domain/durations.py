"""Durations as they are written in texts: "500ms", "1m30s". Pure."""

from __future__ import annotations

import re
from decimal import Decimal

PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$"
LONGEST = 30 * 86400.0
"""The longest duration, in seconds."""

_SHORTEST = 0.001
_SECONDS = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}


def parse(text: str) -> float:
    """`1m30s` in seconds: 0, or from 1 millisecond to 30 days.

    Raises:
        ValueError: the text is not a duration, or one out of this range; the reason does not quote it.
    """
    # Not `match`: a $ also matches before a line break at the end.
    if len(text) > 64 or not re.fullmatch(PATTERN, text):
        raise ValueError("expected a duration")
    pairs = re.findall(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)", text)
    return in_range(float(sum(Decimal(number) * _SECONDS[unit] for number, unit in pairs)))


def in_range(seconds: float) -> float:
    """`seconds`, if that is 0, or from 1 millisecond to 30 days.

    Raises:
        ValueError: it is not; with the reason.
    """
    if not 0 <= seconds <= LONGEST:
        raise ValueError("must be at most 30d")
    if 0 < seconds < _SHORTEST:
        raise ValueError("must be at least 1ms")
    return seconds


def written(seconds: float) -> str:
    """`5m` for 300 seconds: the text that `parse` reads as exactly this duration, in one unit."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return repr(float(seconds)).removesuffix(".0") + "s"
