"""What this machine has, and what its containers use of it: memory by the kernel's files, GPUs by nvidia-smi.

The engine reports the use of a container, but takes 1.0 s with `one-shot` and 2.0 s without it on Docker 20.10;
the file of the container's control group takes 0.1 ms.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from orchestrator.domain.rollout.gpu_fit import Gpu, Gpus
from orchestrator.ports.host import HostMemory

# nvidia-smi takes up to some seconds when the driver does not stay loaded (persistence mode). Seconds.
_SMI_LIMIT = 10.0
_GPUS = "--query-gpu=index,uuid,memory.total,memory.free"
_PROCESSES = "--query-compute-apps=gpu_uuid,pid,used_gpu_memory"
_MIB = 1 << 20


def memory(proc: Path) -> HostMemory | None:
    """The memory of this machine; None when the kernel does not tell it."""
    try:
        # The values of /proc/meminfo are in KiB.
        told = {key: int(rest.split()[0]) << 10 for key, rest in _pairs(proc / "meminfo", ":")}
        return HostMemory(told["MemTotal"], told["MemAvailable"] + _cache_of_zfs(proc), os.uname().release)
    except (OSError, ValueError, LookupError):
        return None


def _cache_of_zfs(proc: Path) -> int:
    """What the cache of ZFS gives back on demand, which the kernel does not count as available."""
    try:
        told = dict(_pairs(proc / "spl" / "kstat" / "zfs" / "arcstats", None))
        return max(0, int(told["size"].split()[-1]) - int(told["c_min"].split()[-1]))
    except (OSError, ValueError, LookupError):
        return 0


def memory_of(proc: Path, groups: Path, container: str, pid: int) -> int | None:
    """The memory that a container uses, in bytes, without page cache; None when it cannot be read.

    `groups` is the folder of the control groups, `pid` a process of the container.
    """
    try:
        folder = _group(proc, groups, container, pid)
        told = {key: int(value) for key, value in _pairs(folder / "memory.stat", None)}
    except (OSError, ValueError, LookupError):
        return None
    # Version 1 of control groups counts the groups inside in fields of their own, version 2 in all fields.
    used = told.get("total_rss", told.get("anon"))
    return None if used is None else used + told.get("total_shmem", told.get("shmem", 0))


def _group(proc: Path, groups: Path, container: str, pid: int) -> Path:
    """The control group of a container that has its memory.

    Raises:
        OSError, LookupError: it is not known: the process ended, or is not one of the container.
    """
    rows = [line.split(":", 2) for line in (proc / str(pid) / "cgroup").read_text().splitlines()]
    first = [(groups / "memory", path) for _, controllers, path in rows if "memory" in controllers.split(",")]
    root, path = (first or [(groups, path) for number, _, path in rows if number == "0"])[0]
    parts = Path(path).parts
    own = [number for number, part in enumerate(parts) if container in part]
    # The first one: a program in the container may have made groups inside.
    return root.joinpath(*parts[1 : own[0] + 1])


def _pairs(path: Path, separator: str | None) -> Iterator[tuple[str, str]]:
    for line in path.read_text().splitlines():
        key, *rest = line.split(separator, 1)
        if rest:
            yield key, rest[0]


def gpus(proc: Path, path: str | None, containers: Collection[str]) -> Gpus:
    """The GPUs of this machine, and what processes of these containers hold; `path` is where programs are."""
    program = shutil.which("nvidia-smi", path=path)
    if program is None:
        return Gpus()
    try:
        uses = _uses(proc, _ask(program, _PROCESSES), containers)
        rows = _ask(program, _GPUS)
    except subprocess.TimeoutExpired:
        return Gpus(trouble=f"nvidia-smi did not answer within {_SMI_LIMIT:g} s")
    except subprocess.CalledProcessError as error:
        said = [*error.stdout.splitlines(), *error.stderr.splitlines(), ""]
        return Gpus(trouble=f"nvidia-smi ended with exit code {error.returncode}: {said[0]}")
    except OSError as error:
        return Gpus(trouble=f"nvidia-smi cannot be run: {error.strerror}")
    found = []
    for row in rows:
        index, uuid, *sizes = [*row, "", "", "", ""][:4]
        # A GPU that shares the memory of the machine, or is divided, answers [N/A].
        if index.isdigit() and all(each.isdigit() for each in sizes):
            total, free = (int(each) * _MIB for each in sizes)
            found.append(Gpu(int(index), uuid, total, free, uses.get(uuid, {})))
    return Gpus(tuple(found))


def _ask(program: str, query: str) -> list[list[str]]:
    done = subprocess.run(
        (program, query, "--format=csv,noheader,nounits"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SMI_LIMIT,
        check=True,
    )
    return [[each.strip() for each in line.split(",")] for line in done.stdout.splitlines()]


def _uses(proc: Path, rows: list[list[str]], containers: Collection[str]) -> dict[str, Mapping[str, int]]:
    """What the processes of containers hold, by GPU and container."""
    uses: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        uuid, pid, used = [*row, "", "", ""][:3]
        if not (pid.isdigit() and used.isdigit()):
            continue
        try:
            groups = (proc / pid / "cgroup").read_text()
        except OSError:  # the process has ended
            continue
        for container in containers:
            if container in groups:
                uses[uuid][container] += int(used) * _MIB
    return {uuid: dict(held) for uuid, held in uses.items()}
