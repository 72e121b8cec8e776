"""What the engine says while it pushes or pulls, and why a registry refuses."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from orchestrator.errors import RegistryError, UsageError

if TYPE_CHECKING:
    from docker import DockerClient

    from orchestrator.ports.progress import Progress

_TIMEOUT_VARIABLE, _TIMEOUT = "DEPLOYCTL_REGISTRY_TIMEOUT", 300
# Seconds between two lines of progress.
_REPORT_INTERVAL = 1.0
MISSING = re.compile(r"manifest unknown|name unknown|not found|does not exist", re.IGNORECASE)
# What fails again at the next try, and what to do about it.
_PERMANENT: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(r"no basic auth|unauthorized|authentication required|incorrect username|denied|forbidden", re.I),
        "docker login {host}, as the user that runs deployctl",
    ),
    (
        re.compile(r"x509: certificate signed by unknown authority"),
        "the engine does not know the CA that signed the registry's certificate: put the CA's certificate into"
        " /etc/docker/certs.d/{host}/ca.crt",
    ),
    (
        re.compile(r"x509:|\btls: "),
        "check the name and the dates of the registry's certificate; the certificate of your own CA belongs into"
        " /etc/docker/certs.d/{host}/ca.crt",
    ),
    (
        re.compile(r"server gave HTTP response to HTTPS client"),
        "set up TLS for the registry, or add {host} to insecure-registries in /etc/docker/daemon.json",
    ),
    (MISSING, "somebody removed it from the registry"),
    (re.compile(r"no space left"), "free some disk on the engine and in the registry"),
)


class TransientError(RegistryError):
    """The registry refused, or did not answer, and may not at the next try."""


def patience() -> int:
    """How many seconds a registry may make no progress.

    Raises:
        UsageError: $DEPLOYCTL_REGISTRY_TIMEOUT is not a number of seconds.
    """
    text = os.environ.get(_TIMEOUT_VARIABLE, "")
    if text and not (re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 86400):
        raise UsageError(f"{_TIMEOUT_VARIABLE}: invalid time {text!r}", hint="write whole seconds, from 1 to 86400")
    return int(text) if text else _TIMEOUT


def messages(
    client: DockerClient, path: str, params: dict[str, str], reference: str, progress: LayerProgress
) -> Iterator[dict[str, Any]]:
    """What the engine says while it pushes or pulls `reference`, message by message.

    The SDK's own push and pull have no time limit, or one that a slow registry exceeds.

    Raises:
        RegistryError: the registry refuses, or makes no progress.
    """
    import requests.exceptions

    what = f"{reference} could not be {progress.verb}"
    api: Any = client.api
    limit = patience()
    url = f"{api.base_url}/v{api.api_version}{path}"
    moved = time.monotonic()
    try:
        with closing(api.post(url, params=params, headers=login(reference), stream=True, timeout=limit)) as answer:
            if not answer.ok:
                raise refusal(what, reference, error_text(answer))
            for line in answer.iter_lines():
                progress.check()
                message: dict[str, Any] = json.loads(line) if line else {}
                if "error" in message:
                    raise refusal(what, reference, str(message["error"]))
                if progress.advances(message):
                    moved = time.monotonic()
                elif time.monotonic() - moved > limit:
                    raise _stalled(what, reference, limit, str(message.get("status", "")))
                yield message
    except requests.exceptions.RequestException as error:
        if "timed out" not in str(error):
            raise
        client.ping()  # raises when it is the engine that hangs
        raise _stalled(what, reference, limit, "") from error


class LayerProgress:
    """How far the layers of an image are, in one line a second. `verb` is `pushed` or `pulled`."""

    def __init__(self, verb: str, progress: Progress) -> None:
        self.verb = verb
        self.check = progress.check
        self._detail = progress.detail
        self._reported = time.monotonic()
        self._current: dict[tuple[str, str], int] = {}
        self._bytes: dict[str, tuple[int, int]] = {}
        self._done: dict[str, bool] = {}

    def advances(self, message: Mapping[str, Any]) -> bool:
        """Reports a message; True when it is further than all before it."""
        layer, status = str(message.get("id", "")), str(message.get("status", ""))
        if status.startswith("Retrying"):
            self._report(f"layer {layer}: the connection broke off, {status[:1].lower()}{status[1:]}")
            return False
        detail = message.get("progressDetail") or {}
        current = int(detail.get("current") or 0)
        before = self._current.get((layer, status), -1)
        self._current[layer, status] = max(current, before)
        if layer and not status.startswith("Pulling from"):
            self._done[layer] = status in ("Pushed", "Layer already exists", "Pull complete", "Already exists") or (
                status.startswith("Mounted from")
            )
            if status in ("Pushing", "Downloading"):
                self._bytes[layer] = current, max(current, int(detail.get("total") or 0))
            done = sum(part for part, _ in self._bytes.values()) / 1e6
            size = sum(whole for _, whole in self._bytes.values()) / 1e6
            layers = f"{sum(self._done.values())} of {len(self._done)} layers"
            self._report(f"{self.verb} {layers}, {done:.1f} of {size:.1f} MB")
        return current > before

    def _report(self, text: str) -> None:
        if time.monotonic() - self._reported >= _REPORT_INTERVAL:
            self._reported = time.monotonic()
            self._detail(text)


def login(reference: str) -> dict[str, Any]:
    """The header with what `docker login` has stored for the registry; empty credentials where it stored none.

    Raises:
        RegistryError: the credential helper failed.
    """
    import docker.errors
    from docker import auth

    host = _host(reference)
    try:
        credentials = auth.resolve_authconfig(auth.load_config(), host)
    except docker.errors.DockerException as error:
        raise RegistryError(
            f"the login for {host} cannot be read",
            why=str(error),
            hint="check that the program works that credsStore or credHelpers in docker's config.json names",
        ) from error
    return {"X-Registry-Auth": auth.encode_header(credentials or {})}


def error_text(answer: Any) -> str:
    """Why the engine answered with an error."""
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:200]}"


def refusal(what: str, reference: str, text: str) -> RegistryError:
    """The error for what a registry says when it refuses: a TransientError where the next try may succeed."""
    text = text.strip() or "the registry gave no reason"
    for pattern, hint in _PERMANENT:
        if pattern.search(text):
            return RegistryError(what, why=text, hint=hint.format(host=_host(reference)))
    hint = f"check that the registry {_host(reference)} runs and that the engine can reach it"
    return TransientError(what, why=text, hint=hint)


def _stalled(what: str, reference: str, seconds: int, last: str) -> RegistryError:
    return RegistryError(
        what,
        why=f"the registry {_host(reference)} made no progress for {seconds} s" + (f" ({last})" if last else ""),
        hint=f"check whether it hangs. If it is only slow: {_TIMEOUT_VARIABLE}={2 * seconds} deployctl …",
    )


def _host(reference: str) -> str:
    return reference.partition("/")[0]
