"""The machine that deployctl runs on: its name, its user, its programs and files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.frozen import frozen

if TYPE_CHECKING:
    from orchestrator.domain.rollout.gpu_fit import Gpus


@frozen
class HostMemory:
    """The memory of the machine, in bytes, and the release of its kernel.

    `available` is what new processes can use without swapping: free memory, and caches that the kernel gives back.
    """

    total: int
    available: int
    kernel: str


class Host(Protocol):
    """What use cases need to know of the machine. Never raises."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables of this process."""

    def user(self) -> str:
        """The login name of the user who runs this command; with sudo, of the user who called sudo."""

    def hostname(self) -> str:
        """The machine's name."""

    def writers(self, path: Path) -> str | None:
        """Who besides root and the effective user can change a file or replace it, as a sentence; None: nobody can.

        A file that does not exist, or cannot be checked, counts as one that others can change.
        """

    def memory(self) -> HostMemory | None:
        """The machine's memory now; None when it is not known."""

    def memory_of(self, container: str, pid: int) -> int | None:
        """The bytes that a container uses now, without page cache, by its id and a process of it; None: not known."""

    def gpus(self, containers: Collection[str]) -> Gpus:
        """The machine's GPUs now, and what the containers with these ids hold of their memory.

        Takes a second or more, so it is called only for versions that use GPUs.
        """


@frozen
class Ended:
    """How a program ended: its exit code, and what it wrote to stdout and stderr."""

    code: int
    output: bytes = b""
    errors: bytes = b""

    @property
    def message(self) -> str:
        """Its error message: what it wrote to stderr, else to stdout."""
        return (self.errors or self.output).decode(errors="replace").strip()


class Machine(Protocol):
    """Programs and files of the machine, for installing schedules. All methods may be repeated."""

    @property
    def account(self) -> str:
        """The name of the effective user."""

    @property
    def home(self) -> str:
        """The home folder of the effective user."""

    @property
    def root(self) -> bool:
        """Whether the effective user is root."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables of this process."""

    def which(self, program: str) -> str | None:
        """The path of a program; None when PATH has none of this name."""

    def executable(self, path: Path) -> bool:
        """Whether this file exists and can be executed."""

    def running(self, names: frozenset[str]) -> bool:
        """Whether a process with one of these names runs."""

    def run(self, command: Sequence[str], data: bytes = b"") -> Ended:
        """Runs a program until it ends, with `data` as its input and its messages in English.

        Raises:
            HostError: it does not exist, or does not end in time.
        """

    def read(self, path: Path) -> str | None:
        """A file's text; None when there is no such file.

        Raises:
            HostError: it cannot be read.
        """

    def write(self, path: Path, text: str) -> None:
        """Writes a file that every user may read; its folder must exist.

        Raises:
            HostError: it cannot be written; it is unchanged.
        """

    def remove(self, path: Path) -> None:
        """Removes a file. A missing one is not an error.

        Raises:
            HostError: it cannot be removed.
        """
