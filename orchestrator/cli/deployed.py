"""The output of commands that change who gets the requests, at their end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orchestrator.cli.context import Context
from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.ports.services import Services
from orchestrator.release.result import Result
from orchestrator.reports.release import BakeReport, CandidateReport, HeldReport, ReleaseReport

if TYPE_CHECKING:
    # A rollback watches nothing: it need not load this.
    from orchestrator.watch.waiting import Bake

_BAKED = {"stable": ", and stable", "baking": "; its bake goes on", "replaced": ""}


def ended_as(app: str, result: Result, bake: BakeReport | None = None) -> ReleaseReport:
    """The report of a deployment; `bake` is the result of its bake, if there was one."""
    deployment = result.deployment
    return ReleaseReport(
        app=app,
        outcome="succeeded" if deployment else "nothing to do",
        version=result.version,
        previous=result.previous,
        deployment=deployment.id if deployment else None,
        kind=deployment.kind if deployment else None,
        seconds=round(result.seconds, 3),
        bake=bake,
        notes=result.notes,
    )


def report(
    cli: Context, app: str, result: Result, bake: BakeReport | None = None, rollout: Rollout | None = None
) -> None:
    """Prints the result of a deployment: with that of its bake, if there was one, and the rollout that goes on."""
    ended, deployment = replace(ended_as(app, result, bake), rollout=_candidate(rollout)), result.deployment
    if cli.json:
        cli.console.report(ended)
    elif deployment is not None and deployment.kind == "abort":
        cli.console.done(f"{app} {deployment.to_version} was aborted; {deployment.from_version} has all requests")
    else:
        say(cli, ended)


def say(cli: Context, ended: ReleaseReport) -> None:
    """Prints how a deployment has ended, for people."""
    app, bake = ended.app, ended.bake
    if ended.deployment is None:
        cli.console.done(f"nothing to do: {ended.version} is live")
    else:
        renewed = ended.previous == ended.version
        instead = (
            " with the new configuration" if renewed else f" instead of {ended.previous}" if ended.previous else ""
        )
        verb = "was" if bake and bake.outcome == "replaced" else "is"
        end = _BAKED[bake.outcome] if bake else ""
        cli.console.done(f"{app} {ended.version} {verb} live{instead}{end}, after {ended.seconds:.1f} s")


def moved(cli: Context, own: Services, app: str, result: Result, bake: BakeReport | None = None) -> None:
    """Prints how a change of the candidate has ended."""
    rollout = own.ledger.open_rollout(app)
    if rollout is None or cli.json:
        report(cli, app, result, bake, rollout)
    elif rollout.preview:
        cli.console.done(f"{app} {rollout.version} answers at its preview address; next: deployctl promote")
    else:
        stage = f"stage {rollout.stage + 1} of {len(rollout.stages)}"
        cli.console.done(f"{app} {rollout.version} gets {rollout.share / 100:g} % of the requests ({stage})")


def _candidate(rollout: Rollout | None) -> CandidateReport | None:
    if rollout is None:
        return None
    stage = 0 if rollout.preview else rollout.stage + 1
    return CandidateReport(rollout.id, rollout.version, rollout.share / 100, stage, rollout.preview)


def held(cli: Context, rollout: Rollout) -> None:
    """Prints whether a rollout is held."""
    if cli.json:
        cli.console.report(HeldReport(rollout.app, rollout.id, rollout.version, rollout.held or None))
    elif rollout.held:
        cli.console.done(f"the rollout of {rollout.version} is held by {rollout.held}; next: deployctl resume")
    else:
        cli.console.done(f"the rollout of {rollout.version} goes on")


def bake_report(bake: Bake | None) -> BakeReport | None:
    """The part of the report about a bake."""
    if bake is None:
        return None
    return BakeReport(bake.outcome, bake.until, None if bake.seconds is None else round(bake.seconds, 3))
