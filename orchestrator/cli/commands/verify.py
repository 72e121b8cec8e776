"""`deployctl verify`."""

from __future__ import annotations

from typing import Any

import typer

from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.errors import Degraded
from orchestrator.reports.verify import verify as look

app = new_app()


@app.command()
def verify(ctx: typer.Context) -> None:
    """Compare files, images and containers with the ledger.

    Also the events and manifests in the ledger itself. Exits with 4 when something does not match, and names it.

    Example: deployctl verify
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        proof = look(services(cli), config.app.name)
        if cli.json:
            body: dict[str, Any] = {
                "ok": not proof.problems,
                "checked": dict(proof.checked),
                "problems": proof.problems,
            }
            body["head"] = {"event": proof.head[0], "digest": proof.head[1]} if proof.head else None
            console.data({"schema_version": 1, "app": config.app.name, **body})
        else:
            counted = ", ".join(f"{what} {count}" for what, count in proof.checked.items())
            console.print(f"checked: {counted}")
            for problem in proof.problems:
                console.print(f"BAD  {problem}")
            if not proof.problems:
                head = f"; the chain ends with event {proof.head[0]}, {proof.head[1]}" if proof.head else ""
                console.print(f"everything matches the ledger{head}")
        if proof.problems:
            raise typer.Exit(Degraded.exit_code)
