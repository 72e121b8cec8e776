"""One command at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Locks(Protocol):
    """Locks that end with the process that holds them, however it ends."""

    def app(self, name: str, *, looking: bool = False) -> AbstractContextManager[None]:
        """Holds an app's lock. With `looking` it is held for a short look: other commands wait for its end.

        Raises:
            Locked: another command has it; the error says which one, its pid and since when.
            StorageError: the lock file cannot be used.
        """

    def proxy(self) -> AbstractContextManager[None]:
        """Holds the lock of the proxy, which all apps share; waits for up to a minute.

        Raises:
            Locked: it was not free in time.
            StorageError: the lock file cannot be used.
        """

    def holder(self, name: str) -> dict[str, object] | None:
        """Who holds an app's lock now (`command`, `pid`, `since`); None when nobody does. Never takes the lock."""
