"""Where versions run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.rollout.workload import Container, WorkloadSpec
    from orchestrator.domain.traffic.slot import Slot


class Workloads(Protocol):
    """The containers of one state folder's apps. What belongs to others is never touched.

    Every method raises EngineUnreachable when the engine does not answer (what it did is then unknown), and
    EngineError when it refuses.
    """

    def version(self) -> dict[str, str]:
        """What the engine is: `version` and `api`."""

    def name(self, app: str, version: str, slot: Slot, index: int) -> str:
        """The name that a replica has, or would have. Asks the engine nothing."""

    def containers(self, app: str | None = None) -> tuple[Container, ...]:
        """The containers of all apps, or of one, in order of their names; stopped ones as well."""

    def inspect(self, container_id: str) -> Container | None:
        """A container as it is now; None when it is gone."""

    def create(self, spec: WorkloadSpec) -> Container:
        """Creates one replica and what it needs (its network); does not start it.

        It gets an address that no other app ever has, and is not kept running until `keep_running`.

        Raises:
            EngineError: a container of that name exists, or the image is gone. Nothing was created.
        """

    def start(self, container: Container) -> None:
        """Starts a container. One that runs is left alone.

        Raises:
            EngineError: it cannot start. It stays as it is.
        """

    def stop(self, container: Container) -> None:
        """Stops a container within its own stop timeout, paused ones too; it is not kept running any more.

        May be repeated; one that is gone is no error.
        """

    def remove(self, container: Container) -> None:
        """Removes a container and its anonymous volumes, running or not. One that is gone is no error."""

    def keep_running(self, container: Container) -> None:
        """The engine starts it again whenever it ends, and when the engine itself starts. May be repeated."""

    def resume(self, container: Container) -> None:
        """Lets a paused container go on.

        Raises:
            EngineError: it is not paused.
        """

    def restart(self, container: Container) -> None:
        """Ends a container that does not answer, within two seconds, and starts it again."""

    def reconnect(self, container: Container, app_number: int) -> None:
        """Gives a container back the address that it was created with. May be repeated."""

    def tidy(self) -> bool:
        """Removes what all containers share (the network) when none is left. True: it was removed."""
