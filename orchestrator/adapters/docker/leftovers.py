"""What builds and removed containers leave on the engine."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.docker.build import has_buildx
from orchestrator.adapters.docker.errors import engine_errors
from orchestrator.adapters.docker.on_engine import OnEngine
from orchestrator.domain.naming import LABEL_STATE, Names
from orchestrator.domain.version.build import Leftover
from orchestrator.errors import EngineError

if TYPE_CHECKING:
    from docker import DockerClient

_BUILDX_TIMEOUT = 600.0
# What the driver of a builder is called whose cache is the engine's own.
_OF_THE_ENGINE = "docker"
_UNITS = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


class DockerLeftovers(OnEngine):
    """`Leftovers` on one engine, for one state folder. `connect` is called at first use, and must cache."""

    def __init__(self, connect: Callable[[], DockerClient], names: Names) -> None:
        super().__init__(connect)
        self._names = names

    def find(self, needed: Collection[str]) -> tuple[Leftover, ...]:
        with engine_errors("report its disk usage"):
            usage = self._api.df()
            images = [*self._images(usage, needed)]
            cache = sum(int(row.get("Size", 0)) for row in usage.get("BuildCache") or [] if _unused(row))
            volumes = [*self._volumes(usage)]
        caches = [Leftover("cache", "", cache)] if cache else []
        return (*images, *caches, *_own_cache(), *volumes)

    def remove(self, leftover: Leftover) -> int | None:
        import docker.errors

        if leftover.kind == "cache" and leftover.id:
            return _prune_buildx(leftover.id)
        with engine_errors(f"remove the {leftover.words}"):
            try:
                if leftover.kind == "cache":
                    # Not `all`: that is also the cache of images that are in use, whose layers stay.
                    return int(self._api.prune_builds().get("SpaceReclaimed") or 0)
                if leftover.kind == "image":
                    self._api.remove_image(leftover.id)
                else:
                    self._api.remove_volume(leftover.id)
            except docker.errors.APIError as error:
                if error.status_code in (404, 409):
                    return None
                raise
        return leftover.size

    def _images(self, usage: dict[str, Any], needed: Collection[str]) -> Iterator[Leftover]:
        known = {row["Id"]: row for row in usage.get("Images") or []}
        for row in self._api.images(filters={"dangling": True}):
            state = (row.get("Labels") or {}).get(LABEL_STATE, self._names.state_id)
            details = known.get(row["Id"], {})
            if row["Id"] in needed or state != self._names.state_id or int(details.get("Containers", 0)) > 0:
                continue
            yield Leftover("image", row["Id"], int(row["Size"]) - max(0, int(details.get("SharedSize", 0))))

    def _volumes(self, usage: dict[str, Any]) -> Iterator[Leftover]:
        sizes = {row["Name"]: (row.get("UsageData") or {}).get("Size", 0) for row in usage.get("Volumes") or []}
        own = {"dangling": "true", "label": f"{LABEL_STATE}={self._names.state_id}"}
        for row in self._api.volumes(filters=own).get("Volumes") or []:
            yield Leftover("volume", row["Name"], max(0, int(sizes.get(row["Name"]) or 0)))


def _unused(row: dict[str, Any]) -> bool:
    """Whether pruning removes an entry of the cache."""
    return not (row.get("InUse") or row.get("Shared") or row.get("Type") in ("internal", "frontend"))


def _own_cache() -> list[Leftover]:
    """The cache of the builder that buildx uses, unless it is the engine's; empty when there is none."""
    if not has_buildx():
        return []
    # The first of each: the builder, then its nodes.
    facts = dict(reversed(re.findall(r"^(Name|Driver|Status): +(\S+)", _buildx("inspect"), re.MULTILINE)))
    name = facts.get("Name", "")
    if not name or facts.get("Driver") in (None, _OF_THE_ENGINE) or facts.get("Status", "running") != "running":
        return []
    size = size_in(_buildx("du", "--builder", name), "Reclaimable")
    return [Leftover("cache", name, size)] if size else []


def _prune_buildx(builder: str) -> int:
    return size_in(_buildx("prune", "--force", "--builder", builder), "Total")


def _buildx(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["docker", "buildx", *arguments], capture_output=True, text=True, timeout=_BUILDX_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"docker buildx {arguments[0]} failed", why=str(error)) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no message"]
        why = lines[-1].removeprefix("ERROR: ")
        raise EngineError(f"docker buildx {arguments[0]} failed", why=why, hint="see docker buildx ls")
    return done.stdout


def size_in(text: str, title: str) -> int:
    """The bytes in a line like `Total:  1.5GB`; 0 without such a line."""
    found = re.search(rf"^{title}:\s+([0-9.]+)([kMGT]?B)$", text, re.MULTILINE)
    return int(float(found[1]) * _UNITS[found[2]]) if found else 0
