"""Digests of the files that a container sees: read through the root folder of its process where the host allows that,
else from the engine's archive of the folder."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from orchestrator.errors import EngineError


def files_in(api: Any, container_id: str, folder: str) -> dict[str, str]:
    """SHA-256 of every file (for links, of the target) below a folder of a running container, by path in the folder."""
    info = api.inspect_container(container_id)
    root = Path(f"/proc/{info['State']['Pid']}/root")
    place = root / folder.lstrip("/")
    try:
        if _is_of(info["State"]["Pid"], container_id) and not _through_links(root, place):
            return _walk(place)
    except OSError:
        pass  # no permission, or the process has ended: use the engine's archive
    return archived(api, container_id, folder)


def archived(api: Any, container_id: str, folder: str) -> dict[str, str]:
    """As `files_in`, but from the engine's archive; it may be of another folder if this one was moved meanwhile."""
    chunks, _ = api.get_archive(container_id, folder, chunk_size=1 << 20)
    try:
        return _digested(chunks)
    except tarfile.TarError as error:
        raise EngineError(f"the engine's archive of {folder} cannot be read", why=str(error)) from error


def _digested(chunks: Iterator[bytes]) -> dict[str, str]:
    digests: dict[str, str] = {}
    with tarfile.open(fileobj=io.BufferedReader(_Stream(chunks)), mode="r|") as archive:
        for member in archive:
            path = "/".join(PurePosixPath(member.name).parts[1:])
            if member.issym():
                digests[path] = hashlib.sha256(member.linkname.encode()).hexdigest()
            elif member.isfile() and (file := archive.extractfile(member)) is not None:
                total = hashlib.sha256()
                while chunk := file.read(1 << 20):
                    total.update(chunk)
                digests[path] = total.hexdigest()
            elif member.islnk():
                digests[path] = digests["/".join(PurePosixPath(member.linkname).parts[1:])]
    return digests


def _is_of(pid: int, container_id: str) -> bool:
    """Whether a process belongs to the container. In a container, deployctl may see other process ids."""
    try:
        return container_id in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


def _through_links(root: Path, place: Path) -> bool:
    # A symlink of the container has another target when it is followed on the host.
    return any(part.is_symlink() for part in (place, *place.parents) if part.is_relative_to(root) and part != root)


def _walk(folder: Path) -> dict[str, str]:
    def stop(error: OSError) -> None:
        raise error

    digests: dict[str, str] = {}
    for parent, folders, names in os.walk(folder, onerror=stop):
        for name in (*names, *folders):
            place = Path(parent, name)
            status = place.lstat()
            path = place.relative_to(folder).as_posix()
            if stat.S_ISLNK(status.st_mode):
                digests[path] = hashlib.sha256(os.fsencode(place.readlink())).hexdigest()
            elif stat.S_ISREG(status.st_mode):
                with place.open("rb") as file:
                    digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


class _Stream(io.RawIOBase):
    """The engine's chunks as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = iter(chunks), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
