"""The proxy's files: what it starts from, and the truth about the routes."""

from __future__ import annotations

from pathlib import Path

from orchestrator.adapters.haproxy import render
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.errors import ProxyError
from orchestrator.files import TEMPORARY, write_atomic

# What is checked before it becomes haproxy.cfg.
NEW = ".new"


class ProxyFiles:
    """The folder that is mounted into the proxy's container."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Makes the folder and the maps that HAProxy does not start without; removes what a crash left half written."""
        try:
            (self.folder / "run").mkdir(parents=True, exist_ok=True)
            # Only what is there is removed: on a read-only disk, to remove nothing would be an error too.
            for left_over in (*self.folder.glob(f"*{TEMPORARY}"), *self.folder.glob(f"*{NEW}")):
                left_over.unlink(missing_ok=True)
        except OSError as error:
            raise ProxyError(f"{self.folder} cannot be made", why=str(error), hint="is the disk full?") from error
        for name in ("routes.map", "versions.map", "spares.map"):
            if not (self.folder / name).exists():
                self.write(name, "")

    def write(self, name: str, text: str) -> None:
        """Replaces a file as a whole, or leaves it as it was."""
        try:
            write_atomic(self.folder / name, text)
        except OSError as error:
            raise ProxyError(
                f"{self.folder / name} cannot be written", why=str(error), hint="is the disk full?"
            ) from error

    def read(self, name: str) -> str:
        """The text of a file; empty when there is none."""
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def written_at(self, name: str) -> float | None:
        """When a file was written, in seconds since the epoch; None when there is none."""
        try:
            return (self.folder / name).stat().st_mtime
        except FileNotFoundError:
            return None

    def config(self) -> str:
        """The text of haproxy.cfg; empty when there is none."""
        return self.read("haproxy.cfg")

    def digest(self) -> str:
        """Which structure haproxy.cfg has, as the file itself says."""
        lines = (line.split() for line in self.config().splitlines())
        return next((row[2] for row in lines if row[:2] == ["setenv", "DEPLOYCTL_CONFIG"]), render.UNSET_CONFIG)

    def routes(self) -> dict[str, Slot]:
        """routes.map; ProxyError when it is damaged."""
        found = self.routes_or_none()
        if found is None:
            raise ProxyError(
                f"{self.folder / 'routes.map'} is damaged",
                hint="deployctl recover restores it from the ledger",
            )
        return found

    def routes_or_none(self) -> dict[str, Slot] | None:
        """routes.map; None when it is damaged."""
        try:
            text = (self.folder / "routes.map").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return {}
        routes: dict[str, Slot] = {}
        for line in text.splitlines():
            app, _, found = line.partition(" ")
            slot = next((slot for slot in SLOTS if slot == found), None)
            if slot is None:
                return None
            routes[app] = slot
        return routes
