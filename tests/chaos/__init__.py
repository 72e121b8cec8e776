"""Fault injection into real engines, proxies and disks. `scripts/chaos` runs all cases, `scripts/test` some of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

FULL = os.environ.get("DEPLOYCTL_CHAOS") == "full"
Case = TypeVar("Case")


def some(cases: Sequence[Case], *chosen: int) -> list[Case]:
    """All cases in a full run, else the chosen ones."""
    return list(cases) if FULL else [cases[index] for index in chosen]
