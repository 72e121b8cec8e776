"""Causes that a container's log names: lines that programs write when the container lacks something. Pure.

The first entry that matches wins. Programs also write such lines about something that they can do without, so a line
does not end the wait for a version unless the program says in it that it gives up (`fatal`). Entries with `near` count
only at the end of the log, because there they are the reason of the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache

from orchestrator.domain.health.cause import Cause
from orchestrator.domain.health.endings import memory_hint
from orchestrator.domain.rollout.workload import Runtime
from orchestrator.frozen import frozen

# How many of the last lines count as the end of a log.
_NEAR = 15
# How long the program may take to end by itself, after it wrote that it gives up. Seconds.
_FATAL_PATIENCE = 1.0
# What servers need that start as root and serve as another user, such as nginx.
_CHANGE_USER = ("CHOWN", "SETGID", "SETUID")
_LINE = 200

Advice = Callable[[re.Match[str], Runtime], str]


@frozen
class _Sign:
    pattern: re.Pattern[str]
    advice: Advice
    near: bool = False
    fatal: bool = False


def log_cause(lines: Sequence[str], runtime: Runtime) -> Cause | None:
    """The cause that the lines of a log name; None when they name none that is known.

    `runtime.user` must be the user that the container has, also when the image names it.
    """
    given_up = _gives_up(lines)
    for sign in _signs():
        for line in reversed(lines[-_NEAR:] if sign.near else lines):
            match = sign.pattern.search(line)
            advice = sign.advice(match, runtime) if match else ""
            if advice:
                return Cause(_quoted(line), advice, _FATAL_PATIENCE if sign.fatal or given_up else None)
    return (
        Cause(_quoted(given_up), "fix what the lines before it in the log say", _FATAL_PATIENCE) if given_up else None
    )


def _quoted(line: str) -> str:
    return f"its log says: {line.strip()[:_LINE]}"


def _gives_up(lines: Sequence[str]) -> str:
    """The line in which a program that stays alive says that it will not serve; empty when there is none."""
    return next((line for line in reversed(lines) if _GIVES_UP.search(line)), "")


def _root(user: str) -> bool:
    return user.partition(":")[0] in ("0", "root")


def _fixed(text: str) -> Advice:
    return lambda match, runtime: text


def _init(match: re.Match[str], runtime: Runtime) -> str:
    return "its init process must be PID 1: set run.init = false" if runtime.init else ""


def _new_privileges(match: re.Match[str], runtime: Runtime) -> str:
    return "it needs run.no_new_privileges = false" if runtime.no_new_privileges else ""


def _capabilities(*names: str) -> Advice:
    def advice(match: re.Match[str], runtime: Runtime) -> str:
        missing = [name for name in names if name not in runtime.cap_add and "ALL" not in runtime.cap_add]
        if not missing:
            return ""
        if runtime.user and not _root(runtime.user):
            return f"the user {runtime.user} may not do that: set another user in run.user"
        wanted = ", ".join(f'"{name}"' for name in [*runtime.cap_add, *missing])
        return f"containers have no capabilities by default: set run.cap_add = [{wanted}], or start it as another user"

    return advice


def _some_capability(match: re.Match[str], runtime: Runtime) -> str:
    return (
        "containers have no capabilities by default: add the one that this needs to run.cap_add"
        " ('docker run' adds CHOWN, DAC_OVERRIDE, FOWNER, SETGID, SETUID, NET_BIND_SERVICE and others)"
    )


def _privileged_port(match: re.Match[str], runtime: Runtime) -> str:
    capability = _capabilities("NET_BIND_SERVICE")(match, runtime)
    return f"ports below 1024 are privileged: use a higher one (app.port); or, {capability}" if capability else ""


def _denied(match: re.Match[str], runtime: Runtime) -> str:
    if "DAC_OVERRIDE" in runtime.cap_add:
        return "check the owner and the mode of the file, or set run.user"
    if runtime.user and not _root(runtime.user):
        return f"make the file or folder accessible to the user {runtime.user}, or set another user in run.user"
    added = ", ".join(f'"{name}"' for name in [*runtime.cap_add, "DAC_OVERRIDE"])
    return (
        "the file or folder belongs to another user, and root has no capability to ignore that: change its owner,"
        f" set run.user to the owner, or run.cap_add = [{added}]"
    )


def _read_only(match: re.Match[str], runtime: Runtime) -> str:
    if not runtime.read_only:
        return "it writes into a folder that is mounted read-only: check run.volumes and model.mount"
    return (
        'run.read_only is set: make the folder writable with run.tmpfs = ["/tmp"] or a volume in run.volumes,'
        " or remove run.read_only"
    )


def _library(match: re.Match[str], runtime: Runtime) -> str:
    name = next(group for group in match.groups() if group)
    cuda = name.startswith(("libcu", "libnv", "libnccl"))
    more = ", or use a base image with CUDA" if cuda else ""
    return f"the image lacks the library {name}: install it in the Dockerfile{more}"


def _module(match: re.Match[str], runtime: Runtime) -> str:
    return f"the image lacks the Python module {match[1]}: add it to what the Dockerfile installs"


def _variable(match: re.Match[str], runtime: Runtime) -> str:
    return f"set {match[1]} in run.env, or in run.secret_env if its value is a secret"


def _file(match: re.Match[str], runtime: Runtime) -> str:
    return f"{match[1]} is not in the container: copy it in the Dockerfile, or set model.path and model.mount"


def _memory(match: re.Match[str], runtime: Runtime) -> str:
    return memory_hint(runtime.memory)


# Pattern, advice, and `near`, `fatal` or neither. Compiled only when a version has failed.
_TABLE: tuple[tuple[str, Advice, str], ...] = (
    (
        r"(can only|must) (be )?run as pid 1|must be (started as |run as )?pid 1|s6-overlay.*fatal.*pid 1",
        _init,
        "fatal",
    ),
    (r"system has not been booted with systemd|Trying to run as user instance", _init, "near"),
    (r"sudo: .*no new privileges|effective uid is not 0", _new_privileges, "near"),
    # nginx and its like: the first of these that fails is only the first of all that are missing.
    (
        r"\b(set(res)?[ug]id|sete?[ug]id|setgroups|initgroups)\b.*Operation not permitted",
        _capabilities(*_CHANGE_USER),
        "",
    ),
    (r"\bchown\b.*Operation not permitted", _capabilities(*_CHANGE_USER), "near"),
    (r"Operation not permitted.*\b(setgroups|set[ug]id|chown)\b", _capabilities(*_CHANGE_USER), "near"),
    (r"\b(bind|listen)\w*\b.*:\d{1,3}\b.*(Permission denied|EACCES)", _privileged_port, "near"),
    (r"(Permission denied|EACCES).*(\bbind|:\d{1,3}$)", _privileged_port, "near"),
    (r"\b(mlock|mlockall)\b.*(not permitted|Cannot allocate)", _capabilities("IPC_LOCK"), "near"),
    (
        r"\b(set_mempolicy|mbind|sched_set\w+|setpriority|numa\w*)\b.*(not permitted|Permission denied)",
        _capabilities("SYS_NICE"),
        "near",
    ),
    (
        r"\[FATAL tini.*exec .* failed: Permission denied|\bexec:? .*: permission denied",
        _fixed("the file may not be executed: RUN chmod +x in the Dockerfile"),
        "near",
    ),
    (r"\bptrace\b.*not permitted", _capabilities("SYS_PTRACE"), "near"),
    (r"\bchroot\b.*not permitted", _capabilities("SYS_CHROOT"), "near"),
    (r"\b(raw socket|ping|socket).*not permitted", _capabilities("NET_RAW"), "near"),
    (r"\bmount\b.*(not permitted|permission denied)", _capabilities("SYS_ADMIN"), "near"),
    (r"Read-only file system|\bEROFS\b|No usable temporary (directory|file)", _read_only, "near"),
    (
        r"shared memory|/dev/shm|shm_open|No space left on device.*(psm_|torch_|sem\.)",
        _fixed("shared memory may be full: increase run.shm_size"),
        "near",
    ),
    (
        r"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|HIP out of memory",
        _fixed(
            "the GPU has too little memory for this version beside the live one: see run.gpus and rollout.keep_warm"
        ),
        "near",
    ),
    (
        r"Torch not compiled with CUDA enabled",
        _fixed("the image has a build of PyTorch without CUDA: install one with CUDA"),
        "near",
    ),
    (
        r"no kernel image is available for execution",
        _fixed("its CUDA code was not built for this GPU: install a build for it"),
        "near",
    ),
    (
        r"no NVIDIA driver|no CUDA-capable device|libcuda\.so\.1: cannot open|CUDA driver version is insufficient",
        _fixed("the container has no usable GPU: set run.gpus, and check the driver of the host (nvidia-smi)"),
        "near",
    ),
    (
        r"(\S+\.so[.\d]*): cannot open shared object file|error while loading shared libraries: ([^:\s]+)",
        _library,
        "near",
    ),
    (r"(?:ModuleNotFoundError|ImportError): No module named '?([\w.]+)", _module, "near"),
    (
        r"^\s*(SyntaxError|IndentationError|ImportError)\b",
        _fixed("the program does not load: fix it, and try it in the image with docker run"),
        "near",
    ),
    (r"\bKeyError: ['\"](?-i:([A-Z][A-Z0-9_]{2,}))['\"]", _variable, "near"),
    (r"FileNotFoundError: .*['\"](/[^'\"]+)['\"]", _file, "near"),
    (
        r"error: (the following arguments are required|unrecognized arguments|argument \S+: )",
        _fixed("its options are wrong: check run.command and the CMD of the image"),
        "near",
    ),
    (
        r"\bMemoryError\b|std::bad_alloc|OutOfMemoryError|Cannot allocate memory|can't allocate memory|out of memory",
        _memory,
        "near",
    ),
    (
        r"can't start new thread|pthread_create failed|Resource temporarily unavailable|unable to create.* thread",
        _fixed("it may not start more processes or threads: increase run.pids_limit"),
        "near",
    ),
    (
        r"Address already in use|\bEADDRINUSE\b",
        _fixed("two processes in the container listen on the same port: check run.command and run.env"),
        "near",
    ),
    (
        r"exec format error|\x7fELF",
        _fixed("the image or its start script is for another platform, or the script lacks its first line (#!/bin/sh)"),
        "near",
    ),
    (r"\bOperation not permitted\b|\bEPERM\b", _some_capability, "near"),
    (r"\bPermission ?denied\b|\bEACCES\b", _denied, "near"),
    (
        r"\[FATAL tini.*No such file or directory|\bexec:? .*: no such file or directory",
        _fixed(
            "check run.command and the CMD of the image; if the file exists, the program in its first line (#!) does"
            " not, or its lines end with CR LF"
        ),
        "near",
    ),
    (
        r"executable file not found|: not found$|command not found",
        _fixed("check run.command and the CMD of the image"),
        "near",
    ),
    (
        r"Temporary failure in name resolution|Name or service not known|Network is unreachable|Failed to resolve"
        r"|getaddrinfo|Max retries exceeded with url|LocalEntryNotFoundError",
        _fixed("it cannot reach a server that it needs: check the network of the host, and proxies in run.env"),
        "near",
    ),
)
# A master that has lost its workers, and a supervisor that has given up, do not end.
_GIVES_UP = re.compile(r"exited with fatal code \d+ and cannot be respawned|gave up: \S+ entered FATAL state")


@cache
def _signs() -> tuple[_Sign, ...]:
    return tuple(
        _Sign(re.compile(pattern, re.IGNORECASE), advice, near=kind == "near", fatal=kind == "fatal")
        for pattern, advice, kind in _TABLE
    )
