"""What happens inside containers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.record.labels import Evidence
    from orchestrator.domain.rollout.workload import Container


class ContainerAccess(Protocol):
    """Reads from containers and runs programs in them.

    Every method raises EngineUnreachable when the engine does not answer, and EngineError when it refuses or the
    container is gone. All but `execute` may be repeated.
    """

    def logs(self, container: Container, *, tail: int, follow: bool = False) -> Iterator[str]:
        """The last `tail` lines of its output, without line breaks; with `follow` those that come as well."""

    def execute(self, container: Container, command: Sequence[str], out: IO[bytes], err: IO[bytes]) -> int:
        """Runs a program in a running container, passes its output on, and returns its exit code."""

    def files_in(self, container: Container, folder: str) -> dict[str, str]:
        """The files that a running container sees below a folder: SHA-256 in hexadecimal by path in the folder.

        For a symbolic link it is that of its target's path.
        """

    def memory_kills(self, container: Container, since: float) -> int:
        """How often the kernel has ended it for lack of memory since then (seconds since the epoch).

        As far as the engine remembers: its events do not survive its own restart.
        """

    def evidence(self) -> tuple[Evidence, ...]:
        """What all containers of the state folder say about themselves, for a ledger that is lost."""
