"""The images of one Docker engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.adapters.docker.on_engine import OnEngine
from orchestrator.domain.version.build import BuildSpec, EngineUsage, Image, Layer

if TYPE_CHECKING:
    from orchestrator.ports.progress import Progress


class DockerImages(OnEngine):
    """`Images` on one engine. `connect` is called at first use, and must cache."""

    def build(self, spec: BuildSpec, progress: Progress) -> str:
        from orchestrator.adapters.docker import build  # imported here, so that other commands start fast

        with engine_errors("build the image"):
            return build.image(self._connect(), spec, progress)

    def find(self, reference: str) -> Image | None:
        info = self._inspect(reference)
        if info is None:
            return None
        config = info["Config"]
        volumes = tuple(sorted(config.get("Volumes") or {}))
        ports = _ports(config.get("ExposedPorts") or {})
        return Image(
            str(info["Id"]),
            dict(config.get("Labels") or {}),
            ports,
            config.get("User") or "",
            volumes,
            digests=tuple(info.get("RepoDigests") or ()),
            platform=f"{info.get('Os', '')}/{info.get('Architecture', '')}",
        )

    def platform(self) -> str:
        with engine_errors("report its version"):
            reported = self._connect().version()
        return f"{reported.get('Os', '')}/{reported.get('Arch', '')}"

    def tag(self, image_id: str, reference: str) -> None:
        with engine_errors(f"tag the image as {reference}"):
            self._tag(image_id, reference)

    def labelled(self, labels: Mapping[str, str]) -> list[tuple[str, str]]:
        with engine_errors("list the images"):
            rows = self._api.images(filters={"label": [f"{key}={value}" for key, value in labels.items()]})
        return [(tag, str(row["Id"])) for row in rows for tag in _tags(row) or [""]]

    def usage(self) -> EngineUsage:
        with engine_errors("report its disk usage"):
            api = self._api
            folder = str(api.info().get("DockerRootDir", ""))
            dangling = api.images(filters={"dangling": True})
            cache = api.df().get("BuildCache") or []
        return EngineUsage(
            folder=folder,
            dangling=len(dangling),
            dangling_bytes=sum(int(image.get("Size", 0)) for image in dangling),
            cache_bytes=sum(int(entry.get("Size", 0)) for entry in cache if not entry.get("Shared")),
        )

    def layers(self, image_id: str) -> list[Layer]:
        import docker.errors

        info = self._inspect(image_id)
        if info is None:
            return []
        digests = info["RootFS"].get("Layers") or []
        with engine_errors("read the history of an image"):
            try:
                # One entry for each instruction, the newest first; an instruction that changed no file has no layer.
                sizes = [int(row["Size"]) for row in reversed(self._api.history(image_id)) if row["Size"]]
            except docker.errors.ImageNotFound:
                return []  # removed between the two requests
        if len(sizes) != len(digests):
            sizes = [0] * len(digests)  # one of the layers is empty, and it is unknown which
        return [Layer(digest, size) for digest, size in zip(digests, sizes, strict=True)]

    def remove(self, reference: str, image_id: str) -> bool:
        import docker.errors

        with engine_errors("remove an image"):
            images = self._connect().images
            try:
                tags = images.get(image_id).tags
                if tags and reference not in tags:
                    return False
                images.remove(reference if tags else image_id)
            except docker.errors.APIError as error:
                if error.status_code == 404:
                    return False
                # When two images with the same parent are removed at the same time, the engine may report an error
                # about the parent although both were removed (docker/compose#9763).
                if self._inspect(image_id) is None:
                    return True
                # A container uses it, perhaps one of another program.
                if error.status_code == 409:
                    return False
                raise
        return True

    def _inspect(self, reference: str) -> dict[str, Any] | None:
        with engine_errors("inspect an image"):
            return self._image(reference)


def _tags(row: Mapping[str, Any]) -> list[str]:
    # Engines up to 24 list a name for an image that has none.
    return [tag for tag in row.get("RepoTags") or [] if tag != "<none>:<none>"]


def _ports(exposed: Mapping[str, Any]) -> tuple[int, ...]:
    """The TCP ports in the engine's notation, such as `8080/tcp`."""
    numbers = (name.removesuffix("/tcp") for name in exposed)
    return tuple(sorted(int(number) for number in numbers if number.isdecimal()))
