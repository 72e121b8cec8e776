"""Helpers that run in containers on the host's network, such as the proxy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.rollout.workload import HostContainerSpec


class HostContainers(Protocol):
    """Long-running containers of one state folder that belong to no app, by their names.

    Every method raises EngineUnreachable when the engine does not answer, and EngineError when it refuses or when
    somebody else's container has the name: that one is never touched.
    """

    def state(self, name: str) -> str:
        """`running`, `missing`, or what the engine says of one that does not run (`exited`, `paused` …)."""

    def has_image(self, reference: str) -> bool:
        """Whether the engine has an image of this name, for the choice of a base image."""

    def start(self, spec: HostContainerSpec, report: Callable[[str], None]) -> None:
        """Makes it run: starts or unpauses one that exists, else creates it, and its image first when that is missing.

        One that exists keeps the configuration that it was created with. The engine starts it again whenever it ends,
        and when the engine itself starts. `report` is called when an image must be built. May be repeated.

        Raises:
            BuildFailed: the image could not be built; `details` has the builder's last lines.
        """

    def remove(self, name: str) -> bool:
        """Removes it, running or not. False: there was none."""

    def restart(self, name: str) -> None:
        """Ends it within a second and starts it again. One that is missing is no error."""

    def execute(self, name: str, command: Sequence[str]) -> tuple[int, str]:
        """Runs a program in it; returns the exit code and the output.

        Raises:
            EngineError: it is missing, or does not run.
        """

    def logs(self, name: str, tail: int) -> list[str]:
        """The last `tail` lines of its output; empty when it is missing."""
