"""Starts the program. Imports nothing before it runs, so that Ctrl-C while modules load ends it without a traceback."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Runs the program with the arguments of the process, and ends the process."""
    try:
        from orchestrator.cli.root import run

        run()
    except KeyboardInterrupt:
        # Nothing has begun: a command that changes something handles its signals itself.
        sys.exit(128 + signal.SIGINT)


if __name__ == "__main__":
    main()
