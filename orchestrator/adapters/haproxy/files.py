"""The files that the proxy starts from. routes.map and shields.map define the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.adapters.haproxy import render
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.errors import ProxyError, StorageError
from orchestrator.files import TEMPORARY, write_atomic

CONFIG = "haproxy.cfg"
# The live slot of each app.
ROUTES = "routes.map"
# The fallback slot of each app that has one.
SHIELDS = "shields.map"
# The version of each backend.
VERSIONS = "versions.map"
# Empty on disk: see render.MOVED.
MOVED = "moved.map"
# The ending of a configuration that is checked before it becomes haproxy.cfg, and of links to sockets in run/.
NEW = ".new"


class ProxyFiles:
    """The folder that is mounted into the proxy's container."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Creates the folder and the maps, which HAProxy needs to start. Removes temporary files of a crash."""
        self.prepare_folder()
        for name in (ROUTES, SHIELDS, VERSIONS, MOVED):
            if not (self.folder / name).exists():
                self.write(name, "")

    def prepare_folder(self) -> None:
        """Creates the folder and removes temporary files that a crash left. A missing map stays missing."""
        try:
            (self.folder / "run").mkdir(parents=True, exist_ok=True)
            # On a read-only disk even the attempt to remove a file that does not exist fails.
            for pattern in (f"*{TEMPORARY}", f"*{NEW}", f"run/*{NEW}"):
                for left_over in self.folder.glob(pattern):
                    left_over.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"{self.folder} cannot be prepared", why=str(error), hint="check that the disk is not full"
            ) from error

    def write(self, name: str, text: str) -> None:
        """Replaces a file as a whole.

        Raises:
            StorageError: the file cannot be written. It is unchanged.
        """
        try:
            write_atomic(self.folder / name, text)
        except OSError as error:
            raise StorageError(
                f"{self.folder / name} cannot be written", why=str(error), hint="check that the disk is not full"
            ) from error

    def remove(self, name: str) -> None:
        """Removes a file, if it exists."""
        (self.folder / name).unlink(missing_ok=True)

    def update(self, name: str, text: str) -> bool:
        """Replaces a file unless it already has this text; True when it was replaced."""
        if self.read(name) == text and self.written_at(name) is not None:
            return False
        self.write(name, text)
        return True

    def read(self, name: str) -> str:
        """The text of a file; empty when it does not exist."""
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def written_at(self, name: str) -> float | None:
        """When a file was written, in seconds since the epoch; None when it does not exist."""
        try:
            return (self.folder / name).stat().st_mtime
        except FileNotFoundError:
            return None

    def config(self) -> str:
        """The text of haproxy.cfg; empty when it does not exist."""
        return self.read(CONFIG)

    def digest(self) -> str:
        """The digest of the structure of haproxy.cfg, which the file itself contains."""
        lines = (line.split() for line in self.config().splitlines())
        return next((row[2] for row in lines if row[:2] == ["setenv", "DEPLOYCTL_CONFIG"]), render.UNSET_CONFIG)

    def slots(self, name: str) -> dict[str, Slot]:
        """The slots in routes.map or shields.map, by app; empty when the file does not exist.

        Raises:
            ProxyError: the file is damaged.
        """
        slots = self.slots_or_none(name)
        if slots is None:
            raise ProxyError(f"{self.folder / name} is damaged", hint="deployctl recover restores it from the ledger")
        return slots

    def slots_or_none(self, name: str) -> dict[str, Slot] | None:
        """As `slots`, but None when the file is damaged."""
        slots: dict[str, Slot] = {}
        for line in self.read(name).splitlines():
            app, _, value = line.partition(" ")
            slot = next((slot for slot in SLOTS if slot == value), None)
            if slot is None:
                return None
            slots[app] = slot
        return slots

    def write_slots(self, name: str, slots: Mapping[str, Slot]) -> bool:
        """Writes routes.map or shields.map unless it already says this; True when it was written.

        Raises:
            StorageError: the file cannot be written. It is unchanged.
        """
        return self.update(name, render.slots_map(slots))
