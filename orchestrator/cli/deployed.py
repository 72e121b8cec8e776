"""What `release` and `rollback` print at their end."""

from __future__ import annotations

from typing import Any

from orchestrator.cli.context import Context
from orchestrator.release.release import Result

_STATES = {"stable": "is stable", "baking": "is live and bakes", "replaced": "was live"}


def report(cli: Context, app: str, result: Result, bake: dict[str, Any] | None = None) -> None:
    """Prints how a deployment ended; `bake` says how its bake ended, if there was one."""
    deployment = result.deployment
    if cli.json:
        cli.console.data(
            {
                "schema_version": 1,
                "app": app,
                "outcome": "succeeded" if deployment else "nothing to do",
                "version": result.version,
                "previous": result.previous,
                "deployment": deployment.id if deployment else None,
                "kind": deployment.kind if deployment else None,
                "seconds": round(result.seconds, 3),
                "bake": bake,
                "notes": list(result.notes),
            }
        )
    elif deployment is None:
        cli.console.done(f"nothing to do: {result.version} is live")
    else:
        instead = f" instead of {result.previous}" if result.previous else ""
        state = _STATES.get((bake or {}).get("outcome", ""), "is live")
        cli.console.done(f"{app} {result.version} {state}{instead}, after {result.seconds:.1f} s")
