"""Access to containers: logs, programs and files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.health.sockets import Listener
    from orchestrator.domain.record.labels import Evidence
    from orchestrator.domain.rollout.workload import Container


class ContainerAccess(Protocol):
    """Reads from containers and runs programs in them.

    Every method raises EngineUnreachable when the engine does not answer, and EngineError when it refuses or the
    container is gone. All but `execute` may be repeated.
    """

    def logs(self, container: Container, *, tail: int | None, follow: bool = False) -> Iterator[str]:
        """The last `tail` lines of its output (None: all), without line breaks.

        With `follow` also new ones as they are written.
        """

    def execute(self, container: Container, command: Sequence[str], out: IO[bytes], err: IO[bytes]) -> int:
        """Runs a program in a running container, passes its output on, and returns its exit code."""

    def files_in(self, container: Container, folder: str) -> dict[str, str]:
        """The files below a folder of a running container: the SHA-256 in hexadecimal by path in the folder.

        For a symbolic link it is the digest of the target path.
        """

    def listening(self, container: Container) -> tuple[Listener, ...] | None:
        """The TCP sockets on which the processes of a running container listen, without the engine's own.

        None: they cannot be read, because the container runs on another host and its image has no `cat`.
        """

    def memory_kills(self, container: Container, since: float, until: float | None = None) -> int:
        """How often the kernel has killed a process of it for lack of memory, from `since` to `until` (default: now).

        Both are seconds since the epoch. Kills before the last restart of the engine are not counted: the engine
        forgets them.
        """

    def evidence(self) -> tuple[Evidence, ...]:
        """The state and the labels of all containers of the state folder, to rebuild a lost ledger."""
