"""`deployctl diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli import candidates
from orchestrator.cli.context import current
from orchestrator.cli.program import new_app
from orchestrator.cli.render import diff as render
from orchestrator.cli.services import services
from orchestrator.config import load
from orchestrator.reports.diff import compare

app = new_app()


@app.command()
def diff(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(help="Older version, such as v1.", autocompletion=candidates.versions)],
    after: Annotated[str, typer.Argument(help="Newer version, such as v2.", autocompletion=candidates.versions)],
) -> None:
    """Compare two versions: files, tensors, settings, image.

    To compare the tensors of safetensors, ONNX and NumPy files: pip install 'deployctl[tensors]'

    Examples: deployctl diff v1 v2; deployctl diff v1 v2 --json
    """
    cli = current(ctx)
    with cli.guarded() as console:
        config = load(cli.file)
        report = compare(services(cli), config, before, after)
        console.report(report) if cli.json else console.lines(render.diff(report))
