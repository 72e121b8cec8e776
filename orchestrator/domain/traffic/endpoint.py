"""The health of a slot's endpoints, as the edge reports it. Pure."""

from __future__ import annotations

from orchestrator.frozen import frozen


@frozen
class EndpointHealth:
    """The result of the edge's own health checks of one replica. `status` is the edge's term for it, for messages.

    `address` is where the edge sends the replica's requests now, as `address:port`; empty when it sends none there.
    """

    index: int
    up: bool
    status: str
    address: str = ""
