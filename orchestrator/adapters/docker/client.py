"""The connection to the Docker engine. Works with API 1.41 (engine 20.10) and later."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.docker import context
from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.domain.engine import Engine
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


def connect(recorded: Callable[[], Engine | None] = lambda: None) -> DockerClient:
    """A client for the engine that DOCKER_HOST or the docker context names, or for the local one.

    `recorded` is the engine of the containers. It is compared only when it had another address: the comparison takes
    30 ms.

    Raises:
        EngineUnreachable: the engine does not answer.
        UsageError: it is another engine than the recorded one, or the docker context cannot be used.
    """
    import docker

    host = context.follow(os.environ)
    with engine_errors("report its version"):
        if host not in _API_VERSIONS:
            _API_VERSIONS[host] = _api_version(docker.DockerClient)
        client = docker.DockerClient.from_env(version=_API_VERSIONS[host], timeout=timeout())
    # A local socket needs no web proxy, and the search for one takes 0.4 ms per request.
    client.api.trust_env = not client.api.base_url.startswith("http+docker:")
    known = recorded()
    if known is not None and known.host != host:
        _refuse_another(known, engine_of(settings(client), host))
    return client


def settings(client: DockerClient) -> Mapping[str, Any]:
    """What the engine tells about itself. The answer takes 30 ms.

    Raises:
        EngineUnreachable: it does not answer.
    """
    with engine_errors("report its settings"):
        info: dict[str, Any] = client.api.info()
    return info


def engine_of(info: Mapping[str, Any], host: str) -> Engine:
    """The identity of the engine at an address, from its settings."""
    # Older engines of one machine share the id.
    return Engine(f"{info.get('ID', '')} {info.get('DockerRootDir', '')}", str(info.get("Name", "")), host)


def _refuse_another(known: Engine, asked: Engine) -> None:
    if asked.id != known.id:
        raise UsageError(
            f"this is another engine: the containers of this state folder are on {known}, not on {asked}",
            why="DOCKER_HOST or the docker context names it; a second copy of everything would be made there",
            hint=f"run the command with DOCKER_HOST={known.host} (or: docker context use default), or use another"
            " --state-dir for the other engine",
        )


def _api_version(client: type[DockerClient]) -> str:
    """The API version that the engine speaks, requested as the docker CLI does.

    The SDK's `version="auto"` requests the versions of all components, for which the engine starts programs: 8 ms.
    """
    # The SDK requires a version; the path of this request has none.
    with closing(client.from_env(version="1.41", timeout=timeout())) as asking:
        answer = asking.api.get(f"{asking.api.base_url}/_ping", timeout=timeout())
    return answer.headers.get("Api-Version") or "auto"
