"""The context of a command: the global options, the console, and how errors end the program.

The root command imports this module, so it loads nothing heavy. See `services.py` for what a command needs beyond it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import typer

from orchestrator.cli.console import Console
from orchestrator.errors import DeployctlError, HostError, UsageError

FILE = "DEPLOYCTL_FILE"


@dataclass
class Context:
    """The global options of one call. `changing`: the command may change something, so a signal does not end it.

    `files` is every --file; only one command takes more than one, and all others use `file`, the first of them.
    """

    file: Path
    json: bool = False
    quiet: bool = False
    no_color: bool = False
    state_dir: Path | None = None
    changing: bool = False
    files: tuple[Path, ...] = ()
    console: Console = field(init=False)

    def __post_init__(self) -> None:
        self.console = Console(json=self.json, quiet=self.quiet, no_color=self.no_color)

    @contextmanager
    def guarded(self) -> Iterator[Console]:
        """Ends the program with the exit code that an error carries. Only an internal error shows its type.

        Output that cannot be written is an error of a command that only reads, unless its reader (head, less) has
        closed it. The exit code of a command that changes something says how that has ended.
        """
        try:
            yield self.console
            self.console.flush()
            self._check_output()
        except DeployctlError as error:
            self.console.error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            if self.changing:
                self.console.error(
                    DeployctlError("stopped immediately", hint="finish or undo the deployment: deployctl recover")
                )
            raise typer.Exit(130) from None
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

    def refuse_several_files(self, command: str | None) -> None:
        """Ends the program when a command was given several files and works with one.

        `release` checks this itself: it takes several with --together.
        """
        if len(self.files) > 1 and command != "release":
            with self.guarded():
                raise UsageError(
                    f"--file was given {len(self.files)} times",
                    why=f"{command or 'this command'} works with one app",
                    hint="give one file; only 'release --together' takes several",
                )

    def _check_output(self) -> None:
        lost = self.console.lost
        if lost is None or lost.errno == errno.EPIPE:
            return
        text = "the output cannot be written"
        if not self.changing:
            raise HostError(text, why=lost.strerror or str(lost), hint="check that its disk is not full")
        self.console.note(f"{text}: {lost.strerror or lost}")


def files_of(given: list[Path] | None) -> tuple[Path, ...]:
    """The configuration files of a command: those of --file, else that of the environment, else deploy.toml.

    The variable is read here because Typer would divide it at colons, which a name may contain.
    """
    return tuple(given or [Path(os.environ.get(FILE) or "deploy.toml")])


def current(ctx: typer.Context) -> Context:
    """The context of the running command."""
    context = ctx.obj
    assert isinstance(context, Context)
    return context
