"""What a shield has done, as `status` and `history` report it."""

from __future__ import annotations

from orchestrator.domain.traffic.shield import Shielded
from orchestrator.frozen import frozen


@frozen
class ShieldFigures:
    """Failures of a version while it was shielded: `rescued` were answered by the version `by`, `lost` were not."""

    by: str
    rescued: int
    lost: int


def figures(shield: Shielded | None) -> ShieldFigures | None:
    """The figures of a shield; None without one."""
    return None if shield is None else ShieldFigures(shield.by, shield.rescued, shield.lost)
