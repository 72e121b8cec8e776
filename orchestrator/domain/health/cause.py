"""Why a version is not ready. Pure."""

from __future__ import annotations

from orchestrator.frozen import frozen


@frozen
class Cause:
    """Why a version is not ready, in words that follow "because" or "why:", and what to do about it.

    `patience` is for how many seconds it must stay the same before waiting any longer is of no use; None when it may
    still pass by itself, so that only the deadline ends the wait.
    """

    why: str
    hint: str
    patience: float | None = None
