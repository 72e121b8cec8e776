"""Images in a registry: pushed under a version's name, pulled by digest. The engine does both.

Who may is told by `docker login`: its file is read anew each time, credential helpers included.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from orchestrator.adapters.docker.build import pulse
from orchestrator.errors import EngineError, UsageError

if TYPE_CHECKING:
    from docker import DockerClient

Progress = Callable[[str], None]
_Found = TypeVar("_Found")
_ATTEMPTS, _SECONDS = 4, 120.0  # the engine itself tries each layer six times
_TIMEOUT_VARIABLE, _TIMEOUT = "DEPLOYCTL_REGISTRY_TIMEOUT", 300
_CHECK_TIMEOUT = 20
_SAY_EVERY = 1.0
_DIGEST = re.compile(r": digest: (sha256:[0-9a-f]{64}) size: ")
_GONE = re.compile(r"manifest unknown|name unknown|not found|does not exist", re.IGNORECASE)
# What will be no better at the next try, and what to do about it.
_LASTING: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"no basic auth|unauthorized|authentication required|incorrect username|denied|forbidden", re.I),
        "docker login {host}, as the user that runs deployctl",
    ),
    (
        re.compile(r"x509: certificate signed by unknown authority"),
        "the engine does not know who signed the registry's certificate: put that CA's certificate into"
        " /etc/docker/certs.d/{host}/ca.crt",
    ),
    (
        re.compile(r"x509:|\btls: "),
        "is the registry's certificate for this name, and in date? A CA of your own belongs into"
        " /etc/docker/certs.d/{host}/ca.crt",
    ),
    (
        re.compile(r"server gave HTTP response to HTTPS client"),
        "give the registry TLS, or name {host} among insecure-registries in /etc/docker/daemon.json",
    ),
    (_GONE, "somebody removed it from the registry"),
    (re.compile(r"no space left"), "free some disk on the engine and in the registry"),
)


class _Passing(EngineError):
    """The next try may do better."""


def patience() -> int:
    """How many seconds a registry may make no progress.

    Raises:
        UsageError: $DEPLOYCTL_REGISTRY_TIMEOUT is no number of seconds.
    """
    text = os.environ.get(_TIMEOUT_VARIABLE, "")
    if text and not (re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 86400):
        raise UsageError(f"{_TIMEOUT_VARIABLE}: {text!r} is no time", hint="write whole seconds, from 1 to 86400")
    return int(text) if text else _TIMEOUT


def push(
    client: DockerClient, image_id: str, reference: str, *, progress: Progress, cancelled: Callable[[], None]
) -> str:
    """Pushes an image as `host/path:tag`; returns what names it there for good: `host/path@sha256:…`.

    The engine knows it by that name only meanwhile.

    Raises:
        EngineError: the registry does not take it.
    """
    import docker.errors
    import requests.exceptions

    repository, _, tag = reference.rpartition(":")
    client.api.tag(image_id, repository, tag)

    def attempt() -> str:
        found = ""
        layers = _Layers("pushed", progress)
        with pulse(client, "the push"):
            for message in _ask(client, f"/images/{repository}/push", {"tag": tag}, reference, layers, cancelled):
                # With images in containerd's store it is in the last words alone.
                said = _DIGEST.search(str(message.get("status", "")))
                found = (message.get("aux") or {}).get("Digest") or (said[1] if said else found)
        if not found:
            raise EngineError(f"{reference} could not be pushed", why="the engine named no digest of it")
        return f"{repository}@{found}"

    try:
        return _again(attempt, progress)
    finally:
        # What cannot be taken away now is taken away when the deployment is undone.
        with suppress(docker.errors.DockerException, requests.exceptions.RequestException):
            untag(client, reference)


def pull(
    client: DockerClient,
    pinned: str,
    name: str,
    *,
    image_id: str,
    labels: Mapping[str, str],
    progress: Progress,
    cancelled: Callable[[], None],
) -> str:
    """Pulls `host/path@sha256:…`, calls it `name` and returns its id.

    It must be `image_id`, or bear these labels: an engine may store the same image under another id.

    Raises:
        EngineError: the registry does not give it, or gives something else.
    """
    repository, _, digest = pinned.partition("@")

    def attempt() -> None:
        layers = _Layers("pulled", progress)
        params = {"fromImage": repository, "tag": digest}
        with pulse(client, "the pull"):
            for _ in _ask(client, "/images/create", params, pinned, layers, cancelled):
                pass

    _again(attempt, progress)
    image = client.images.get(pinned)
    found = str(image.id)
    if found != image_id and not labels.items() <= (image.labels or {}).items():
        if not image.tags:
            client.images.remove(pinned)
        raise EngineError(
            f"{pinned} is not the image {name} that was pushed",
            why=f"it is {found}, recorded is {image_id}, and its labels are others",
        )
    image.tag(*name.rsplit(":", 1))
    untag(client, pinned)
    return found


def untag(client: DockerClient, reference: str) -> bool:
    """Takes a name away from an image that has another one; without one the engine would remove the image."""
    import docker.errors

    try:
        if not set(client.images.get(reference).tags) - {reference}:
            return False
        client.images.remove(reference)
    except docker.errors.ImageNotFound:
        return False
    return True


def check(client: DockerClient, repository: str) -> None:
    """Asks the registry, through the engine, for something small.

    Raises:
        EngineError: it does not answer, or does not take the login.
    """
    import requests.exceptions

    what = f"{repository} cannot be asked"
    api: Any = client.api
    url = f"{api.base_url}/v{api.api_version}/distribution/{repository}:v1/json"
    try:
        with closing(api.get(url, headers=_login(repository), timeout=_CHECK_TIMEOUT)) as answer:
            text = "" if answer.ok else _text(answer)
    except requests.exceptions.RequestException as error:
        if "timed out" not in str(error):
            raise
        client.ping()  # an engine that hangs is another matter
        raise EngineError(what, why=f"it gave no answer within {_CHECK_TIMEOUT} s") from error
    if not answer.ok and not _GONE.search(text):
        raise _refused(what, repository, text)


def _again(attempt: Callable[[], _Found], progress: Progress) -> _Found:
    import tenacity

    def tell(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0
        progress(f"{getattr(error, 'why', error)}: trying again in {pause:.0f} s")

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_Passing),
        stop=tenacity.stop_after_attempt(_ATTEMPTS) | tenacity.stop_after_delay(_SECONDS),
        wait=tenacity.wait_exponential(multiplier=1, max=10),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(attempt)


def _ask(
    client: DockerClient,
    path: str,
    params: dict[str, str],
    reference: str,
    layers: _Layers,
    cancelled: Callable[[], None],
) -> Iterator[dict[str, Any]]:
    """The engine's messages, one by one.

    The SDK's own push and pull have no time limit, or one that a slow registry would meet.

    Raises:
        EngineError: the registry refused, or makes no progress.
    """
    import requests.exceptions

    what = f"{reference} could not be {layers.verb}"
    api: Any = client.api
    limit = patience()
    url = f"{api.base_url}/v{api.api_version}{path}"
    moved = time.monotonic()
    try:
        with closing(api.post(url, params=params, headers=_login(reference), stream=True, timeout=limit)) as answer:
            if not answer.ok:
                raise _refused(what, reference, _text(answer))
            for line in answer.iter_lines():
                cancelled()
                message: dict[str, Any] = json.loads(line) if line else {}
                if "error" in message:
                    raise _refused(what, reference, str(message["error"]))
                if layers.take(message):
                    moved = time.monotonic()
                elif time.monotonic() - moved > limit:
                    raise _stuck(what, reference, limit, str(message.get("status", "")))
                yield message
    except requests.exceptions.RequestException as error:
        if "timed out" not in str(error):
            raise
        client.ping()  # an engine that hangs is another matter
        raise _stuck(what, reference, limit, "") from error


class _Layers:
    """How far each layer is, in one line a second."""

    def __init__(self, verb: str, progress: Progress) -> None:
        self.verb = verb
        self._progress = progress
        self._said = time.monotonic()
        self._far: dict[tuple[str, str], int] = {}
        self._bytes: dict[str, tuple[int, int]] = {}
        self._done: dict[str, bool] = {}

    def take(self, message: Mapping[str, Any]) -> bool:
        """True when the message tells of something that was not there before."""
        layer, status = str(message.get("id", "")), str(message.get("status", ""))
        if status.startswith("Retrying"):
            return self._tell(f"layer {layer}: the connection broke off, {status[:1].lower()}{status[1:]}")
        detail = message.get("progressDetail") or {}
        far = int(detail.get("current") or 0)
        new = far > self._far.get((layer, status), -1)
        self._far[layer, status] = max(far, self._far.get((layer, status), 0))
        if layer and not status.startswith("Pulling from"):
            self._done[layer] = status in ("Pushed", "Layer already exists", "Pull complete", "Already exists") or (
                status.startswith("Mounted from")
            )
            if status in ("Pushing", "Downloading"):
                self._bytes[layer] = far, max(far, int(detail.get("total") or 0))
            done = sum(far for far, _ in self._bytes.values()) / 1e6
            size = sum(size for _, size in self._bytes.values()) / 1e6
            self._tell(
                f"{self.verb} {sum(self._done.values())} of {len(self._done)} layers, {done:.1f} of {size:.1f} MB"
            )
        return new

    def _tell(self, text: str) -> bool:
        if time.monotonic() - self._said >= _SAY_EVERY:
            self._said = time.monotonic()
            self._progress(text)
        return False


def _login(reference: str) -> dict[str, Any]:
    """The header with what `docker login` has left for the registry. An empty one where it has left nothing."""
    import docker.errors
    from docker import auth

    host = _host(reference)
    try:
        found = auth.resolve_authconfig(auth.load_config(), host)
    except docker.errors.DockerException as error:
        raise EngineError(
            f"the login for {host} cannot be read",
            why=str(error),
            hint="credsStore and credHelpers in docker's config.json name a program: does it run?",
        ) from error
    return {"X-Registry-Auth": auth.encode_header(found or {})}


def _host(reference: str) -> str:
    return reference.partition("/")[0]


def _text(answer: Any) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:200]}"


def _refused(what: str, reference: str, text: str) -> EngineError:
    text = text.strip() or "the registry gave no reason"
    for pattern, hint in _LASTING:
        if pattern.search(text):
            return EngineError(what, why=text, hint=hint.format(host=_host(reference)))
    return _Passing(what, why=text, hint=f"does the registry {_host(reference)} run, and can the engine reach it?")


def _stuck(what: str, reference: str, seconds: int, last: str) -> EngineError:
    return EngineError(
        what,
        why=f"the registry {_host(reference)} made no progress for {seconds} s" + (f" ({last})" if last else ""),
        hint=f"does it hang? If it is only slow: {_TIMEOUT_VARIABLE}={2 * seconds} deployctl …",
    )
