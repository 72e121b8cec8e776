"""The messages of the engine during a push or a pull, and the errors of registries."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from orchestrator.errors import RegistryError, TagTaken, UsageError

if TYPE_CHECKING:
    from docker import DockerClient

    from orchestrator.ports.progress import Progress

_TIMEOUT_VARIABLE, _TIMEOUT = "DEPLOYCTL_REGISTRY_TIMEOUT", 300
# Seconds between two lines of progress.
_REPORT_INTERVAL = 1.0
MISSING = re.compile(r"manifest unknown|name unknown|not found|does not exist", re.IGNORECASE)
# Errors about a tag that exists and may not be moved: of ECR, Harbor, Artifact Registry, Nexus and Docker Hub.
_TAKEN = re.compile(
    r"immutab|cannot be overwritten|cannot (?:update|overwrite) (?:the )?tag|does not allow updating"
    r"|tag [^\n]*already exists",
    re.IGNORECASE,
)
# Errors that retries cannot fix, and the hints for them. Registries add their own words to the codes of the protocol
# (https://github.com/opencontainers/distribution-spec, "Error Codes"), so words come first: "denied" may be a quota.
_PERMANENT: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"quota|exceed[^\n]*(?:limit|storage)|storage (?:limit|resource)|insufficient storage|\b507\b", re.I
        ),
        "the registry {host} has no room left for this repository: remove old images there, or increase its quota",
    ),
    (re.compile(r"rate limit|pull limit", re.I), "docker login {host}, or wait until the registry's limit is over"),
    (
        re.compile(r"\b413\b|(?:entity|payload) too large", re.I),
        "a proxy in front of the registry {host} limits the size of requests (nginx: client_max_body_size)",
    ),
    (
        re.compile(r"name unknown|repository[^\n]*(?:does not exist|not found)|project[^\n]*not found", re.I),
        "create the repository in the registry {host} first, or check registry.push",
    ),
    (
        re.compile(r"no basic auth|unauthorized|authentication required|incorrect username|denied|forbidden", re.I),
        "docker login {host}, as the user that runs deployctl; the login must be allowed to push to the repository",
    ),
    (
        re.compile(r"x509: certificate signed by unknown authority"),
        "the engine does not know the CA that signed the registry's certificate: put the CA's certificate into"
        " /etc/docker/certs.d/{host}/ca.crt",
    ),
    (
        re.compile(r"x509:|\btls: "),
        "check the name and the dates of the registry's certificate; put the certificate of your own CA into"
        " /etc/docker/certs.d/{host}/ca.crt",
    ),
    (
        re.compile(r"server gave HTTP response to HTTPS client"),
        "set up TLS for the registry, or add {host} to insecure-registries in /etc/docker/daemon.json",
    ),
    (
        re.compile(r"no matching manifest|no match for platform", re.I),
        "it does not exist for the platform of this engine: docker buildx build --platform … builds it for one",
    ),
    (MISSING, "it was removed from the registry"),
    (re.compile(r"no space left"), "free some disk space on the engine and in the registry"),
    (
        # What is left of the codes, and of HTTP's statuses, that the same request would get again.
        re.compile(
            r"(?:^|\n|: )(?:name|tag|manifest|digest|size|range) invalid\b|manifest unverified|\bunsupported:"
            r"|HTTP status:? 4(?!08|25|29)\d\d",
            re.IGNORECASE,
        ),
        "the registry {host} does not accept this request: check registry.push, and what the registry supports",
    ),
)


class TransientError(RegistryError):
    """The registry rejected the request, or did not answer; a retry may succeed."""


def patience() -> int:
    """The time without progress after which a transfer fails, in seconds.

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
    """The messages of the engine while it pushes or pulls `reference`.

    The push and pull of the SDK have no time limit, or one that a slow registry exceeds.

    Raises:
        RegistryError: the registry rejects the request, or makes no progress.
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
        client.ping()  # raises if the engine itself hangs
        raise _stalled(what, reference, limit, "") from error


class LayerProgress:
    """Reports the progress of an image's layers, once a second. `verb` is `pushed` or `pulled`."""

    def __init__(self, verb: str, progress: Progress) -> None:
        self.verb = verb
        self.check = progress.check
        self._update = progress.update
        self._reported = time.monotonic()
        self._current: dict[tuple[str, str], int] = {}
        self._bytes: dict[str, tuple[int, int]] = {}
        self._done: dict[str, bool] = {}

    def advances(self, message: Mapping[str, Any]) -> bool:
        """Reports a message; True when it shows more progress than all before it."""
        layer, status = str(message.get("id", "")), str(message.get("status", ""))
        if status.startswith("Retrying"):
            self._report(f"layer {layer}: the connection was lost, {status[:1].lower()}{status[1:]}")
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
            self._update(text)


def login(reference: str) -> dict[str, Any]:
    """The header with the credentials of `docker login` for the registry, or with empty ones.

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
            hint="check the credential helper in credsStore or credHelpers of docker's config.json",
        ) from error
    return {"X-Registry-Auth": auth.encode_header(credentials or {})}


def error_text(answer: Any) -> str:
    """The text of an error that the engine answered with."""
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:200]}"


def refusal(what: str, reference: str, text: str) -> RegistryError:
    """The error for a rejected request: a TransientError if a retry may succeed."""
    text = text.strip() or "the registry gave no reason"
    if _TAKEN.search(text):
        return TagTaken(what, why=text)
    for pattern, hint in _PERMANENT:
        if pattern.search(text):
            return RegistryError(what, why=text, hint=hint.format(host=_host(reference)))
    hint = f"check that the registry {_host(reference)} runs and that the engine can reach it"
    return TransientError(what, why=text, hint=hint)


def _stalled(what: str, reference: str, seconds: int, last: str) -> RegistryError:
    return RegistryError(
        what,
        why=f"the registry {_host(reference)} made no progress for {seconds} s" + (f" ({last})" if last else ""),
        hint=f"check whether it hangs; if it is only slow, run: {_TIMEOUT_VARIABLE}={2 * seconds} deployctl …",
    )


def _host(reference: str) -> str:
    return reference.partition("/")[0]
