"""Whether a release fits into the memory and the GPUs of the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.rollout.fit import Copies, Fit, GpuFit, Memory, MemoryFit, Verdict, combined, memory_fit
from orchestrator.domain.rollout.gpu_fit import Gpu, Gpus, Placed, Selection, gpu_fit
from orchestrator.errors import UsageError

G = 1 << 30
BESIDE = Copies("v2", "v1", "blue-green", limit=6 * G)
FIRST = Copies("v1", None, "blue-green", limit=6 * G)
BARE = replace(BESIDE, limit=None)
# A machine with 10 GiB, of which v1 uses 6 and 4 are available.
FULL = Memory(10 * G, 4 * G, live=6 * G, measured=1)


@pytest.mark.parametrize(
    ("copies", "memory", "verdict"),
    [
        # run.memory is available: nothing else matters.
        (FIRST, Memory(10 * G, 6 * G), "fits"),
        (BESIDE, Memory(10 * G, 6 * G, live=7 * G, measured=1), "fits"),
        (BESIDE, Memory(10 * G, 6 * G), "fits"),
        # It is not, and the live version does not use it.
        (BESIDE, Memory(10 * G, 6 * G - 1, live=G, measured=1), "tight"),
        (replace(BESIDE, limit=20 * G), Memory(10 * G, 4 * G, live=4 * G, measured=1), "tight"),
        # A model that uses 60 % of the machine, and run.memory is that.
        (BESIDE, FULL, "refused"),
        (replace(BESIDE, strategy="canary"), FULL, "refused"),
        (replace(BESIDE, strategy="recreate"), FULL, "fits"),
        # Only the limit says how much it needs.
        (FIRST, Memory(10 * G, 6 * G - 1), "refused"),
        (BESIDE, Memory(10 * G, 6 * G - 1), "refused"),
        # A warm version in the slot is stopped first.
        (BESIDE, replace(FULL, leaving=2 * G), "fits"),
        (BESIDE, replace(FULL, leaving=2 * G - 1), "refused"),
        # Replicas: a copy is all of them, and each is like one of the live version's.
        (replace(BESIDE, limit=2 * G, replicas=3), Memory(10 * G, 6 * G), "fits"),
        (replace(BESIDE, limit=2 * G, replicas=4), Memory(10 * G, 6 * G, live=3 * G, measured=2), "tight"),
        (replace(BESIDE, limit=2 * G, replicas=4), Memory(10 * G, 6 * G, live=4 * G, measured=2), "refused"),
        # A smaller limit than what the live version uses.
        (replace(BESIDE, limit=4 * G), FULL, "fits"),
        (replace(BESIDE, limit=4 * G), Memory(10 * G, 3 * G, live=9 * G, measured=1), "refused"),
        # Without run.memory.
        (replace(FIRST, limit=None), Memory(10 * G, 0), "unknown"),
        (BARE, Memory(10 * G, 0), "unknown"),
        (BARE, Memory(10 * G, 4 * G, live=3 * G, measured=1), "fits"),
        (BARE, Memory(10 * G, 4 * G, live=4 * G - G // 4, measured=1), "tight"),
        (BARE, Memory(10 * G, 4 * G, live=4 * G + 1, measured=1), "refused"),
        (replace(BARE, strategy="recreate"), FULL, "fits"),
    ],
)
def test_the_rule(copies: Copies, memory: Memory, verdict: Verdict) -> None:
    fit = memory_fit(copies, memory)
    assert fit.verdict == verdict
    assert bool(fit.why) == bool(fit.advice) == fit.refused == (verdict == "refused")
    if fit.refused:
        with pytest.raises(UsageError) as caught:
            fit.check()
        assert (caught.value.message, caught.value.hint, caught.value.exit_code) == (fit.why, fit.advice, 2)
    else:
        fit.check()


def test_the_figures() -> None:
    assert memory_fit(BESIDE, FULL).memory == MemoryFit(6 * G, 6 * G, 4 * G, 10 * G)
    assert memory_fit(replace(BESIDE, strategy="recreate"), FULL).memory == MemoryFit(
        6 * G, 6 * G, 10 * G, 10 * G, 6 * G
    )
    assert memory_fit(replace(BARE, replicas=2), FULL).memory == MemoryFit(12 * G, 12 * G, 4 * G, 10 * G)
    assert memory_fit(FIRST, replace(FULL, measured=0)).memory == MemoryFit(6 * G, None, 4 * G, 10 * G)


def test_a_refusal_says_why_and_what_helps() -> None:
    fit = memory_fit(BESIDE, FULL)
    assert fit.why == (
        "v2 does not fit into the memory beside the running v1:"
        " run.memory allows it 6 GiB, v1 uses 6 GiB, and 4 GiB of 10 GiB are available"
    )
    assert fit.advice == (
        'rollout.strategy = "recreate" runs one copy at a time; or set a smaller run.memory;'
        " or free memory on this machine"
    )
    bare = memory_fit(replace(BARE, replicas=2), replace(FULL, available=10 * G, measured=1))
    assert "it needs 2 × 6 GiB if it uses what v1 uses, and 10 GiB of 10 GiB are available" in bare.why
    assert "set run.memory to what it needs, if that is less; or reduce run.replicas" in bare.advice
    first = memory_fit(FIRST, Memory(10 * G, G))
    assert first.why == (
        "v1 does not fit into the memory: run.memory allows it 6 GiB, and 1 GiB of 10 GiB are available"
    )


@pytest.mark.parametrize(
    ("copies", "memory", "helps"),
    [
        (BESIDE, FULL, True),
        (FIRST, Memory(10 * G, G), False),  # nothing runs that could stop
        (replace(BESIDE, limit=4 * G), replace(FULL, available=3 * G, live=4 * G), True),
        (replace(BESIDE, limit=4 * G), replace(FULL, available=0, live=9 * G), True),  # by its smaller limit
        (replace(BESIDE, limit=12 * G, replicas=2), replace(FULL, available=3 * G), False),  # one copy is too much
    ],
)
def test_recreate_is_advised_only_where_it_helps(copies: Copies, memory: Memory, helps: bool) -> None:
    fit = memory_fit(copies, memory)
    assert fit.refused and ("recreate" in fit.advice) == helps
    if helps:
        assert not memory_fit(replace(copies, strategy="recreate"), memory).refused


def test_what_is_shown() -> None:
    twice = replace(BESIDE, replicas=2, limit=2 * G)
    assert memory_fit(twice, FULL).notes == (
        "memory: v2 needs up to 2 × 2 GiB beside the running v1; 4 GiB of 10 GiB are available",
    )
    assert memory_fit(replace(BESIDE, strategy="recreate"), FULL).notes == (
        "memory: v2 needs up to 6 GiB; 10 GiB of 10 GiB are available",
    )
    assert memory_fit(BESIDE, Memory(10 * G, 4 * G, live=3 * G, measured=1)).notes == (
        "memory is tight: v2 needs up to 6 GiB beside the running v1; 4 GiB of 10 GiB are available;"
        " it fits if it uses no more than v1, 3 GiB",
    )
    assert memory_fit(BARE, Memory(10 * G, 4 * G, live=4 * G, measured=1)).notes == (
        "memory is tight: v2 needs 4 GiB beside the running v1, if it uses what v1 uses; 4 GiB of 10 GiB are available",
    )
    assert memory_fit(BARE, Memory(10 * G, 4 * G, live=G, measured=1)).notes == ()
    assert memory_fit(BARE, Memory(10 * G, 4 * G)).notes == ()


def test_the_worst_part_decides() -> None:
    fits, unknown = memory_fit(BESIDE, Memory(10 * G, 6 * G)), Fit(notes=("not checked",))
    assert combined(fits).verdict == "fits"
    both = combined(fits, unknown)
    assert (both.verdict, both.memory, both.notes) == ("unknown", fits.memory, (*fits.notes, "not checked"))
    refused = memory_fit(BESIDE, FULL)
    assert combined(unknown, refused).why == refused.why


# --- GPUs ----------------------------------------------------------------------------------------------------------


def gpu(index: int, free: int, **uses: int) -> Gpu:
    return Gpu(index, f"GPU-{index}{index}aa", 80 * G, free * G, {name: count * G for name, count in uses.items()})


def fit_of(
    gpus: tuple[Gpu, ...],
    wanted: tuple[Selection, ...],
    live: tuple[Selection, ...] = (),
    copies: Copies = BARE,
    leaving: tuple[str, ...] = (),
) -> Fit:
    return gpu_fit(copies, Gpus(gpus), wanted, Placed(frozenset({"a", "b"}), live), leaving)


@pytest.mark.parametrize(
    ("gpus", "wanted", "live", "verdict"),
    [
        # Both versions on one GPU.
        ((gpu(0, 30, a=50),), ("all",), ("all",), "refused"),
        ((gpu(0, 50, a=30),), ("all",), ("all",), "fits"),
        ((gpu(0, 30, a=30), gpu(1, 80)), (1,), (1,), "fits"),
        ((gpu(0, 29, a=30), gpu(1, 80)), (1,), (1,), "refused"),
        ((gpu(0, 60, a=30), gpu(1, 0, b=30)), (1,), ("all",), "fits"),
        # Both replicas on one GPU.
        ((gpu(0, 30, a=15, b=15),), (("0",), ("0",)), (("0",), ("0",)), "fits"),
        ((gpu(0, 29, a=15, b=15),), (("0",), ("0",)), (("0",), ("0",)), "refused"),
        # Each slot has its own, by index and by UUID.
        ((gpu(0, 30, a=50), gpu(1, 80)), (("1",),), (("0",),), "fits"),
        ((gpu(0, 30, a=50), gpu(1, 40)), (("1",),), (("0",),), "refused"),
        ((gpu(0, 30, a=50), gpu(1, 40)), (("GPU-11",),), (("GPU-00aa",),), "refused"),
        # The n-th GPU of one slot needs what the n-th of the other needs.
        ((gpu(0, 0, a=60), gpu(1, 0, b=10), gpu(2, 60), gpu(3, 10)), (("2",), ("3",)), (("0",), ("1",)), "fits"),
        ((gpu(0, 0, a=60), gpu(1, 0, b=10), gpu(2, 60), gpu(3, 9)), (("2",), ("3",)), (("0",), ("1",)), "refused"),
        # Another number of GPUs: the mean.
        ((gpu(0, 0, a=60), gpu(1, 0, b=20), gpu(2, 40)), (("2",),), (("0", "1"),), "fits"),
        ((gpu(0, 0, a=60), gpu(1, 0, b=20), gpu(2, 39)), (("2",),), (("0", "1"),), "refused"),
        # Unknown: nothing measured, the memory of another program, a GPU that is not there, a part of one, no GPU.
        ((gpu(0, 0),), ("all",), ("all",), "unknown"),
        ((gpu(0, 0, c=70),), ("all",), ("all",), "unknown"),
        ((gpu(0, 30, a=50),), (("7",),), (("0",),), "unknown"),
        ((gpu(0, 30, a=50),), (("MIG-1",),), (("0",),), "unknown"),
        ((), ("all",), ("all",), "unknown"),
    ],
)
def test_the_rule_of_gpus(
    gpus: tuple[Gpu, ...], wanted: tuple[Selection, ...], live: tuple[Selection, ...], verdict: Verdict
) -> None:
    assert fit_of(gpus, wanted, live).verdict == verdict


def test_a_gpu_that_does_not_have_enough() -> None:
    fit = fit_of((gpu(0, 30, a=50), gpu(1, 80)), (("0",),), (("0",),))
    assert fit.gpu == (GpuFit(0, "GPU-00aa", 50 * G, 30 * G, 80 * G),)
    assert fit.why == (
        "v2 does not fit into GPU 0 beside the running v1:"
        " it needs 50 GiB there if it uses what v1 uses, and 30 GiB of 80 GiB are free"
    )
    assert fit.advice == (
        'rollout.strategy = "recreate" runs one copy at a time; or give each slot its own GPUs, as'
        ' run.gpus = { blue = ["0"], green = ["1"] }; or if v2 needs less, release it with --force'
    )


def test_what_stops_before_is_free_on_a_gpu() -> None:
    full = (gpu(0, 10, a=40, old=30),)
    assert fit_of(full, ("all",), ("all",)).refused
    assert fit_of(full, ("all",), ("all",), leaving=("old",)).verdict == "fits"
    assert fit_of(full, ("all",), ("all",), copies=replace(BARE, strategy="recreate")).verdict == "fits"


def test_recreate_is_not_advised_to_who_has_it() -> None:
    twice: tuple[Selection, ...] = (("0",), ("0",))
    fit = fit_of((gpu(0, 10, a=40),), twice, (("0",),), copies=replace(BARE, strategy="recreate", replicas=2))
    assert fit.refused and fit.advice == "if v2 needs less, release it with --force"


def test_gpus_that_cannot_be_asked_are_a_note() -> None:
    fit = gpu_fit(BARE, Gpus(trouble="nvidia-smi did not answer"), ("all",), Placed(frozenset(), ()), ())
    assert (fit.verdict, fit.notes) == (
        "unknown",
        ("the memory of the GPUs is not checked: nvidia-smi did not answer",),
    )
