"""Images on the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.build import BuildSpec, EngineUsage, Image, Layer
    from orchestrator.ports.progress import Progress


class Images(Protocol):
    """Builds, finds and removes images.

    Every method raises EngineUnreachable when the engine does not answer, and EngineError when it refuses.
    """

    def build(self, spec: BuildSpec, progress: Progress) -> str:
        """Builds and tags an image; returns its id. May be repeated: the tag moves to the new image.

        Raises:
            BuildFailed: the build failed; `details` has the builder's last lines. The tag is unchanged.
            UsageError: there is no Dockerfile, or the requested builder is not installed.
            Interrupted: `progress.check` raised it; the builder was stopped.
        """

    def find(self, reference: str) -> Image | None:
        """An image by its id or its name; None when the engine does not have it."""

    def platform(self) -> str:
        """The platform of the engine, such as `linux/amd64`."""

    def tag(self, image_id: str, reference: str) -> None:
        """Gives an image one more name; an image that had it loses it. May be repeated.

        Raises:
            EngineError: the engine does not have the image.
        """

    def labelled(self, labels: Mapping[str, str]) -> list[tuple[str, str]]:
        """The names and ids of all images with these labels; an image without a name has an empty one."""

    def usage(self) -> EngineUsage:
        """What takes space on the engine. Takes seconds where there are many images."""

    def layers(self, image_id: str) -> list[Layer]:
        """The layers of an image, the lowest first; empty when the engine does not have it."""

    def remove(self, reference: str, image_id: str) -> bool:
        """Removes the tag `reference` from an image, and the image when it has no other name. May be repeated.

        An image whose tag was moved to another one is removed by its id. False: nothing was removed, because the image
        has other names only, a container uses it, or it does not exist.
        """
