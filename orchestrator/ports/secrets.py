"""The values of run.secrets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from orchestrator.config import Config

Order = tuple[Literal["source", "copy"], ...]
"""Where a secret's value is read from: the first place that has it."""


class Secrets(Protocol):
    """Reads secrets, and keeps a copy of them for the containers of each deployment.

    No error and no file name contains a value. Callers hold the app's lock. All methods may be repeated.
    """

    def check(
        self, config: Config, version: str | None = None, *, building: Config | None = None, built: bool = True
    ) -> None:
        """Checks that every secret is available: from its source, or with `version` from a copy of that version.

        Without `version` it also checks that no secret is part of the build, or of the model folder: if no image is
        `built`, only of that one. `building` is the configuration to build from, if that is a checkout.

        Raises:
            SecretUnavailable: a value is not available.
            UsageError: a secret would become part of the version.
        """

    def changed(self, config: Config, version: str, deployment: int) -> bool:
        """Whether the sources differ from the copy of a deployment."""

    def store(self, config: Config, version: str, deployment: int, *, order: Order) -> None:
        """Writes the copy for a deployment's containers. A copy that is up to date is not changed.

        Raises:
            SecretUnavailable: a value is not available.
            StorageError: the copy cannot be written. It is unchanged, or has some new files; the copies of other
                deployments are not changed.
        """

    def folder(self, app: str, version: str, deployment: int) -> Path:
        """The copy for a deployment's containers, which they mount. It need not exist."""

    def kept(self, app: str) -> Mapping[str, tuple[int, ...]]:
        """The deployments of each version that have a copy."""

    def drop(self, app: str, version: str, deployment: int) -> None:
        """Removes a copy. A missing one is not an error."""

    def forget(self, app: str) -> None:
        """Removes all copies of an app."""

    def tidy(self, app: str) -> None:
        """Removes partial copies that a crash has left."""

    def mask(self, app: str, text: str) -> str:
        """`text` with `***` in place of each stored value, and of each of its lines, of at least 8 characters.

        Also where a program has escaped it (JSON, Python's repr, a shell, a URL, HTML) or encoded it (Base64,
        hexadecimal digits), alone or within a longer text.
        """
