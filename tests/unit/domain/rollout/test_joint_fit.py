"""Whether several apps fit at the same time: pure rules."""

from __future__ import annotations

import pytest

from orchestrator.domain.rollout.fit import Fit, GpuFit, MemoryFit
from orchestrator.domain.rollout.joint_fit import check_together
from orchestrator.errors import UsageError

G = 1 << 30
UNKNOWN = Fit()


def memory(needed: int | None, expected: int | None, available: int, leaving: int = 0) -> Fit:
    figures = [None if each is None else each * G for each in (needed, expected)]
    return Fit(MemoryFit(figures[0], figures[1], available * G, 16 * G, leaving * G))


def gpu(index: int, needed: int | None, available: int, leaving: int = 0) -> Fit:
    need = None if needed is None else needed * G
    return Fit(None, (GpuFit(index, f"GPU-{index}", need, available * G, 80 * G, leaving * G),))


@pytest.mark.parametrize(
    ("fits", "refused"),
    [
        ([memory(4, 4, 8), memory(4, 4, 8)], False),
        ([memory(4, 4, 7), memory(4, 4, 7)], True),
        # What is expected decides, not the limit.
        ([memory(7, 3, 7), memory(7, 3, 7)], False),
        # Nothing is measured: the limit decides.
        ([memory(7, None, 7), memory(3, 3, 7)], True),
        ([memory(None, None, 7), memory(3, 3, 7)], False),
        # What stops of each is room for all.
        ([memory(4, 4, 7, 2), memory(4, 4, 7, 2)], False),
        ([memory(5, 5, 7, 2), memory(5, 5, 7, 2)], True),
        # While the second one was looked at, less was available.
        ([memory(4, 4, 8), memory(4, 4, 7)], True),
        # One alone is not refused here.
        ([memory(9, 9, 7), UNKNOWN], False),
        ([gpu(0, 40, 70), gpu(0, 40, 70)], True),
        ([gpu(0, 40, 70), gpu(1, 40, 70)], False),
        ([gpu(0, 40, 70), gpu(0, None, 70)], False),
        ([gpu(0, 40, 70, 10), gpu(0, 40, 60)], True),
        ([gpu(0, 40, 80, 10), gpu(0, 40, 70)], False),
        ([], False),
    ],
)
def test_the_rule(fits: list[Fit], refused: bool) -> None:
    named = {f"app{number}": fit for number, fit in enumerate(fits)}
    if not refused:
        check_together(named)
        return
    with pytest.raises(UsageError, match=r"app0 and app1 do not fit into (the memory|GPU 0) together: they need"):
        check_together(named)
