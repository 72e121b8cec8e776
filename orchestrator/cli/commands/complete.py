"""`deployctl __complete`: used by the completion scripts. Prints one candidate per line: the word, a tab, its help."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from orchestrator.cli.completing import candidates
from orchestrator.cli.program import new_app
from orchestrator.text import plain

app = new_app()


@app.command("__complete", hidden=True, context_settings={"ignore_unknown_options": True})
def complete(ctx: typer.Context, words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Print the completion candidates for a word.

    Example: deployctl __complete -- release v
    """
    root = ctx.find_root().command
    assert isinstance(root, TyperGroup)
    for candidate in candidates(root, words or [""]):
        sys.stdout.write(plain(f"{candidate.word}\t{candidate.help}".rstrip("\t"), keep="\t") + "\n")
