"""Whether the next versions of several apps fit at the same time, each of which fits alone. Pure. See `fit`.

    room   available now + what stops before the new copies start, of all apps
    need   of each app: what is expected; where nothing is measured, run.memory × run.replicas

They are refused when together they need more than the room, in memory or on a GPU. What is not known counts as nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.domain.rollout.fit import Fit, GpuFit, MemoryFit
from orchestrator.errors import UsageError
from orchestrator.text import size


def check_together(fits: Mapping[str, Fit]) -> None:
    """Checks that the releases of several apps, by their names, may begin side by side.

    Raises:
        UsageError: they do not fit at the same time.
    """
    memory: dict[str, MemoryFit | GpuFit] = {app: fit.memory for app, fit in fits.items() if fit.memory is not None}
    _check(memory, "the memory")
    for index in sorted({gpu.index for fit in fits.values() for gpu in fit.gpu}):
        _check({app: gpu for app, fit in fits.items() for gpu in fit.gpu if gpu.index == index}, f"GPU {index}")


def _check(figures: Mapping[str, MemoryFit | GpuFit], where: str) -> None:
    needs = {app: need for app, each in figures.items() if (need := _need(each))}
    room = _room(figures.values())
    if len(needs) < 2 or sum(needs.values()) <= room:
        return
    total = next(iter(figures.values())).total
    raise UsageError(
        f"{' and '.join(needs)} do not fit into {where} together",
        why=f"they need {' + '.join(map(size, needs.values()))}, and {size(room)} of {size(total)} are available",
        hint="release them one after the other, without --together; or free memory; or use --force",
    )


def _need(figures: MemoryFit | GpuFit) -> int | None:
    if isinstance(figures, MemoryFit) and figures.expected is not None:
        return figures.expected
    return figures.needed


def _room(figures: Iterable[MemoryFit | GpuFit]) -> int:
    figures = tuple(figures)
    # What is available changes a little while the apps are looked at.
    now = min((each.available - each.leaving for each in figures), default=0)
    return now + sum(each.leaving for each in figures)
