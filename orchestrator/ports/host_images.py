"""The images of containers on the host's network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.rollout.workload import HostContainerSpec, HostImage
    from orchestrator.ports.progress import Progress


class HostImages(Protocol):
    """Images that the engine builds for `HostContainers`. All state folders on the engine share them.

    Every method raises EngineUnreachable when the engine does not answer, and EngineError when it refuses.
    """

    def find(self, reference: str) -> HostImage | None:
        """An image by its name or id; None when the engine does not have it."""

    def of(self, container: str) -> HostImage | None:
        """The image that a host container was created from; None when there is no such container, or no such image."""

    def build(self, spec: HostContainerSpec, name: str, progress: Progress) -> HostImage:
        """Builds the image of a spec anew, without the builder's cache, and names it `name`. May be repeated.

        A base image that came from a registry is pulled again first. If that fails, the one on the engine is used, and
        `progress` says so.

        Raises:
            BuildFailed: the image could not be built; `details` has the builder's last lines. The name is unchanged.
            Interrupted: `progress.check` raised it; the build was stopped.
        """

    def name(self, image_id: str, name: str) -> None:
        """Gives an image another name; the image that had it keeps its other names. May be repeated."""

    def remove(self, reference: str) -> bool:
        """Removes a name, and the image when it was its last one; or an image by its id.

        False: nothing was removed, because a container uses it, it has other names, or it does not exist.
        """
