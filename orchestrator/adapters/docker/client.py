"""The connection to the Docker engine. Works with API 1.41 (engine 20.10) and later."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.errors import UsageError

if TYPE_CHECKING:
    from docker import DockerClient

# The engine answers most requests immediately; a start may wait for a slow disk. Seconds.
_TIMEOUT_VARIABLE, _TIMEOUT = "DEPLOYCTL_ENGINE_TIMEOUT", 60
# By DOCKER_HOST. Cached: a pass over many apps connects for each app.
_API_VERSIONS: dict[str, str] = {}


def timeout() -> int:
    """The time limit for one answer of the engine, in seconds.

    Raises:
        UsageError: $DEPLOYCTL_ENGINE_TIMEOUT is not a number of seconds.
    """
    text = os.environ.get(_TIMEOUT_VARIABLE, "")
    try:
        seconds = int(text) if text else _TIMEOUT
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= 3600:
        raise UsageError(f"{_TIMEOUT_VARIABLE}: invalid time {text!r}", hint="write whole seconds, from 1 to 3600")
    return seconds


def connect() -> DockerClient:
    """A client for the engine that DOCKER_HOST names, or for the local one.

    Raises:
        EngineUnreachable: the engine does not answer.
    """
    import docker

    with engine_errors("report its version"):
        host = os.environ.get("DOCKER_HOST", "")
        if host not in _API_VERSIONS:
            _API_VERSIONS[host] = _api_version(docker.DockerClient)
        client = docker.DockerClient.from_env(version=_API_VERSIONS[host], timeout=timeout())
    # A local socket needs no web proxy, and the search for one takes 0.4 ms per request.
    client.api.trust_env = not client.api.base_url.startswith("http+docker:")
    return client


def _api_version(client: type[DockerClient]) -> str:
    """The API version that the engine speaks, requested as the docker CLI does.

    The SDK's `version="auto"` requests the versions of all components, for which the engine starts programs: 8 ms.
    """
    # The SDK requires a version; the path of this request has none.
    with closing(client.from_env(version="1.41", timeout=timeout())) as asking:
        answer = asking.api.get(f"{asking.api.base_url}/_ping", timeout=timeout())
    return answer.headers.get("Api-Version") or "auto"
