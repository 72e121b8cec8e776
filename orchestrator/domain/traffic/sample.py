"""What the proxy's counters say at one moment. A room of its own: every switch asks, and judging it loads much more."""

from __future__ import annotations

from typing import NamedTuple


class Sample(NamedTuple):
    """One worker's counters of a slot: requests and failed ones since it started, sliding mean in seconds."""

    requests: int
    errors: int
    mean: float
