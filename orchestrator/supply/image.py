"""Images that were built elsewhere, by CI for example: where they are, and what a version made of one consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from orchestrator.config import printable
from orchestrator.domain.version.manifest import MODEL, Manifest, of_image
from orchestrator.domain.version.platforms import runs
from orchestrator.domain.version.reference import Reference, digest_of, is_id, parse
from orchestrator.errors import RegistryError, StorageError, UsageError
from orchestrator.frozen import frozen

if TYPE_CHECKING:
    from orchestrator.domain.version.build import RemoteImage
    from orchestrator.domain.version.version import Version
    from orchestrator.ports.images import Images
    from orchestrator.ports.manifests import Manifests
    from orchestrator.ports.progress import Progress
    from orchestrator.ports.registry import Registry


class ImageRecords(Protocol):
    """The part of the ledger that is needed here."""

    def versions(self, app: str) -> Mapping[str, Version]:
        """All versions by name."""


class ImagePorts(Protocol):
    """The ports that images come from."""

    @property
    def images(self) -> Images:
        """The images on the engine."""

    @property
    def registry(self) -> Registry:
        """The images in registries."""

    @property
    def manifests(self) -> Manifests:
        """The manifests of versions."""

    @property
    def ledger(self) -> ImageRecords:
        """The recorded versions."""

    @property
    def progress(self) -> Progress:
        """Progress of long work."""


@frozen
class FoundImage:
    """An image as the user named it, its name with the digest if it has one, and its id if the engine has it."""

    reference: str
    pinned: str = ""
    image_id: str = ""


def find_image(ports: ImagePorts, app: str, text: str) -> FoundImage:
    """Finds an image on the engine, else in its registry. Changes nothing.

    Raises:
        UsageError: there is no such image, or it is not for the platform of the engine.
        RegistryError: the registry refuses, or does not answer.
    """
    name = parse(text)
    if name is None and not is_id(text):
        raise UsageError(
            f"--image: {printable(text)!r} is not the name of an image",
            hint="write it as for docker pull: --image registry.example.com/mymodel:1.4",
        )
    image = ports.images.find(text)
    if image is not None:
        refuse_platform(ports, text, [image.platform])
        own = (
            each for each in image.digests if (known := parse(each)) and name and known.repository == name.repository
        )
        return FoundImage(text, next(own, ""), image.id)
    remote = _resolve(ports, text, name) if name is not None else None
    if name is None or remote is None:
        where = f"neither the engine nor the registry {name.host} has it" if name else "the engine does not have it"
        login = f"; a private image needs a login: docker login {name.host}" if name else ""
        raise UsageError(f"--image: there is no image {text}", why=where, hint=f"check its name and its tag{login}")
    refuse_platform(ports, text, remote.platforms)
    found = FoundImage(text, remote.pinned)
    here = ports.images.find(remote.pinned)
    known_ids = [version.image_id for version in _same(ports, app, found)]
    return replace(found, image_id=here.id if here else next(filter(ports.images.find, known_ids), ""))


def recorded_image(version: Version) -> FoundImage:
    """The image that a version was made of, as it is recorded. The engine need not have it any more."""
    return FoundImage(version.from_image or "", version.pushed or "", version.image_id)


def _resolve(ports: ImagePorts, text: str, name: Reference) -> RemoteImage | None:
    try:
        return ports.registry.resolve(str(name), ports.progress)
    except RegistryError as error:
        error.message = f"--image: the engine does not have {text}, and its registry did not return its digest"
        raise


def refuse_platform(ports: ImagePorts, reference: str, platforms: Sequence[str]) -> None:
    """Checks that the engine can run an image that exists for these platforms.

    Raises:
        UsageError: it cannot.
    """
    engine = ports.images.platform()
    if not runs(engine, platforms):
        raise UsageError(
            f"--image: {reference} is for {', '.join(platforms)}, and this engine runs {engine}",
            hint=f"build it for this platform: docker buildx build --platform {engine} …",
        )


def image_manifest(ports: ImagePorts, app: str, found: FoundImage, model: Manifest) -> Manifest | None:
    """The manifest of a version that is made of an image and of the model files in `model`.

    None: the engine does not have the image, so its layers are not known.
    """
    files = [file for path, file in model.files.items() if path.startswith(MODEL)]
    # What is recorded of it first: it may have been built here, and another engine may count its layers otherwise.
    for version in _same(ports, app, found):
        with suppress(StorageError):
            recorded = ports.manifests.load(version.manifest)
            if recorded is not None:
                others = [file for path, file in recorded.files.items() if not path.startswith(MODEL)]
                return Manifest.of([*others, *files], recorded.build)
    if not found.image_id:
        return None
    return of_image(found.image_id, ports.images.layers(found.image_id), files)


def _same(ports: ImagePorts, app: str, found: FoundImage) -> list[Version]:
    """The recorded versions that have this image."""
    digest = digest_of(found.pinned)
    return [
        version
        for version in ports.ledger.versions(app).values()
        if version.image_id == found.image_id
        or (digest and digest in (digest_of(version.from_image), digest_of(version.pushed)))
    ]
