"""What was counted of the live version since its switch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.traffic.counted import Traffic
from orchestrator.release.evidence import unanswered_since
from tests.fakes.world import APP
from tests.unit.stage import Stage


@pytest.mark.parametrize(
    ("seen", "known", "expected"),
    [
        (Traffic(), True, 3),
        (Traffic(requests=2, failures=2), True, 5),
        (Traffic(requests=3, failures=2), True, 0),
        # Without the counters at the switch it is not known that nothing was answered: open requests prove nothing.
        (Traffic(), False, 0),
    ],
)
def test_requests_without_an_answer(stage: Stage, seen: Traffic, known: bool, expected: int) -> None:
    world = stage.world(lambda world: world.release("v1"))
    live = world.ledger.slots(APP)["blue"]
    world.proxy.open[APP, "blue"] = 3
    assert unanswered_since(world.services, live if known else replace(live, deployment=999), seen) == expected
