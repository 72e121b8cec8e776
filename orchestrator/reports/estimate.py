"""How long a rollback is expected to take. Reads only."""

from __future__ import annotations

from datetime import datetime

from orchestrator.domain.rollout.deployment import StepRecord
from orchestrator.domain.rollout.way_back import WayBack
from orchestrator.ports.services import Services

# For a switch that was never measured: it takes less than a tenth of a second, the rest is the start of Python.
_SWITCH_SECONDS = 0.3
_RECENT = 50


def estimate(services: Services, app: str, back: WayBack) -> float | None:
    """The expected duration of a rollback in seconds, from the last time that the version came in this way, in a
    drill as well; None: unknown.

    A switch to a warm version says nothing about a start, which loads the model, and a start nothing about a build.
    """
    if back.mode == "gone":
        return None
    wanted = {"register", "probe", "switch"} | (set() if back.mode == "switch" else {"start"})
    extra = {"rebuild": {"build", "rebuild"}, "pull": {"pull"}}.get(back.mode, set())
    for deployment in services.ledger.deployments(app, _RECENT):
        if deployment.outcome != "succeeded" or deployment.to_version != back.version:
            continue
        if (back.mode == "switch") != (deployment.mode == "switch"):
            continue
        steps = [step for step in services.ledger.steps(deployment.id) if not step.undo]
        if extra and not any(step.name in extra for step in steps):
            continue
        return round(sum(duration(step) for step in steps if step.name in wanted | extra) + _SWITCH_SECONDS / 2, 2)
    return _SWITCH_SECONDS if back.mode == "switch" else None


def duration(step: StepRecord) -> float:
    """How long a step took, in seconds; 0 while it runs."""
    if step.seconds is not None:
        return step.seconds
    if step.finished_at is None:
        return 0.0
    # An old ledger has no durations, and the wall clock may have been set in between.
    between = datetime.fromisoformat(step.finished_at) - datetime.fromisoformat(step.started_at)
    return max(0.0, round(between.total_seconds(), 3))
