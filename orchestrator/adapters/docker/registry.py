"""Images in a registry: pushed with the version as the tag, pulled by digest. The engine transfers them.

Credentials are those of `docker login`, including credential helpers; they are read for each transfer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.adapters.docker.liveness import watched
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
from orchestrator.domain.version.version import Version
from orchestrator.errors import EngineError, RegistryError

if TYPE_CHECKING:
    import tenacity
    from docker import DockerClient

    from orchestrator.ports.progress import Progress

_Result = TypeVar("_Result")
_ATTEMPTS, _SECONDS = 4, 120.0  # the engine itself tries each layer six times
_CHECK_TIMEOUT = 20
_DIGEST = re.compile(r": digest: (sha256:[0-9a-f]{64}) size: ")


class DockerRegistry:
    """`Registry` through one engine. `connect` is called at first use, and must cache."""

    def __init__(self, connect: Callable[[], DockerClient]) -> None:
        self._connect = connect

    def push(self, image_id: str, reference: str, progress: Progress) -> str:
        repository, _, tag = reference.rpartition(":")
        with engine_errors("push the image"):
            client = self._connect()
            client.api.tag(image_id, repository, tag)
            try:
                digest = _retrying(lambda: self._push(repository, tag, progress), progress)
            finally:
                # The tag is needed only for the push. If it cannot be removed now, the undo removes it.
                with suppress(EngineError):
                    self.untag(reference)
        return f"{repository}@{digest}"

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
            # An engine may store the same image under another id.
            if image.id != version.image_id and not labels.items() <= (image.labels or {}).items():
                if not image.tags:
                    client.images.remove(pinned)
                raise RegistryError(
                    f"{pinned} is not the image {version.image} that was pushed",
                    why=f"its id is {image.id}, the recorded one is {version.image_id}, and its labels differ",
                )
            image.tag(*version.image.rsplit(":", 1))
            self.untag(pinned)
            return str(image.id)

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
        import requests.exceptions

        what = f"the check of {repository} failed"
        with engine_errors("contact the registry"):
            client = self._connect()
            api: Any = client.api
            url = f"{api.base_url}/v{api.api_version}/distribution/{repository}:v1/json"
            try:
                with closing(api.get(url, headers=login(repository), timeout=_CHECK_TIMEOUT)) as answer:
                    text = "" if answer.ok else error_text(answer)
            except requests.exceptions.RequestException as error:
                if "timed out" not in str(error):
                    raise
                client.ping()  # raises if the engine itself hangs
                raise RegistryError(what, why=f"no answer within {_CHECK_TIMEOUT} s") from error
        # A missing tag is an answer, too.
        if not answer.ok and not MISSING.search(text):
            raise refusal(what, repository, text)


def _retrying(attempt: Callable[[], _Result], progress: Progress) -> _Result:
    import tenacity

    def report(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0
        progress.detail(f"{getattr(error, 'why', error)}: trying again in {pause:.0f} s")

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TransientError),
        stop=tenacity.stop_after_attempt(_ATTEMPTS) | tenacity.stop_after_delay(_SECONDS),
        wait=tenacity.wait_exponential(multiplier=1, max=10),
        before_sleep=report,
        reraise=True,
    )
    return retrying(attempt)
