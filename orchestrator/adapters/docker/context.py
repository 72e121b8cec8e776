"""The context of the docker CLI (`docker context use`), which says which engine its programs ask.

The SDK does not read it, and buildx and `docker exec` do. So it is made the environment of this process and of the
programs that it starts: all of them ask one engine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageError
from orchestrator.files import read_small

DEFAULT = "unix:///var/run/docker.sock"


def follow(environ: MutableMapping[str, str]) -> str:
    """Sets DOCKER_HOST to the address of the chosen context, unless it is set; returns the address of the engine.

    As for the docker CLI, DOCKER_HOST comes first, then DOCKER_CONTEXT, then `docker context use`.

    Raises:
        UsageError: the context does not exist, or cannot be read.
    """
    if not environ.get("DOCKER_HOST"):
        folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or "/") / ".docker")
        name = environ.get("DOCKER_CONTEXT") or _current(folder)
        if name and name != "default":
            _apply(environ, folder / "contexts", name)
    environ.pop("DOCKER_CONTEXT", None)
    return environ.get("DOCKER_HOST") or DEFAULT


def _current(folder: Path) -> str:
    try:
        name = json.loads(read_small(folder / "config.json")).get("currentContext")
    except (OSError, ValueError, AttributeError):
        return ""  # the docker CLI ignores a file that it cannot read, and asks the default engine
    return name if isinstance(name, str) else ""


def _apply(environ: MutableMapping[str, str], contexts: Path, name: str) -> None:
    place = hashlib.sha256(name.encode()).hexdigest()
    try:
        endpoint: dict[str, Any] = json.loads(read_small(contexts / "meta" / place / "meta.json"))["Endpoints"][
            "docker"
        ]
        host = endpoint.get("Host") or DEFAULT
        if not isinstance(host, str):
            raise TypeError("its address is not a text")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(
            f"the docker context {name!r} cannot be used",
            why=str(getattr(error, "strerror", None) or error or type(error).__name__),
            hint="choose another one: docker context ls; docker context use default",
        ) from None
    environ["DOCKER_HOST"] = host
    keys = contexts / "tls" / place / "docker"
    if keys.is_dir():
        environ["DOCKER_CERT_PATH"] = str(keys)
        if not endpoint.get("SkipTLSVerify"):
            environ["DOCKER_TLS_VERIFY"] = "1"
