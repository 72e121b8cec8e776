"""The record of apps that are removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.record.removal import Removal


class Removals(Protocol):
    """Removing an app from the record. See `Ledger` for what all records share."""

    def begin_removal(self, app: str, actor: str, command: str) -> None:
        """Records that an app is being removed, before anything is. May be repeated: the first record is kept."""

    def removal(self, app: str) -> Removal | None:
        """The removal of an app that has begun and not ended; None without one."""

    def remove_app(self, app: str, detail: dict[str, Any]) -> None:
        """Removes all records of an app but its events, and adds the event `removed` with `detail`, in one transaction.

        The app's number stays that of its name. With the last app, the engine is forgotten as well. May be repeated:
        the second time nothing changes.
        """
