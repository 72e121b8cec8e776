"""Images in a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.version import Version
    from orchestrator.ports.progress import Progress


class Registry(Protocol):
    """Pushes and pulls images. Credentials are those of `docker login`, read anew each time.

    Every method raises EngineUnreachable when the engine does not answer. Transient failures are retried inside.
    """

    def push(self, image_id: str, reference: str, progress: Progress) -> str:
        """Pushes an image as `host/path:tag`; returns its permanent name, `host/path@sha256:…`. May be repeated.

        Raises:
            EngineError: the engine does not have the image.
            RegistryError: the registry refuses it or makes no progress.
            Interrupted: `progress.check` raised it. The engine may still know the image by `reference`: see `untag`.
        """

    def pull(self, version: Version, progress: Progress) -> str:
        """Pulls a version's image by its permanent name and gives it its tag; returns its id. May be repeated.

        It has the recorded id or the version's labels; anything else is refused and not tagged.

        Raises:
            RegistryError: the registry does not provide it, or provides something else.
        """

    def untag(self, reference: str) -> bool:
        """Removes a name from an image that has another one. False: there is no such name, or it is the only one."""

    def check(self, repository: str) -> None:
        """Asks the registry for something small, to see whether it answers and accepts the login.

        Raises:
            RegistryError: it does not.
        """
