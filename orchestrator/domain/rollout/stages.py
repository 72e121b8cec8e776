"""The stages of a canary: the share that the candidate gets, and for how long. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from orchestrator.domain import durations
from orchestrator.domain.traffic.state import ALL
from orchestrator.frozen import frozen

SHARE = r"[0-9]{1,3}(\.[0-9]{1,2})?%"
"""A share as it is written. That it is less than 100% is checked apart, for a message of its own."""

DEFAULT = ("5% 5m", "25% 10m", "50% 10m")
"""The stages of a canary that names none. After the last stage of any canary the candidate gets all requests."""


@frozen
class Stage:
    """One stage: the candidate's share in hundredths of a percent (1 to 9,999), and its duration in seconds (> 0)."""

    share: int
    seconds: float

    def __post_init__(self) -> None:
        if not 0 < self.share < ALL:
            raise ValueError(f"the share must be 0.01% to 99.99%, got {self.share / 100:g}%")
        if not self.seconds > 0:
            raise ValueError("the duration must be longer than zero")

    def __str__(self) -> str:
        """The text that `parse` reads as exactly this stage: `5% 5m`."""
        return f"{self.share / 100:g}% {durations.written(self.seconds)}"


def parse(text: str) -> Stage:
    """The stage that a text such as `5% 5m` describes.

    Raises:
        ValueError: the text is not a share of 0.01 to 99.99 percent, with at most two decimals, and a duration that is
            longer than zero; with the reason.
    """
    words = text.split(" ")
    if len(text) > 100 or len(words) != 2:
        raise ValueError("expected a share and a duration with one space between them")
    share, duration = words
    if not re.fullmatch(SHARE, share):
        raise ValueError(f"expected a share such as 5% or 0.25%, with at most two decimals, got {share!r}")
    try:
        seconds = durations.parse(duration)
    except ValueError as error:
        raise ValueError(f"{error}, got {duration!r}") from None
    whole, _, decimals = share.removesuffix("%").partition(".")
    return Stage(int(whole) * 100 + int(decimals.ljust(2, "0")), seconds)


def check_rising(stages: Sequence[Stage]) -> None:
    """Checks that each stage gives the candidate more requests than the one before.

    Raises:
        ValueError: one does not; with both shares.
    """
    for before, after in pairwise(stages):
        if after.share <= before.share:
            raise ValueError(f"the shares must rise: {after.share / 100:g}% follows {before.share / 100:g}%")
