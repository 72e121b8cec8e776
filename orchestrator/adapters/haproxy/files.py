"""The files that the proxy starts from. routes.map defines the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.adapters.haproxy import render, words
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, StorageError
from orchestrator.files import TEMPORARY, NotRegular, read_regular, write_atomic

CONFIG = "haproxy.cfg"
# Who gets the requests of each app: see `words`.
ROUTES = "routes.map"
# What requests are answered with in maintenance: see `words`.
MESSAGES = "messages.map"
# The version in each slot.
VERSIONS = "versions.map"
# How many replicas each slot has.
REPLICAS = "replicas.map"
# Empty on disk: see names.MOVED.
MOVED = "moved.map"
# Where requests wait while their app is held.
HOLD = "hold.lua"
# The ending of a configuration that is checked before it becomes haproxy.cfg, and of links to sockets in run/.
NEW = ".new"
# What none of the files ever contains: its last line has no end.
_DAMAGED = "not a regular file"


class ProxyFiles:
    """The folder that is mounted into the proxy's container."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Creates the folder and the maps, which HAProxy needs to start. Removes temporary files of a crash."""
        self.prepare_folder()
        for name in (ROUTES, MESSAGES, VERSIONS, REPLICAS, MOVED):
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
        """The text of a file; empty when it does not exist.

        What is no regular file, such as a pipe that somebody has put there, is read as a damaged one: writing the file
        replaces it.
        """
        try:
            return read_regular(self.folder / name).decode(errors="replace")
        except FileNotFoundError:
            return ""
        except (NotRegular, IsADirectoryError):
            return _DAMAGED

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

    def states(self) -> dict[str, TrafficState]:
        """The traffic states in routes.map, by app; empty when it does not exist.

        Raises:
            ProxyError: the file is damaged.
        """
        states = self.states_or_none()
        if states is None:
            raise ProxyError(f"{self.folder / ROUTES} is damaged", hint="deployctl recover restores it from the ledger")
        return states

    def states_or_none(self) -> dict[str, TrafficState] | None:
        """As `states`, but None when the file is damaged."""
        messages = dict(line.split(" ", 1) for line in self.read(MESSAGES).splitlines() if " " in line)
        states: dict[str, TrafficState] = {}
        text = self.read(ROUTES)
        # Without the end of its last line, a number in it may have lost digits.
        if text and not text.endswith("\n"):
            return None
        for line in text.splitlines():
            app, _, text = line.partition(" ")
            state = words.read(text, messages.get(app, ""))
            if state is None:
                return None
            states[app] = state
        return states

    def write_states(self, states: Mapping[str, TrafficState]) -> list[str]:
        """Writes routes.map and messages.map unless they already say this; returns the names of those it has written.

        The messages come first, so that a proxy that starts in between has the message of every maintenance.

        Raises:
            StorageError: a file cannot be written. It is unchanged.
        """
        messages = {app: text for app, state in states.items() if (text := words.message(state)) is not None}
        entries = {app: word for app, state in states.items() if (word := words.written(state)) is not None}
        texts = {MESSAGES: render.messages_map(messages), ROUTES: render.routes_map(entries)}
        return [name for name, text in texts.items() if self.update(name, text)]
