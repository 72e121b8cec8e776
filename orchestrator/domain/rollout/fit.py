"""Whether the next version fits into the memory beside what runs meanwhile. Pure. See `gpu_fit` for GPUs.

Blue-green and canary run two copies of the model at the same time, recreate one after the other. The rule:

    room      available now + what stops before the new copy starts (a warm version in its slot; with recreate also the
              live version). The use of the live version is already excluded from what is available.
    bound     run.memory × run.replicas: the new copy cannot use more.
    expected  what a replica of the live version uses now, × run.replicas: the new copy is the same model, or like it.

    bound ≤ room                      fits
    bound > room, expected ≤ room     tight: it fits if it uses no more than the live version
    bound > room, expected > room     refused
    bound > room, nothing measured    refused: only the limit says how much it needs
    no bound, expected ≤ room         fits; tight when less than 5 % of the machine's memory would be left
    no bound, expected > room         refused
    no bound, nothing measured        unknown

Swap space is not room: a model that is swapped out answers too late. Page cache is not use: the kernel frees it.
"""

from __future__ import annotations

from typing import Literal

from orchestrator.errors import UsageError
from orchestrator.frozen import frozen
from orchestrator.text import size

Strategy = Literal["blue-green", "canary", "recreate"]
Verdict = Literal["fits", "tight", "refused", "unknown"]

_RESERVE = 0.05
# The worst one first: the verdict of several parts is the first that one of them has.
_ORDER: tuple[Verdict, ...] = ("refused", "tight", "unknown", "fits")


@frozen
class Copies:
    """What will run at the same time: `replicas` of `version`, and `live` (None: nothing) unless it stops before.

    `limit` is run.memory in bytes, None without one.
    """

    version: str
    live: str | None
    strategy: Strategy
    replicas: int = 1
    limit: int | None = None

    @property
    def alone(self) -> bool:
        """Whether the live version, if there is one, stops before the new one starts."""
        return self.live is None or self.strategy == "recreate"

    @property
    def beside(self) -> str:
        """What runs at the same time, as the end of a sentence."""
        return "" if self.alone else f" beside the running {self.live}"


@frozen
class Memory:
    """The memory of the machine, in bytes. `available` is what new processes can use without swapping.

    `live` is what the live version uses, without page cache, and `measured` how many of its replicas that is; with 0
    nothing is known. `leaving` is what is used by containers that stop before the new ones start.
    """

    total: int
    available: int
    live: int = 0
    measured: int = 0
    leaving: int = 0


@frozen
class MemoryFit:
    """Bytes. `needed`: run.memory × replicas, without run.memory `expected`; null when unknown.

    `expected`: as many replicas as the new version has, each using what one of the live version uses now; null when
    that is not measured. `available`: when the new version starts; `leaving` is the part of it that is used now by
    containers that stop before. `total`: of the machine.
    """

    needed: int | None
    expected: int | None
    available: int
    total: int
    leaving: int = 0


@frozen
class GpuFit:
    """One GPU, in bytes: what the new version needs there if it uses what the live one uses (null: unknown).

    `leaving` is the part of `available` that is used now by containers that stop before the new version starts.
    """

    index: int
    uuid: str
    needed: int | None
    available: int
    total: int
    leaving: int = 0


@frozen
class Fit:
    """Whether a release fits. `why` says in a sentence why it is refused, `advice` what helps. `notes` are for people.

    `verdict`: `fits`, `tight` (it may not fit), `refused` (it does not), or `unknown` (too little is known to decide).
    `memory` is None when the memory of the engine's machine is not known; `gpu` are the GPUs that the version uses.
    """

    memory: MemoryFit | None = None
    gpu: tuple[GpuFit, ...] = ()
    verdict: Verdict = "unknown"
    why: str = ""
    advice: str = ""
    notes: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        return self.verdict == "refused"

    def check(self) -> None:
        """Checks that the release may begin.

        Raises:
            UsageError: it does not fit.
        """
        if self.refused:
            raise UsageError(self.why, hint=self.advice)


def combined(*parts: Fit) -> Fit:
    """The fit of all parts: the worst verdict, and the reason and the advice of the part that has it."""
    worst = min(parts, key=lambda part: _ORDER.index(part.verdict))
    return Fit(
        memory=next((part.memory for part in parts if part.memory), None),
        gpu=tuple(gpu for part in parts for gpu in part.gpu),
        verdict=worst.verdict,
        why=worst.why,
        advice=worst.advice,
        notes=tuple(note for part in parts for note in part.notes),
    )


def memory_fit(copies: Copies, memory: Memory) -> Fit:
    """Decides by the rule of this module whether the memory is sufficient."""
    room = _room(copies.strategy, memory)
    bound = copies.limit * copies.replicas if copies.limit is not None else None
    expected = copies.replicas * memory.live // memory.measured if memory.measured else None
    needed = bound if bound is not None else expected
    figures = MemoryFit(needed, expected, room, memory.total, room - memory.available)
    verdict = _verdict(bound, expected, room, memory.total)
    if verdict == "refused":
        return Fit(figures, (), verdict, _why(copies, figures), _advice(copies, bound, expected, memory))
    shown = bound is not None or verdict == "tight"
    return Fit(figures, (), verdict, notes=(_note(copies, figures, verdict),) if shown else ())


def _verdict(bound: int | None, expected: int | None, room: int, total: int) -> Verdict:
    if bound is not None and bound <= room:
        return "fits"
    if expected is None:
        return "unknown" if bound is None else "refused"
    if expected > room:
        return "refused"
    return "tight" if bound is not None or room - expected < _RESERVE * total else "fits"


def _room(strategy: Strategy, memory: Memory) -> int:
    return memory.available + memory.leaving + (memory.live if strategy == "recreate" else 0)


def _why(copies: Copies, fit: MemoryFit) -> str:
    if copies.limit is None:
        need = f"it needs {_shown(copies, fit.expected)} if it uses what {copies.live} uses"
    elif fit.expected is None:
        need = f"run.memory allows it {_shown(copies, fit.needed)}"
    else:
        need = f"run.memory allows it {_shown(copies, fit.needed)}, {copies.live} uses {_shown(copies, fit.expected)}"
    return f"{copies.version} does not fit into the memory{copies.beside}: {need}, and {_there(fit)}"


def _advice(copies: Copies, bound: int | None, expected: int | None, memory: Memory) -> str:
    options = []
    if _verdict(bound, expected, _room("recreate", memory), memory.total) != "refused":
        options.append('rollout.strategy = "recreate" runs one copy at a time')
    if copies.limit is None:
        options.append("set run.memory to what it needs, if that is less")
    else:
        options.append("set a smaller run.memory")
    if copies.replicas > 1:
        options.append("reduce run.replicas")
    options.append("free memory on this machine")
    return "; or ".join(options)


def _note(copies: Copies, fit: MemoryFit, verdict: Verdict) -> str:
    if copies.limit is None:
        need = (
            f"{copies.version} needs {_shown(copies, fit.expected)}{copies.beside}, if it uses what {copies.live} uses"
        )
        return f"memory is tight: {need}; {_there(fit)}"
    need = f"{copies.version} needs up to {_shown(copies, fit.needed)}{copies.beside}; {_there(fit)}"
    if verdict == "fits":
        return f"memory: {need}"
    expected = _shown(copies, fit.expected)
    return f"memory is tight: {need}; it fits if it uses no more than {copies.live}, {expected}"


def _shown(copies: Copies, count: int | None) -> str:
    """An amount of all replicas as `2 × 4 GiB`."""
    each = size((count or 0) // copies.replicas)
    return each if copies.replicas == 1 else f"{copies.replicas} × {each}"


def _there(fit: MemoryFit) -> str:
    return f"{size(fit.available)} of {size(fit.total)} are available"
