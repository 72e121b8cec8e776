"""On which sockets a container listens: from /proc of this host, or from a program in the container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.domain.health.sockets import Listener, parse

_TABLES = ("tcp", "tcp6")


def listening(api: Any, container_id: str) -> tuple[Listener, ...] | None:
    """The listening sockets of a running container; None when they cannot be read.

    Raises what the SDK raises.
    """
    pid = int(api.inspect_container(container_id)["State"].get("Pid") or 0)
    table = _of_process(pid, container_id)
    if table is None:
        table = _of_exec(api, container_id)
    return None if table is None else parse(table)


def _of_process(pid: int, container_id: str, proc: Path = Path("/proc")) -> str | None:
    """The socket tables of a process of this host; None when it is not the container's, or may not be read.

    The engine may run on another host, or in a namespace of its own, where the number means another process. Mounts of
    a container's process name the container's id, because the engine mounts files such as /etc/hosts from its folder.
    """
    if pid <= 0:
        return None
    process = proc / str(pid)
    try:
        if container_id not in (process / "mountinfo").read_text(errors="replace"):
            return None
        return "\n".join((process / "net" / name).read_text() for name in _TABLES if (process / "net" / name).exists())
    except OSError:
        return None


def _of_exec(api: Any, container_id: str) -> str | None:
    """The same tables from `cat` in the container; None when the image has no such program."""
    job = api.exec_create(container_id, ["cat", *(f"/proc/net/{name}" for name in _TABLES)], stderr=False)["Id"]
    output = bytes(api.exec_start(job))
    # Without IPv6 one of the files is missing, so the exit code says nothing; the header of a table does.
    return output.decode(errors="replace") if b"local_address" in output else None
