"""Whether the next version fits into the memory of its GPUs beside the live one. Pure. See `fit` for the words.

Nothing limits how much of a GPU's memory a container uses, so only a measurement says what the new version needs: its
n-th GPU as much as the n-th GPU of the live version holds for it; if they use different numbers of GPUs, the mean.

    refused   one GPU has less: free now + what containers hold that stop before the new ones start
    fits      all of them have more
    unknown   the live version's use is not measured, a GPU is not found, or nvidia-smi fails
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import Literal

from orchestrator.domain.rollout.fit import Copies, Fit, GpuFit
from orchestrator.frozen import frozen
from orchestrator.text import size

# The GPUs of one replica, as `Runtime.gpus`: the first ones, all, or those with an id (index or UUID); None: none.
Selection = int | Literal["all"] | tuple[str, ...] | None


@frozen
class Gpu:
    """One GPU of the machine; bytes. `uses` is what the processes of containers hold, by the container's id."""

    index: int
    uuid: str
    total: int
    free: int
    uses: Mapping[str, int] = field(default_factory=dict)

    def held(self, containers: Collection[str]) -> int:
        """What the processes of these containers hold together."""
        return sum(self.uses.get(container, 0) for container in containers)


@frozen
class Gpus:
    """The GPUs of the machine; empty when it has none. `trouble`: why they could not be asked."""

    found: tuple[Gpu, ...] = ()
    trouble: str = ""


@frozen
class Placed:
    """Containers of one version: their ids, and the GPUs of each replica."""

    containers: frozenset[str]
    gpus: tuple[Selection, ...] = ()


def gpu_fit(copies: Copies, gpus: Gpus, wanted: Sequence[Selection], live: Placed, leaving: Collection[str]) -> Fit:
    """Decides by the rule of this module whether the memory of the GPUs `wanted` for each replica is sufficient.

    `leaving` are the ids of the containers that stop before the new ones start.
    """
    if gpus.trouble:
        return Fit(notes=(f"the memory of the GPUs is not checked: {gpus.trouble}",))
    places = _places(wanted, gpus.found)
    if not places:
        return Fit()
    needs = _needs(places, _places(live.gpus, gpus.found), live.containers)
    stopping = {*leaving, *(live.containers if copies.strategy == "recreate" else ())}
    used = sorted({gpu.index: gpu for gpu in places}.values(), key=lambda gpu: gpu.index)
    figures = tuple(
        GpuFit(gpu.index, gpu.uuid, needs.get(gpu.index), gpu.free + held, gpu.total, held)
        for gpu in used
        for held in [gpu.held(stopping)]
    )
    full = next((fit for fit in figures if fit.needed is not None and fit.needed > fit.available), None)
    if full is not None:
        return Fit(None, figures, "refused", _why(copies, full), _advice(copies, figures, gpus, live))
    return Fit(None, figures, "fits" if needs else "unknown")


def _places(selections: Sequence[Selection], gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """The GPUs of all replicas, one after the other; empty when one is not found, as a part of a GPU (MIG)."""
    places: list[Gpu] = []
    for selection in selections:
        if isinstance(selection, tuple):
            named = [_named(each, gpus) for each in selection]
            if None in named:
                return ()
            places += [gpu for gpu in named if gpu is not None]
        elif selection is not None:
            places += gpus if selection == "all" else gpus[:selection]
    return tuple(places)


def _named(name: str, gpus: Sequence[Gpu]) -> Gpu | None:
    """As Docker finds it: by its index, its UUID, or the beginning of its UUID."""
    return next((gpu for gpu in gpus if name == str(gpu.index) or gpu.uuid.startswith(name)), None)


def _needs(places: Sequence[Gpu], live: Sequence[Gpu], containers: Collection[str]) -> dict[int, int]:
    """What the new version needs on each GPU, by its index; empty when the use of the live version is not measured."""
    shares = Counter(gpu.index for gpu in live)
    each = [gpu.held(containers) // shares[gpu.index] for gpu in live]
    if not any(each):
        return {}
    if len(each) != len(places):
        each = [sum(each) // len(each)] * len(places)
    needs: Counter[int] = Counter()
    for gpu, need in zip(places, each, strict=True):
        needs[gpu.index] += need
    return dict(needs)


def _why(copies: Copies, fit: GpuFit) -> str:
    needed = f"it needs {size(fit.needed or 0)} there if it uses what {copies.live} uses"
    return (
        f"{copies.version} does not fit into GPU {fit.index}{copies.beside}: {needed},"
        f" and {size(fit.available)} of {size(fit.total)} are free"
    )


def _advice(copies: Copies, figures: Sequence[GpuFit], gpus: Gpus, live: Placed) -> str:
    held = {gpu.index: gpu.held(live.containers) for gpu in gpus.found}
    options = []
    if not copies.alone and all((fit.needed or 0) <= fit.available + held[fit.index] for fit in figures):
        options.append('rollout.strategy = "recreate" runs one copy at a time')
    if len(gpus.found) > len(figures):
        options.append('give each slot its own GPUs, as run.gpus = { blue = ["0"], green = ["1"] }')
    options.append(f"if {copies.version} needs less, release it with --force")
    return "; or ".join(options)
