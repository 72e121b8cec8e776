"""What the adapters of one Docker engine share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker import DockerClient


class OnEngine:
    """The connection of an adapter. `connect` is called at first use, and must cache."""

    def __init__(self, connect: Callable[[], DockerClient]) -> None:
        self._connect = connect

    @property
    def _api(self) -> Any:
        # The type stubs lack some arguments of the low-level API.
        return self._connect().api

    def _image(self, reference: str) -> dict[str, Any] | None:
        """What the engine knows of an image, by name or id; None without one. Raises what the SDK does."""
        import docker.errors

        try:
            info: dict[str, Any] = self._api.inspect_image(reference)
        except docker.errors.ImageNotFound:
            return None
        return info

    def _tag(self, image_id: str, reference: str) -> None:
        """Gives an image a name; `reference` has a tag. Raises what the SDK does."""
        repository, _, tag = reference.rpartition(":")
        self._api.tag(image_id, repository, tag)
