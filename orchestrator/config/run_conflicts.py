"""Values of [run] that are valid alone and conflict with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from orchestrator.config.explain import printable
from orchestrator.config.secrets import covers
from orchestrator.errors import Finding
from orchestrator.text import counted

if TYPE_CHECKING:
    from orchestrator.config.config import Config
    from orchestrator.config.run import Run

_ELSEWHERE = "mount it somewhere else"
Known = Callable[..., bool]
"""Whether the values at these paths are what the file says."""


def run_conflicts(config: Config, known: Known) -> Iterator[Finding]:
    """The conflicts in [run], and of its mounts with [model]. Values that are not known are not checked."""
    yield from _mounts(config, known)
    yield from _secrets(config, known)
    yield from _log(config.run, known)
    run = config.run
    if known("run.ipc", "run.shm_size") and run.ipc == "host" and run.shm_size:
        yield Finding("run.shm_size", 'has no effect with ipc = "host"', "remove it: the host's /dev/shm is used")
    if known("run.gpus", "run.replicas") and run.gpus is not None:
        yield from _gpus(run)


def _secrets(config: Config, known: Known) -> Iterator[Finding]:
    if known("run.secret_env", "run.env"):
        for name in sorted(config.run.secret_env.keys() & config.run.env.keys()):
            yield Finding(f"run.secret_env.{name}", "is also in run.env, which docker inspect shows", "remove one")
    if known("build.secrets", "build.builder") and config.build.secrets and config.build.builder == "classic":
        yield Finding("build.secrets", "needs BuildKit", 'set build.builder = "auto" or "buildkit"')


def _log(run: Run, known: Known) -> Iterator[Finding]:
    if not known("run.log_driver"):
        return
    if run.log_driver not in ("json-file", "local"):
        for key in ("log_max_size", "log_max_files"):
            if key in run.model_fields_set and known(f"run.{key}"):
                yield Finding(f"run.{key}", f'has no effect with log_driver = "{run.log_driver}"', "remove it")
    elif names := {"max-size", "max-file"} & run.log_options.keys():
        yield Finding(f"run.log_options.{min(names)}", "is set by another key", "use log_max_size and log_max_files")


def _mounts(config: Config, known: Known) -> Iterator[Finding]:
    run = config.run
    taken = next((f"run.{key}" for key in ("secrets", "secret_env") if getattr(run, key) and known(f"run.{key}")), "")
    targets: dict[str, str] = {}
    if config.model and known("model.mount"):
        targets[config.model.mount] = "model.mount"
        if taken and covers(config.model.mount):
            yield Finding("model.mount", f"{printable(config.model.mount)} is taken by {taken}", _ELSEWHERE)
    mounts = [(f"run.volumes[{i}]", text.split(":")[1]) for i, text in enumerate(run.volumes) if known("run.volumes")]
    mounts += [(f"run.tmpfs[{i}]", text.split(":")[0]) for i, text in enumerate(run.tmpfs) if known("run.tmpfs")]
    for where, target in mounts:
        if target in targets:
            yield Finding(where, f"{printable(target)} is taken by {targets[target]}", _ELSEWHERE)
        elif taken and covers(target):
            yield Finding(where, f"{printable(target)} is taken by {taken}", _ELSEWHERE)
        targets[target] = where


def _gpus(run: Run) -> Iterator[Finding]:
    count = run.replicas
    if isinstance(run.gpus, int) and count > 1:
        # Docker gives every container the first ones.
        ids = ", ".join(f'"{number}"' for number in range(min(count * run.gpus, 8)))
        hint = f"write their ids, of which each replica gets its own: gpus = [{ids}]"
        yield Finding("run.gpus", f"all {count} replicas would get the same GPUs", hint)
    if isinstance(run.gpus, list) and len(run.gpus) != count and len(run.gpus) % (2 * count):
        yield Finding(
            "run.gpus",
            f"{len(run.gpus)} GPUs cannot be divided evenly between two versions of {counted(count, 'replica')}",
            f"name {count}, which both versions share, or a multiple of {2 * count}; or write the GPUs of each slot: "
            'gpus = { blue = ["0"], green = ["1"] }',
        )
    for slot, ids_of_slot in run.gpus.items() if isinstance(run.gpus, dict) else ():
        if len(ids_of_slot) % count:
            message = f"{len(ids_of_slot)} GPUs cannot be divided evenly between {count} replicas"
            yield Finding(f"run.gpus.{slot}", message)
