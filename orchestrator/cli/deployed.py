"""The output of `release` and `rollback` at their end."""

from __future__ import annotations

from orchestrator.cli.context import Context
from orchestrator.release.release import Result
from orchestrator.reports.release import BakeReport, ReleaseReport

_STATES = {"stable": "is stable", "baking": "is live and bakes", "replaced": "was live"}


def report(cli: Context, app: str, result: Result, bake: BakeReport | None = None) -> None:
    """Prints the result of a deployment; `bake` is the result of its bake, if there was one."""
    deployment = result.deployment
    ended = ReleaseReport(
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
    if cli.json:
        cli.console.report(ended)
    elif ended.deployment is None:
        cli.console.done(f"nothing to do: {ended.version} is live")
    else:
        renewed = ended.previous == ended.version
        instead = (
            " with the new configuration" if renewed else f" instead of {ended.previous}" if ended.previous else ""
        )
        state = _STATES[bake.outcome] if bake else "is live"
        cli.console.done(f"{app} {ended.version} {state}{instead}, after {ended.seconds:.1f} s")
