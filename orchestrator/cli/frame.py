"""What every command stands in: its options, its console, its services, and the way its errors end."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from orchestrator.cli.console import Console
from orchestrator.errors import DeployctlError

if TYPE_CHECKING:
    from orchestrator.adapters.posix.interrupts import Interrupts
    from orchestrator.config import Config
    from orchestrator.ports.services import Reporter, Services


@dataclass
class Frame:
    """The global options of one call."""

    file: Path
    json: bool = False
    quiet: bool = False
    no_color: bool = False
    state_dir: Path | None = None
    console: Console = field(init=False)

    def __post_init__(self) -> None:
        self.console = Console(json=self.json, quiet=self.quiet, no_color=self.no_color)

    def config(self) -> Config:
        """The configuration, checked."""
        from orchestrator.config import load

        return load(self.file)

    def interrupts(self) -> Interrupts:
        """What takes over the process's signals."""
        from orchestrator.adapters.posix.interrupts import Interrupts

        found = Interrupts()
        found.install()
        return found

    def services(
        self, *, changing: bool = False, reporter: Reporter | None = None, interrupts: Interrupts | None = None
    ) -> Services:
        """The services; a changing command takes over the signals as well."""
        from orchestrator import wiring

        command = shlex.join(["deployctl", *sys.argv[1:]])
        return wiring.build(
            wiring.state_dir(self.state_dir),
            command=command,
            reporter=reporter or self.console,
            interrupts=self.interrupts() if changing else interrupts,
        )

    @contextmanager
    def guarded(self) -> Iterator[Console]:
        """Ends the program with the exit code that an error carries; only bugs of ours show more."""
        try:
            yield self.console
        except DeployctlError as error:
            self.console.error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            self.console.error(DeployctlError("stopped at once", hint="the next command finishes or undoes it"))
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # The reader of our output has gone (head, less): that is its right.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if os.environ.get("DEPLOYCTL_DEBUG"):
                raise
            self.console.error(
                DeployctlError(
                    f"a bug of deployctl: {type(error).__name__}: {error}",
                    hint="run again with DEPLOYCTL_DEBUG=1 and report what it prints; then 'deployctl recover'",
                )
            )
            raise typer.Exit(1) from None


def frame(context: typer.Context) -> Frame:
    """The frame of the running command."""
    found = context.obj
    assert isinstance(found, Frame)
    return found
