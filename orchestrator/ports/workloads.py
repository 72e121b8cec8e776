"""The containers of versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.engine import Engine, Machine
    from orchestrator.domain.rollout.workload import Container, NetworkSpec, WorkloadSpec
    from orchestrator.domain.traffic.slot import Slot


class Workloads(Protocol):
    """The containers of one state folder's apps. Other containers are never changed.

    Every method raises EngineUnreachable when the engine does not answer (it may still have done what was requested),
    and EngineError when it refuses.
    """

    def version(self) -> dict[str, str]:
        """The engine's `version` and `api` version."""

    def check(self) -> None:
        """Checks that containers of this engine can be reached from this machine. Changes nothing.

        Raises:
            UsageError: they cannot; the hint says what to do.
        """

    def engine(self) -> Engine:
        """Which engine this is."""

    def machine(self) -> Machine:
        """The machine that the containers run on."""

    def name(self, app: str, version: str, slot: Slot, index: int) -> str:
        """The name of a replica's container, which need not exist. Does not ask the engine."""

    def containers(self, app: str | None = None) -> tuple[Container, ...]:
        """The containers of all apps, or of one, in order of their names, including stopped ones."""

    def inspect(self, container_id: str) -> Container | None:
        """The current state of a container; None when it does not exist."""

    def differences(self, container: Container, spec: WorkloadSpec) -> list[str]:
        """How a container differs from one that `create` makes of `spec`, in words; no text has a variable's value.

        Compared are program, user, environment, mounts, limits and rights. Empty also when the image is gone.

        Raises:
            EngineError: the container does not exist.
        """

    def create(self, spec: WorkloadSpec) -> Container:
        """Creates one replica, and its network if that is missing; does not start it.

        Its address is never used by another app. It is not restarted automatically until `keep_running`.

        Raises:
            EngineError: a container of that name exists, or the image or a network of the spec does not exist. Nothing
                was created.
        """

    def missing_networks(self, names: Sequence[str]) -> tuple[str, ...]:
        """Those of the named networks that the engine does not have."""

    def check_network(self, network: NetworkSpec, app_number: int) -> None:
        """Checks that `create` has, or can make, a network with addresses for an app. Changes nothing.

        Raises:
            UsageError: no address range is free for it, or it has no addresses for another app.
        """

    def start(self, container: Container) -> None:
        """Starts a container. A running one is not changed.

        Raises:
            EngineError: it cannot be started.
        """

    def stop(self, container: Container) -> None:
        """Stops a running or paused container within its stop timeout, and disables its automatic restart.

        May be repeated. A missing container is not an error.
        """

    def remove(self, container: Container) -> None:
        """Removes a container and its anonymous volumes, running or not. A missing one is not an error."""

    def keep_running(self, container: Container) -> None:
        """Enables automatic restart: whenever it ends, and when the engine itself starts. May be repeated."""

    def resume(self, container: Container) -> None:
        """Unpauses a container.

        Raises:
            EngineError: it is not paused.
        """

    def restart(self, container: Container) -> None:
        """Stops a container that does not answer, within two seconds, and starts it again."""

    def reconnect(self, container: Container, app_number: int, network: NetworkSpec) -> None:
        """Connects a container to its network again, with the replica's own address there. May be repeated.

        The network is created if it is missing; its addresses may differ from those that it had before.
        """

    def own_addresses(self, app_number: int, slot: Slot, index: int, network: NetworkSpec) -> dict[str, bool]:
        """The addresses that a replica can have now, one for each network that exists; empty without a network.

        True: no other container ever gets this address, even while the replica does not run.
        """

    def shared_networks(self, network: NetworkSpec) -> dict[str, bool]:
        """The app's networks in use in which the containers of different apps reach each other, by their names.

        True: deployctl made it. Changes nothing.
        """

    def tidy(self) -> bool:
        """Removes the containers' network when no container is left. True: it was removed."""
