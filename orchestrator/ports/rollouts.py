"""The rollouts of apps, as the ledger records them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.rollout.rollout import Rollout


class Rollouts(Protocol):
    """Rollouts. An app has at most one that has not ended."""

    def begin_rollout(self, rollout: Rollout) -> Rollout:
        """Records a rollout that begins; returns it with its id. Does nothing when its deployment has begun one."""

    def set_rollout(self, rollout: Rollout) -> None:
        """Writes the present state of a rollout. One that has ended is not changed any more."""

    def open_rollout(self, app: str) -> Rollout | None:
        """The rollout that has not ended."""

    def rollout(self, number: int) -> Rollout | None:
        """The rollout with this id."""

    def rollouts(self, app: str, limit: int = ...) -> list[Rollout]:
        """The newest rollouts, newest first; -1: all."""
