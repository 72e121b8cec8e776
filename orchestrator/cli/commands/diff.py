"""`deployctl diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import diff as render
from orchestrator.cli.services import services
from orchestrator.config import load, seconds
from orchestrator.reports.diff import TENSOR_SECONDS, compare

app = new_app()


@app.command()
def diff(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(help="Older version, such as v1.", autocompletion=candidates.versions)],
    after: Annotated[str, typer.Argument(help="Newer version, such as v2.", autocompletion=candidates.versions)],
    time_limit: Annotated[
        str, typer.Option("--time-limit", help="Longest time to compare tensors, such as 10m.")
    ] = f"{TENSOR_SECONDS:g}s",
) -> None:
    """Compare two versions: files, tensors, settings, image.

    To compare the tensors of safetensors, ONNX and NumPy files: pip install 'deployctl[tensors]'. Files whose tensors
    are not all compared within --time-limit are listed.

    Examples: deployctl diff v1 v2; deployctl diff v1 v2 --time-limit 10m; deployctl diff v1 v2 --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        report = compare(services(cli), config, before, after, seconds=seconds(time_limit, "--time-limit"))
        console.report(report) if cli.json else console.lines(render.diff(report))
        if any(row.limit == "time" for row in report.tensors):
            console.note(f"not all tensors were compared within {time_limit}; use --time-limit to allow more time")
