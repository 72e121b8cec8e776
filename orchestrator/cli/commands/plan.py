"""`deployctl plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.options import RefOption
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.reports.plan import preview

_CHANGES = 10
app = new_app()


@app.command()
def plan(
    ctx: typer.Context,
    action: Annotated[str, typer.Argument(help="release or rollback", autocompletion=candidates.actions)] = "release",
    version: Annotated[
        str | None, typer.Argument(help="v1, v2 …; without it the next one", autocompletion=candidates.releasable)
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit with 10 when something would change.")
    ] = False,
    ref: RefOption = None,
) -> None:
    """Show what a release or a rollback would do; change nothing.

    Examples: deployctl plan release v2; deployctl plan rollback
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        planned = preview(services(cli), config, action, version, ref=ref)
        plan = planned.plan
        steps = plan.steps if planned.changes else ()
        if cli.json:
            console.data(
                {
                    "schema_version": 1,
                    "app": plan.app,
                    "kind": plan.kind,
                    "from": plan.from_version,
                    "to": plan.to_version,
                    "from_slot": plan.from_slot,
                    "to_slot": plan.to_slot,
                    "mode": plan.mode,
                    "changes": planned.changes,
                    "estimate_seconds": planned.seconds,
                    "steps": [{"name": step.name, "args": step.args, "words": step.words()} for step in steps],
                    "notes": list(plan.notes),
                }
            )
        else:
            if not planned.changes:
                console.print(f"nothing to do: {plan.to_version} is live")
            elif plan.from_version is None:
                console.print(f"first {plan.kind} of {plan.app}: {plan.to_version}")
            else:
                console.print(f"{plan.kind} of {plan.app}: {plan.from_version} → {plan.to_version}")
            for number, step in enumerate(steps, 1):
                console.print(f"{number:3}. {step.words()}")
            for note in plan.notes:
                console.note(note)
        if detailed_exitcode and planned.changes:
            raise typer.Exit(_CHANGES)
