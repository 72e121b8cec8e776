"""What a recovery did. Pure."""

from __future__ import annotations

from typing import Literal

from orchestrator.frozen import frozen


@frozen
class RecoverReport:
    """What a recovery did. `repaired`, `failed`: sentences for people; `rebuilt`: apps of a rebuilt ledger."""

    app: str
    deployment: int | None
    direction: Literal["finish", "undo"] | None
    repaired: tuple[str, ...]
    failed: tuple[str, ...]
    rebuilt: tuple[str, ...] = ()
