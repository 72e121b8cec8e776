"""What a shield has done. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from orchestrator.frozen import frozen


@frozen
class Shielded:
    """The shield of a live version: `rescued` of its failures were answered by the version `by`, and `lost` were not.

    `deployment` made the version live.
    """

    version: str
    by: str
    deployment: int
    rescued: int
    lost: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Shielded | None:
        """What `to_json` has made; None when it is damaged."""
        try:
            return cls(
                str(data["version"]),
                str(data["by"]),
                int(data["deployment"]),
                int(data["rescued"]),
                int(data["lost"]),
            )
        except (KeyError, TypeError, ValueError):
            return None
