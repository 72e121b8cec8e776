"""What the edge reports of the endpoints of a slot. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EndpointHealth:
    """One replica, as the edge's own checks see it. `status` is the edge's own word for it, for people."""

    index: int
    up: bool
    status: str
