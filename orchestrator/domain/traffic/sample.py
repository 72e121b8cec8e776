"""One reading of the edge's counters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Sample(NamedTuple):
    """What one worker of the edge has counted of a slot since it started.

    `requests` were answered, of those that were for the slot. `failures` are those of them that the slot failed, and
    `rescued` the failures that the other slot answered instead; all other failures reached clients. `times` are the
    slot's own good answers by their response times: a histogram of `latencies`.
    """

    requests: int
    failures: int
    rescued: int
    times: Mapping[str, int]
