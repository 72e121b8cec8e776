"""Containers on the host's network that serve all apps, such as the proxy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.rollout.workload import HostContainerSpec


class HostContainers(Protocol):
    """Long-running containers of one state folder that belong to no app, by their names.

    Every method raises EngineUnreachable when the engine does not answer, and EngineError when it refuses or when
    a container that is not of this state folder has the name; such a container is never changed.
    """

    def state(self, name: str) -> str:
        """`running`, `missing`, or the engine's state of one that does not run (`exited`, `paused` …)."""

    def start(self, spec: HostContainerSpec, report: Callable[[str], None]) -> None:
        """Starts or unpauses it; creates it if it does not exist, and builds its image if that does not exist.

        An existing one keeps the configuration that it was created with. The engine restarts it whenever it ends, and
        when the engine itself starts. `report` is called when an image must be built. May be repeated.

        Raises:
            BuildFailed: the image could not be built; `details` has the builder's last lines.
        """

    def create(self, spec: HostContainerSpec) -> None:
        """Creates it from an image that exists, and does not start it: `start` does. The engine does not restart it.

        Raises:
            EngineError: the name is taken, or the image does not exist.
        """

    def rename(self, name: str, to: str) -> None:
        """Gives it another name; it goes on running.

        Raises:
            EngineError: it is missing, or the other name is taken.
        """

    def keep_running(self, name: str, *, keep: bool) -> None:
        """Sets whether the engine restarts it whenever it ends. May be repeated; a missing one is not an error."""

    def finish(self, name: str) -> None:
        """Asks its program to finish what it has begun and then to end (SIGUSR1); does not wait. May be repeated.

        The engine does not start it again. One that is missing or does not run is not an error.
        """

    def remove(self, name: str) -> bool:
        """Removes it, running or not. False: it did not exist."""

    def restart(self, name: str) -> None:
        """Stops it within a second and starts it again. A missing one is not an error."""

    def execute(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        """Runs a program in it; returns the exit code and the output.

        Raises:
            EngineError: it is missing, or does not run.
        """

    def logs(self, name: str, tail: int) -> list[str]:
        """The last `tail` lines of its output; empty when it is missing."""
