"""The context of a command: the global options, the console, and how errors end the program.

The root command imports this module, so it loads nothing heavy. See `services.py` for what a command needs beyond it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer

from orchestrator.cli.console import Console
from orchestrator.errors import DeployctlError


@dataclass
class Context:
    """The global options of one call."""

    file: Path
    json: bool = False
    quiet: bool = False
    no_color: bool = False
    state_dir: Path | None = None
    console: Console = field(init=False)

    def __post_init__(self) -> None:
        self.console = Console(json=self.json, quiet=self.quiet, no_color=self.no_color)

    @contextmanager
    def guarded(self) -> Iterator[Console]:
        """Ends the program with the exit code that an error carries. Only an internal error shows its type."""
        try:
            yield self.console
        except DeployctlError as error:
            self.console.error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            self.console.error(
                DeployctlError("stopped immediately", hint="finish or undo the deployment: deployctl recover")
            )
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of the output (head, less) has closed it, which is not an error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if os.environ.get("DEPLOYCTL_DEBUG"):
                raise
            self.console.error(
                DeployctlError(
                    f"internal error: {type(error).__name__}: {error}",
                    hint="run again with DEPLOYCTL_DEBUG=1 and report the output; then run 'deployctl recover'",
                )
            )
            raise typer.Exit(1) from None


def current(ctx: typer.Context) -> Context:
    """The context of the running command."""
    context = ctx.obj
    assert isinstance(context, Context)
    return context
