"""How long a rollback is expected to take. Reads only."""

from __future__ import annotations

from datetime import datetime

from orchestrator.domain.rollout.deployment import StepRecord
from orchestrator.domain.rollout.way_back import WayBack
from orchestrator.ports.services import Services

# For a rollback that was never measured: a switch takes less than a tenth of a second, the rest is the start of Python.
_SWITCH_SECONDS = 0.3
_START_SECONDS = 2.0
_RECENT = 50


def estimate(services: Services, app: str, back: WayBack) -> float | None:
    """The expected duration of a rollback in seconds, from the durations of the same steps last time; None: unknown."""
    wanted = ["register", "probe", "switch"]
    wanted += [] if back.mode == "switch" else ["start"]
    wanted += {"rebuild": ["build", "rebuild"], "pull": ["push", "pull"]}.get(back.mode, [])
    for deployment in services.ledger.deployments(app, _RECENT):
        if deployment.outcome != "succeeded" or deployment.to_version != back.version:
            continue
        if back.mode == "switch" and deployment.mode != "switch":
            continue
        durations = [duration(step) for step in services.ledger.steps(deployment.id) if step.name in wanted]
        return round(sum(durations) + _SWITCH_SECONDS / 2, 2)
    return {"switch": _SWITCH_SECONDS, "start": _START_SECONDS}.get(back.mode)


def duration(step: StepRecord) -> float:
    """How long a step took, in seconds; 0 while it runs."""
    if step.seconds is not None:
        return step.seconds
    if step.finished_at is None:
        return 0.0
    # An old ledger has no durations, and the wall clock may have been set in between.
    between = datetime.fromisoformat(step.finished_at) - datetime.fromisoformat(step.started_at)
    return max(0.0, round(between.total_seconds(), 3))
