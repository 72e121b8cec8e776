"""The record of deployments and their steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.rollout.deployment import Deployment, DeploymentCount, Outcome, PlanRecord, StepRecord


class Journal(Protocol):
    """What was done, step by step, written before it is done. See `Ledger` for what holds of all records."""

    def begin(
        self,
        plan: PlanRecord,
        *,
        actor: str,
        command: str,
        commit: str | None,
        config: dict[str, Any],
        reason: str = "",
    ) -> Deployment:
        """Opens a deployment: nothing has changed yet. An app has one open deployment at most.

        Raises:
            StorageError: another one is open, or it cannot be written.
        """

    def finish(self, deployment: int, outcome: Outcome, reason: str) -> None:
        """Ends a deployment and seals its journal. One that has ended stays as it is."""

    def plan_of(self, deployment: int) -> PlanRecord:
        """The plan that a deployment was opened with."""

    def step_started(self, deployment: int, name: str, args: dict[str, Any], *, undo: bool) -> int:
        """Records that a step begins; returns the number of the record."""

    def step_finished(self, step: int, state: str, detail: dict[str, Any], seconds: float) -> None:
        """Records how a step ended: `done` or `failed`, what it found, and how long it took."""

    def steps(self, deployment: int) -> list[StepRecord]:
        """The journal of a deployment, oldest first."""

    def open_deployment(self, app: str) -> Deployment | None:
        """The deployment that has not ended."""

    def deployment(self, app: str, deployment: int) -> Deployment | None:
        """One deployment by its id."""

    def deployments(self, app: str, limit: int = ...) -> list[Deployment]:
        """The newest `limit` deployments, newest first; -1 for all."""

    def deployment_counts(self, app: str) -> list[DeploymentCount]:
        """How many deployments have ended, by kind and outcome."""

    def placements(self, app: str) -> dict[int, tuple[str, str]]:
        """Which version each deployment put into which slot. Read even where other columns are damaged."""

    def left_by_rollback(self, app: str) -> set[str]:
        """The versions that lost the traffic by a rollback, the last time that they lost it."""
