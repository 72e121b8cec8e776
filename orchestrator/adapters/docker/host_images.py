"""The images of containers on the host's network, on one Docker engine.

They are built from the text of a Dockerfile alone, by the engine's classic builder: it needs no other program.
"""

from __future__ import annotations

import io
import tarfile
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.adapters.docker.on_engine import OnEngine
from orchestrator.domain.rollout.workload import HostContainerSpec, HostImage
from orchestrator.domain.version.reference import parse
from orchestrator.errors import BuildFailed

if TYPE_CHECKING:
    from docker import DockerClient

    from orchestrator.ports.progress import Progress

_LAST_LINES = 20


class DockerHostImages(OnEngine):
    """`HostImages` on one engine. `connect` is called at first use, and must cache."""

    def find(self, reference: str) -> HostImage | None:
        with engine_errors("inspect an image"):
            info = self._image(reference)
        return None if info is None else _host_image(info)

    def of(self, container: str) -> HostImage | None:
        import docker.errors

        with engine_errors(f"inspect the container {container}"):
            try:
                info = self._api.inspect_container(container)
            except docker.errors.NotFound:
                return None
            image = self._image(str(info["Image"]))
        return None if image is None else _host_image(image)

    def build(self, spec: HostContainerSpec, name: str, progress: Progress) -> HostImage:
        with engine_errors(f"build the image {spec.image}"):
            for base in spec.bases.values():
                self._refresh(base, progress)
            build(self._connect(), spec, name, fresh=True, line=progress.detail, check=progress.check)
            info = self._image(name)
        if info is None:
            raise BuildFailed(f"the image {name} was built, but the engine does not have it")
        return _host_image(info)

    def name(self, image_id: str, name: str) -> None:
        with engine_errors(f"tag the image as {name}"):
            self._tag(image_id, name)

    def remove(self, reference: str) -> bool:
        import docker.errors

        with engine_errors("remove an image"):
            try:
                self._api.remove_image(reference)
            except docker.errors.ImageNotFound:
                return False
            except docker.errors.APIError as error:
                # A container uses it, or it has other names.
                if error.status_code == 409:
                    return False
                raise
        return True

    def _refresh(self, base: str, progress: Progress) -> None:
        """Pulls a base image that came from a registry. One that was made on this engine is nowhere else."""
        import docker.errors

        info, reference = self._image(base), parse(base)
        if reference is None or info is None or not info.get("RepoDigests"):
            return
        progress.check()
        progress.detail(f"pulling {base}")
        try:
            self._connect().images.pull(reference.repository, tag=reference.digest or reference.tag)
        except docker.errors.APIError as error:
            why = str(error.explanation or error).strip()
            progress.detail(f"{base} could not be pulled, so the one on this engine is used: {why}")


def build(
    client: DockerClient,
    spec: HostContainerSpec,
    name: str,
    *,
    fresh: bool,
    line: Callable[[str], None],
    check: Callable[[], None],
) -> None:
    """Builds the image of a spec and names it `name`; `fresh`: without the cache. `line` gets the builder's lines.

    Raises:
        BuildFailed: the build failed.
        Whatever `check` raises, which is called at each line; the engine then stops the build.
    """
    lines: deque[str] = deque(maxlen=_LAST_LINES)
    stream = client.api.build(
        fileobj=_context(spec.dockerfile),
        custom_context=True,
        buildargs=dict(spec.bases),
        tag=name,
        nocache=fresh,
        rm=True,
        forcerm=True,
        labels=dict(spec.labels),
        decode=True,
    )
    for message in stream:
        check()
        if "error" in message:
            raise BuildFailed(
                f"the image {spec.image} could not be built",
                why=str(message["error"]).strip(),
                details="\n".join(lines),
            )
        for text in str(message.get("stream", "")).splitlines():
            if text.strip():
                lines.append(text.rstrip())
                line(text.strip())


def _host_image(info: dict[str, Any]) -> HostImage:
    created = str(info.get("Created") or "")
    # An image that was made reproducibly has no time, or the year 1.
    try:
        built_at = max(0.0, datetime.fromisoformat(f"{created[:19]}+00:00").timestamp())
    except ValueError:
        built_at = 0.0
    return HostImage(str(info["Id"]), built_at)


def _context(dockerfile: str) -> io.BytesIO:
    """A build context that contains only the Dockerfile."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        data = dockerfile.encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    archive.seek(0)
    return archive
