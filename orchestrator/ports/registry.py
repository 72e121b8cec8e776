"""Images in a registry."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.build import RemoteImage
    from orchestrator.domain.version.version import Version
    from orchestrator.ports.progress import Progress


class Registry(Protocol):
    """Pushes and pulls images. Credentials are those of `docker login`, read at each call.

    Every method raises EngineUnreachable when the engine does not answer. Transient failures are retried inside.
    """

    def push(self, image_id: str, reference: str, progress: Progress, *, replaces: Collection[str] = ()) -> str:
        """Pushes an image as `host/path:tag`; returns its name with the digest, `host/path@sha256:…`. May be repeated.

        A tag of another image is moved only if that image is named in `replaces`, as an earlier `push` returned it.

        Raises:
            EngineError: the engine does not have the image.
            TagTaken: the tag belongs to another image, or the registry does not allow to move it.
            RegistryError: the registry refuses it or makes no progress.
            Interrupted: `progress.check` raised it. The image may still have the name `reference`: see `untag`.
        """

    def pull(self, version: Version, progress: Progress) -> str:
        """Pulls a version's image by its digest and tags it; returns its id. May be repeated.

        The image must have the recorded id or the version's labels; of one that was not built here the digest decides.

        Raises:
            RegistryError: the registry does not provide the image, or provides another one, which is not tagged.
            Interrupted: `progress.check` raised it.
        """

    def resolve(self, reference: str, progress: Progress) -> RemoteImage | None:
        """What a registry has under a name (`host/path:tag` or with a digest); None when it has nothing.

        Raises:
            RegistryError: the registry refuses, or does not answer.
        """

    def fetch(self, pinned: str, progress: Progress) -> str:
        """Pulls the image `host/path@sha256:…`, which keeps this name; returns its id. May be repeated.

        Raises:
            RegistryError: the registry does not provide it, or it does not exist for the platform of the engine.
            Interrupted: `progress.check` raised it.
        """

    def untag(self, reference: str) -> bool:
        """Removes a name from an image that has other names. False: there is no such name, or it is the only one."""

    def check(self, repository: str) -> None:
        """Sends a small request to check that the registry answers and accepts the login.

        Raises:
            RegistryError: it does not.
        """
