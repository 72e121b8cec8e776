"""The plan of a release or a rollback. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from orchestrator.config import Config
from orchestrator.domain.rollout.deployment import Kind
from orchestrator.domain.rollout.fit import Fit, GpuFit, MemoryFit, Verdict
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version.manifest import Manifest
from orchestrator.domain.version.version import Version
from orchestrator.errors import OperationFailed, UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.observe import observe
from orchestrator.release.plans import plan_abort
from orchestrator.release.preparation import PreparedRelease, prepare_release
from orchestrator.release.rollback_preparation import prepare_rollback, rollback_way
from orchestrator.reports.diff import DiffReport, upcoming
from orchestrator.reports.estimate import estimate
from orchestrator.reports.history import interrupted
from orchestrator.supply.source import opened


@frozen
class PlannedStep:
    """One step of a plan: its name, its arguments, and what it does in one line."""

    name: str
    args: Mapping[str, Any]
    description: str


@frozen
class FitReport:
    """Whether a release fits into the memory: `fits`, `tight`, `refused` (`why`, `advice`) or `unknown`.

    `memory` is null when the machine is not known, `gpu` empty for a version without GPUs.
    """

    memory: MemoryFit | None
    gpu: tuple[GpuFit, ...]
    verdict: Verdict
    why: str
    advice: str


@frozen
class PlanReport:
    """What a release or a rollback would do. `estimate_seconds` is for a rollback; without `changes`, `steps` is empty.

    `mode`: `create` (new containers), `start` (kept ones) or `switch` (warm ones). `diff` compares what is live with
    what would be; None when nothing is live or changes, or when the files of a version are not known. `fit` is None for
    a rollback, and when nothing changes.
    """

    app: str
    kind: Kind
    from_: str | None
    to: str
    from_slot: Slot | None
    to_slot: Slot
    mode: str
    changes: bool
    estimate_seconds: float | None
    steps: tuple[PlannedStep, ...]
    notes: tuple[str, ...]
    diff: DiffReport | None = None
    fit: FitReport | None = None


def preview(
    services: Services, config: Config, action: str, version: str | None, *, ref: str | None, image: str | None = None
) -> PlanReport:
    """Plans `action`, a release or a rollback, without carrying it out.

    Raises:
        UsageError: there is no such action, or it cannot be carried out.
    """
    if action not in ("release", "rollback"):
        raise UsageError(
            f"invalid action {action!r}", hint="use release or rollback, for example: deployctl plan rollback"
        )
    option = "--ref" if ref is not None else "--image" if image is not None else ""
    if action == "rollback" and option:
        raise UsageError(
            f"{option} cannot be used with a rollback", hint=f"run it without {option}: deployctl plan rollback"
        )
    observed = observe(services, config.app.name)
    first = _first(services, config.app.name)
    if action == "rollback":
        report = _rollback(services, config, observed, version)
    else:
        with opened(services, config, ref, image, again=observed.versions.get(version or "")) as source:
            prepared = prepare_release(services, source, version, observed)
        report = plan_report(prepared.plan, changes=prepared.changes, diff=release_diff(services, prepared))
        report = replace(report, fit=_fit_report(prepared.fit) if prepared.changes else None)
    return replace(report, notes=(*first, *report.notes))


def _fit_report(fit: Fit) -> FitReport:
    return FitReport(fit.memory, fit.gpu, fit.verdict, fit.why, fit.advice)


def _first(services: Services, app: str) -> tuple[str, ...]:
    """A note about an open deployment, whose end can change the plan."""
    deployment = services.ledger.open_deployment(app)
    if deployment is None:
        return ()
    name = f"deployment {deployment.id}, the {deployment.kind} to {deployment.to_version}"
    if interrupted(services, deployment):
        return (f"{name}, was interrupted: the next command finishes or undoes it first, which can change this plan",)
    return (f"{name}, is in progress; this plan can change when it ends",)


def release_diff(services: Services, prepared: PreparedRelease) -> DiffReport | None:
    """What a release changes; None when nothing is live or changes, or when the files of a version are not known."""
    draft = prepared.draft
    if not prepared.changes or not draft.complete:
        return None
    return _diff(services, prepared.config, prepared.plan.from_version, draft.version, draft.manifest)


def _diff(
    services: Services, config: Config, live: str | None, version: Version, manifest: Manifest | None
) -> DiffReport | None:
    if live is None or manifest is None:
        return None
    try:
        return upcoming(services, config, live, version, manifest)
    except (OperationFailed, UsageError):
        return None  # `verify` reports what is wrong with the records; a plan does not depend on them


def _rollback(services: Services, config: Config, observed: Observed, version: str | None) -> PlanReport:
    rollout = services.ledger.open_rollout(observed.app)
    if rollout is not None:
        report = plan_report(plan_abort(observed, rollout))
        if version in (None, rollout.old):
            return report
        return replace(report, notes=(f"after that, the rollback to {version} is planned",))
    back = rollback_way(observed, version)
    prepared = prepare_rollback(services, config, observed, back)
    target = replace(observed.versions[back.version], settings=prepared.config.snapshot())
    diff = _diff(services, prepared.config, prepared.plan.from_version, target, _manifest(services, target))
    return plan_report(prepared.plan, seconds=estimate(services, observed.app, back), diff=diff)


def _manifest(services: Services, version: Version) -> Manifest | None:
    try:
        return services.manifests.load(version.manifest)
    except OperationFailed:
        return None


def plan_report(
    plan: Plan, *, changes: bool = True, seconds: float | None = None, diff: DiffReport | None = None
) -> PlanReport:
    """A plan as a report; `changes` is false when there is nothing to do, `seconds` is the estimate of a rollback."""
    steps = tuple(PlannedStep(step.name, step.args, step.words) for step in plan.steps) if changes else ()
    return PlanReport(
        app=plan.app,
        kind=plan.kind,
        from_=plan.from_version,
        to=plan.to_version,
        from_slot=plan.from_slot,
        to_slot=plan.to_slot,
        mode=plan.mode,
        changes=changes,
        estimate_seconds=seconds,
        steps=steps,
        notes=plan.notes,
        diff=diff,
    )
