"""One command at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Locks(Protocol):
    """Locks that are released when their process ends, even if it is killed."""

    def app(self, name: str, *, looking: bool = False) -> AbstractContextManager[None]:
        """Holds an app's lock. `looking`: it is held for a short look, so other commands wait until it is free.

        Raises:
            Locked: another command holds it; the error names the command, its pid and since when.
            StorageError: the lock file cannot be used.
        """

    def proxy(self) -> AbstractContextManager[None]:
        """Holds the lock of the proxy, which all apps share; waits for up to a minute.

        Raises:
            Locked: it was not free within that time.
            StorageError: the lock file cannot be used.
        """

    def holder(self, name: str) -> dict[str, object] | None:
        """Who holds an app's lock now (`command`, `pid`, `since`); None when it is free. Does not take the lock."""
