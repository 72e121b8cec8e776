"""One reading of the proxy's counters. Pure; separate from `comparison`, which few commands need."""

from __future__ import annotations

from typing import NamedTuple


class Sample(NamedTuple):
    """A worker's counters of a slot: requests and errors since it started, sliding mean response time in seconds."""

    requests: int
    errors: int
    mean: float
