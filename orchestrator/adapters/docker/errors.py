"""Translates the errors of Docker and of the connection into deployctl's errors. No other module does that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.errors import EngineError, EngineUnreachable
from orchestrator.loading import load_docker

# Texts in errors of the engine, and the hints for them. The first match is used.
_HINTS: tuple[tuple[str, str], ...] = (
    ("is already in use by container", "another program's container has this name: rename or remove it"),
    ("No such image", "the image was removed: release the version again"),
    ("no space left", "free some disk: deployctl prune, or docker system df"),
    ("Address already in use", "another container uses the address: find it with docker network inspect"),
    ("docker-init", "the engine lacks its init program: install it (package tini), or set run.init = false"),
    ("exec format error", "the image is for another platform, or its start script lacks its first line (#!/bin/sh)"),
    ("permission denied: unknown", "the program of run.command or CMD is not executable: chmod +x, and build again"),
    (
        "user configured subnets",
        "the network has no range of its own: make it with docker network create --subnet 10.99.0.0/18 …",
    ),
    ("does not support reading", "choose another run.log_driver: its log cannot be read"),
    ("could not select device driver", "run.gpus needs the NVIDIA container toolkit on this machine"),
    ("executable file not found", "check run.command and the CMD of the image"),
    ("no such file or directory", "check run.command and the CMD of the image"),
)


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Translates the exceptions of the SDK; `doing` completes "the engine could not …".

    Raises:
        EngineError: the engine rejected the request.
        EngineUnreachable: the engine did not answer.
    """
    load_docker()
    import docker.errors
    import requests.exceptions

    try:
        yield
    except docker.errors.APIError as error:
        raise refusal(doing, str(error.explanation or error)) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise engine_unreachable(error, doing, hung=isinstance(error, requests.exceptions.Timeout)) from error


def refusal(doing: str, text: str) -> EngineError:
    """The error for a request that the engine rejected with `text`."""
    if "bind source path does not exist" in text and "/secrets/" in text:
        hint = "the copy of its secrets was removed: release the version again"
    else:
        hint = next((hint for part, hint in _HINTS if part in text), "")
    return EngineError(f"the engine could not {doing}", why=text, hint=hint)


def engine_unreachable(error: Exception, doing: str, *, hung: bool) -> EngineUnreachable:
    """The error for a request without an answer; `hung`: it timed out."""
    if hung:
        return EngineUnreachable(
            f"the Docker engine did not answer in time (request: {doing})",
            hint="check whether it hangs (docker ps); once it answers again, run 'deployctl recover'",
        )
    text = str(error)
    if "FileNotFoundError" in text or "No such file" in text:
        text = "its socket does not exist"
    elif "Connection refused" in text:
        text = "nothing listens on its socket"
    elif "PermissionError" in text or "Permission denied" in text:
        text = "permission denied on its socket"
    return EngineUnreachable(
        "the Docker engine does not answer",
        why=text,
        hint="check that it runs and that you have access: docker version",
    )
