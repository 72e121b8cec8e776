"""The record of deployments and their steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.rollout.deployment import Deployment, DeploymentCount, Outcome, PlanRecord, StepRecord


class Journal(Protocol):
    """Deployments and their steps, each recorded before it is carried out. See `Ledger` for what all records share."""

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
        """Opens a deployment, before anything is changed. An app has at most one open deployment.

        Raises:
            StorageError: another one is open, or the record cannot be written.
        """

    def finish(self, deployment: int, outcome: Outcome, reason: str) -> None:
        """Ends a deployment and seals its journal. A deployment that has ended is not changed."""

    def plan_of(self, deployment: int) -> PlanRecord:
        """The plan that a deployment was opened with."""

    def step_started(self, deployment: int, name: str, args: dict[str, Any], *, undo: bool) -> int:
        """Records that a step begins; returns the number of the record."""

    def step_finished(self, step: int, state: str, detail: dict[str, Any], seconds: float) -> None:
        """Records how a step ended: `done` or `failed`, its result, and how long it took in seconds."""

    def steps(self, deployment: int) -> list[StepRecord]:
        """The journal of a deployment, oldest first."""

    def open_deployment(self, app: str) -> Deployment | None:
        """The deployment that has not ended; None without one."""

    def deployment(self, app: str, deployment: int) -> Deployment | None:
        """One deployment by its id; None when the app has none with this id."""

    def deployments(self, app: str, limit: int = ...) -> list[Deployment]:
        """The newest `limit` deployments, newest first; -1 for all."""

    def deployment_counts(self, app: str) -> list[DeploymentCount]:
        """How many deployments have ended, by kind and outcome."""

    def placements(self, app: str) -> dict[int, tuple[str, str]]:
        """The version and the slot of each deployment. Works even when other columns are damaged."""

    def left_by_rollback(self, app: str) -> set[str]:
        """The versions whose traffic was last taken by a rollback, not by a release."""
