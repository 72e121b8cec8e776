"""The values of run.secrets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from orchestrator.config import Config

Order = tuple[Literal["source", "copy"], ...]
"""Where a secret's value is looked for, the first place first."""


class Secrets(Protocol):
    """Reads secrets, and keeps a copy of them for the containers of each deployment.

    No error and no file name contains a value. Callers hold the app's lock. All methods may be repeated.
    """

    def check(self, config: Config, version: str | None = None, *, building: Config | None = None) -> None:
        """Checks that every secret is available: from its source, or with `version` from a copy of that version.

        Without `version` it also checks that no secret is part of the sources. `building` is the configuration that
        is built from, when that is a checkout.

        Raises:
            SecretUnavailable: a value is not available.
            UsageError: a secret would become part of the version.
        """

    def changed(self, config: Config, version: str, deployment: int) -> bool:
        """Whether the sources differ from the copy of a deployment."""

    def store(self, config: Config, version: str, deployment: int, *, order: Order) -> None:
        """Makes the copy for a deployment's containers. A copy that is up to date stays as it is.

        Raises:
            SecretUnavailable: a value is not available.
            StorageError: the copy cannot be written. It is as it was, or has some new files; the copies of other
                deployments are not changed.
        """

    def folder(self, app: str, version: str, deployment: int) -> Path:
        """The copy for a deployment's containers, which they mount. It need not exist."""

    def kept(self, app: str) -> Mapping[str, tuple[int, ...]]:
        """The deployments of each version that have a copy."""

    def drop(self, app: str, version: str, deployment: int) -> None:
        """Removes a copy. One that does not exist is no error."""

    def tidy(self, app: str) -> None:
        """Removes what a crash has left of copies that were being made or removed."""

    def mask(self, app: str, text: str) -> str:
        """`text` with `***` in place of every line of a stored value that has at least 8 characters."""
