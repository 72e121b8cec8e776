"""Creates the services of a command from its global options."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from orchestrator import wiring
from orchestrator.cli.context import Context

if TYPE_CHECKING:
    from orchestrator.ports.progress import Reporter
    from orchestrator.ports.services import Services


def services(
    context: Context,
    *,
    changing: bool = False,
    reporter: Reporter | None = None,
    sharing: Services | None = None,
) -> Services:
    """The services of the state folder. With `changing` the command handles the signals of the process.

    `sharing` are other services of this process; the new ones use their signal handling.

    Raises:
        UsageError: the state folder cannot be created.
    """
    context.changing = context.changing or changing
    interrupts = sharing.interrupts if sharing is not None else None
    return wiring.build(
        wiring.state_dir(context.state_dir),
        command=shlex.join(["deployctl", *sys.argv[1:]]),
        reporter=reporter or context.console,
        interrupts=wiring.take_signals() if changing else interrupts,
    )
