"""The history: rollouts, and deployments with their steps, newest first. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from orchestrator.domain.rollout.deployment import Deployment, Kind, Outcome, StepRecord
from orchestrator.domain.traffic.shield import Shielded
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.shields import recorded_shields
from orchestrator.reports.estimate import duration
from orchestrator.reports.rollout import RolloutRecord, rollout_record
from orchestrator.reports.shield import ShieldFigures, figures


@frozen
class StepReport:
    """One step of a deployment's journal. The fields of `detail` depend on the step."""

    name: str
    undo: bool
    state: Literal["started", "done", "failed"]
    started_at: str
    finished_at: str | None
    seconds: float
    detail: Mapping[str, Any]


@frozen
class DeploymentSummary:
    """A deployment without its journal. `seconds` is the sum of its steps' durations.

    `outcome` is None while it is open; then `interrupted` says whether the command that carried it out has died.
    `from_image` is the image that the version was made from; None when it was built here.
    """

    id: int
    kind: Kind
    from_: str | None
    to: str
    actor: str
    command: str
    started_at: str
    finished_at: str | None
    outcome: Outcome | None
    interrupted: bool
    reason: str
    git_commit: str | None
    from_image: str | None
    seconds: float


@frozen
class DeploymentReport(DeploymentSummary):
    """A deployment with its journal.

    `shield` is that of the version which it made live; None when there was none, when it has not ended, or when that
    version has failed no request.
    """

    steps: tuple[StepReport, ...]
    shield: ShieldFigures | None = None


@frozen
class HistoryReport:
    """The deployments and the rollouts of an app, newest first."""

    app: str
    deployments: tuple[DeploymentReport, ...]
    rollouts: tuple[RolloutRecord, ...] = ()


def history(services: Services, app: str, limit: int) -> HistoryReport:
    """The newest `limit` deployments of an app, and its newest `limit` rollouts."""
    shields = recorded_shields(services, app)
    return HistoryReport(
        app,
        tuple(_report(services, each, shields.get(each.id)) for each in services.ledger.deployments(app, limit)),
        tuple(rollout_record(services, each) for each in services.ledger.rollouts(app, limit)),
    )


def summary(services: Services, deployment: Deployment) -> DeploymentSummary:
    """One deployment without its journal."""
    return DeploymentSummary(**_facts(services, deployment, services.ledger.steps(deployment.id)))


def interrupted(services: Services, deployment: Deployment) -> bool:
    """Whether a deployment is open, and no command works on it any more."""
    return deployment.outcome is None and services.locks.holder(deployment.app) is None


def _report(services: Services, deployment: Deployment, shield: Shielded | None) -> DeploymentReport:
    steps = services.ledger.steps(deployment.id)
    return DeploymentReport(
        **_facts(services, deployment, steps),
        steps=tuple(_step(step) for step in steps),
        shield=figures(shield),
    )


def _from_image(services: Services, deployment: Deployment, steps: list[StepRecord]) -> str | None:
    # An earlier attempt may have had another image than the version has now.
    for step in steps:
        if step.name == "adopt":
            return str(step.detail.get("from", step.args["reference"]))
    if any(step.name == "build" for step in steps):
        return None
    return services.ledger.from_image(deployment.app, deployment.to_version)


def _facts(services: Services, deployment: Deployment, steps: list[StepRecord]) -> dict[str, Any]:
    return {
        "id": deployment.id,
        "kind": deployment.kind,
        "from_": deployment.from_version,
        "to": deployment.to_version,
        "actor": deployment.actor,
        "command": deployment.command,
        "started_at": deployment.started_at,
        "finished_at": deployment.finished_at,
        "outcome": deployment.outcome,
        "interrupted": interrupted(services, deployment),
        "reason": deployment.reason,
        "git_commit": deployment.git_commit,
        "from_image": _from_image(services, deployment, steps),
        "seconds": round(sum(duration(step) for step in steps), 3),
    }


def _step(step: StepRecord) -> StepReport:
    return StepReport(
        name=step.name,
        undo=step.undo,
        state=step.state,
        started_at=step.started_at,
        finished_at=step.finished_at,
        seconds=duration(step),
        detail={name: value for name, value in step.detail.items() if name != "log"},
    )
