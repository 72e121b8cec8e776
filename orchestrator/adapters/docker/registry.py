"""Images in a registry: pushed with the version as the tag, pulled by digest. The engine transfers them.

Credentials are those of `docker login`, including credential helpers; they are read for each transfer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.adapters.docker.liveness import watched
from orchestrator.adapters.docker.on_engine import OnEngine
from orchestrator.adapters.docker.transfer import (
    MISSING,
    LayerProgress,
    TransientError,
    error_text,
    login,
    messages,
    refusal,
)
from orchestrator.domain import naming
from orchestrator.domain.version.build import RemoteImage
from orchestrator.domain.version.reference import Reference, parse
from orchestrator.domain.version.version import Version
from orchestrator.errors import EngineError, RegistryError, TagTaken

if TYPE_CHECKING:
    import tenacity

    from orchestrator.ports.progress import Progress

_Result = TypeVar("_Result")
_ATTEMPTS, _SECONDS = 4, 120.0  # the engine itself tries each layer six times
_CHECK_TIMEOUT = 20
_DIGEST = re.compile(r": digest: (sha256:[0-9a-f]{64}) size: ")


class DockerRegistry(OnEngine):
    """`Registry` through one engine. `connect` is called at first use, and must cache."""

    def push(self, image_id: str, reference: str, progress: Progress, *, replaces: Collection[str] = ()) -> str:
        repository, _, tag = reference.rpartition(":")
        with engine_errors("push the image"):
            there = self._digest(reference, progress)
            if there and f"{repository}@{there}" not in replaces:
                self._refuse_another(image_id, f"{repository}@{there}", reference, progress)
            elif there:
                progress.detail(f"{reference} is moved from {there}, which an earlier attempt pushed")
            self._tag(image_id, reference)
            try:
                digest = _retrying(lambda: self._push(repository, tag, progress), progress)
            finally:
                # The tag is needed only for the push. If it cannot be removed now, the undo removes it.
                with suppress(EngineError):
                    self.untag(reference)
        return f"{repository}@{digest}"

    def _digest(self, reference: str, progress: Progress) -> str:
        """The digest that a tag has in the registry; empty when it does not exist, or may not be read."""
        try:
            answer = _retrying(lambda: self._ask(reference, f"{reference} could not be pushed"), progress)
        except TransientError:
            raise
        except RegistryError:
            return ""  # a login may be for pushes only; what is wrong otherwise, the push says as well
        return str((answer.get("Descriptor") or {}).get("digest") or "")

    def _refuse_another(self, image_id: str, pinned: str, reference: str, progress: Progress) -> None:
        """Raises TagTaken unless `pinned` is the image: a push that was interrupted at its end has pushed it already.

        The engine compares the manifest and gets the layers that it does not have, so this is for rare cases.
        """
        client = self._connect()
        _retrying(lambda: self._pull(pinned, progress), progress)
        found = client.images.get(pinned)
        if found.id == image_id:
            return
        with suppress(EngineError):
            self._forget(pinned)
        raise TagTaken(
            f"{reference} is another image in the registry",
            why=f"the tag belongs to {pinned.partition('@')[2]}, which no release of this version has pushed",
        )

    def _forget(self, pinned: str) -> None:
        import docker.errors

        with engine_errors("remove an image"), suppress(docker.errors.ImageNotFound):
            self._connect().images.remove(pinned)

    def _push(self, repository: str, tag: str, progress: Progress) -> str:
        client, digest = self._connect(), ""
        layers = LayerProgress("pushed", progress)
        reference = f"{repository}:{tag}"
        with watched(client, "the push"):
            for message in messages(client, f"/images/{repository}/push", {"tag": tag}, reference, layers):
                # With the containerd image store only the last message has the digest, in its text.
                match = _DIGEST.search(str(message.get("status", "")))
                digest = (message.get("aux") or {}).get("Digest") or (match[1] if match else digest)
        if not digest:
            raise RegistryError(f"{reference} could not be pushed", why="the engine reported no digest for it")
        return digest

    def pull(self, version: Version, progress: Progress) -> str:
        assert version.pushed is not None, "only a pushed version can be pulled"
        pinned = version.pushed
        labels = {
            naming.LABEL_APP: version.app,
            naming.LABEL_VERSION: version.name,
            naming.LABEL_MANIFEST: version.manifest,
        }
        with engine_errors("pull the image"):
            client = self._connect()
            _retrying(lambda: self._pull(pinned, progress), progress)
            image = client.images.get(pinned)
            # An engine may store the same image under another id. An image that was not built here has no such labels.
            same = image.id == version.image_id or labels.items() <= (image.labels or {}).items()
            if not same and version.from_image is None:
                if not image.tags:
                    client.images.remove(pinned)
                raise RegistryError(
                    f"{pinned} is not the image {version.image} that was pushed",
                    why=f"its id is {image.id}, the recorded one is {version.image_id}, and its labels differ",
                )
            image.tag(*version.image.rsplit(":", 1))
            self.untag(pinned)
            return str(image.id)

    def resolve(self, reference: str, progress: Progress) -> RemoteImage | None:
        what = f"the registry did not return the digest of {reference}"
        with engine_errors("contact the registry"):
            try:
                # A question: somebody waits for the answer, and can ask again.
                answer = _retrying(lambda: self._ask(reference, what), progress, attempts=2)
            except RegistryError as error:
                if "push" in error.hint:
                    host = reference.partition("/")[0]
                    error.hint = f"check the name; if the image is private: docker login {host}"
                raise
        digest = str((answer.get("Descriptor") or {}).get("digest") or "")
        named = parse(reference)
        if not digest or named is None:
            return None
        rows = answer.get("Platforms") or ()
        platforms = tuple(f"{row.get('os', '')}/{row.get('architecture', '')}" for row in rows)
        # What an index has beside images is not for a platform.
        pinned = str(Reference(named.repository, digest=digest))
        return RemoteImage(pinned, tuple(p for p in platforms if "unknown" not in p))

    def fetch(self, pinned: str, progress: Progress) -> str:
        with engine_errors("pull the image"):
            _retrying(lambda: self._pull(pinned, progress), progress)
            return str(self._connect().images.get(pinned).id)

    def _pull(self, pinned: str, progress: Progress) -> None:
        client = self._connect()
        repository, _, digest = pinned.partition("@")
        params = {"fromImage": repository, "tag": digest}
        with watched(client, "the pull"):
            for _ in messages(client, "/images/create", params, pinned, LayerProgress("pulled", progress)):
                pass

    def untag(self, reference: str) -> bool:
        import docker.errors

        with engine_errors("remove a tag from an image"):
            images = self._connect().images
            try:
                # The engine removes an image together with its last tag.
                if not set(images.get(reference).tags) - {reference}:
                    return False
                images.remove(reference)
            except docker.errors.ImageNotFound:
                return False
        return True

    def check(self, repository: str) -> None:
        with engine_errors("contact the registry"):
            self._ask(f"{repository}:v1", f"the check of {repository} failed")

    def _ask(self, reference: str, what: str) -> dict[str, Any]:
        """What the registry tells about a reference; empty when it does not exist, which is an answer, too.

        Raises:
            RegistryError: the registry refuses, or does not answer. `what` is the message.
        """
        import requests.exceptions

        client = self._connect()
        api: Any = client.api
        url = f"{api.base_url}/v{api.api_version}/distribution/{reference}/json"
        try:
            with closing(api.get(url, headers=login(reference), timeout=_CHECK_TIMEOUT)) as answer:
                text = "" if answer.ok else error_text(answer)
                told: dict[str, Any] = answer.json() if answer.ok else {}
        except requests.exceptions.RequestException as error:
            if "timed out" not in str(error):
                raise
            client.ping()  # raises if the engine itself hangs
            raise RegistryError(what, why=f"no answer within {_CHECK_TIMEOUT} s") from error
        if text and not MISSING.search(text):
            raise refusal(what, reference, text)
        return told


def _retrying(attempt: Callable[[], _Result], progress: Progress, *, attempts: int = _ATTEMPTS) -> _Result:
    import tenacity

    def report(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0
        progress.detail(f"{getattr(error, 'why', error)}: trying again in {pause:.0f} s")

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_after_attempt(attempts) | tenacity.stop_after_delay(_SECONDS),
        wait=tenacity.wait_exponential(multiplier=1, max=10),
        before_sleep=report,
        reraise=True,
    )
    return retrying(attempt)
