"""Requests while the traffic changes all the time: switches, shares and shields, one after the other, on real HAProxy.

In a full run there are a million of them. None may fail, and every version gets its share.
"""

from __future__ import annotations

import math
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.domain.traffic.counted import Reading, between
from orchestrator.domain.traffic.slot import SLOTS, Slot, other
from orchestrator.domain.traffic.state import ALL, TrafficState
from tests.chaos import FULL
from tests.engine import fast_model
from tests.engine.contracts.proxies import APP, VERSIONS, RealRig
from tests.engine.harness import until
from tests.engine.volume import Volume

REQUESTS = 1_000_000 if FULL else 30_000
CHANGES = 100
CLIENTS = 32
REPLICAS = 2
BODY = b"x" * 2048
SEED = 20310506
# What is open during a change may be counted before or after it.
OPEN = 2 * CLIENTS


class FastRig(RealRig):
    """A real proxy in front of fast models, each in a process of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, slot: Slot, index: int = 1) -> None:
        command = [sys.executable, fast_model.__file__, self.address(slot, index), str(self.port), VERSIONS[slot]]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "listens\n"

    def close(self) -> None:
        super().close()
        for process in self.processes:
            process.kill()
            process.communicate()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[FastRig]:
    made = FastRig(tmp_path / "proxy")
    try:
        yield made
    finally:
        made.close()


def changed(state: TrafficState, chance: random.Random) -> TrafficState:
    """Another state: a candidate gets a share or another one, loses it, or becomes live."""
    assert state.live is not None
    shield = chance.random() < 0.5
    patience = 5.0 if shield else 0.0
    kind = chance.choice(("share", "share", "switch", "abort"))
    if kind == "share":
        share = chance.choice((1, 500, 2500, 5000, 9999))
        return TrafficState(state.live, other(state.live), share, shield=shield, patience=patience)
    live = other(state.live) if kind == "switch" else state.live
    return TrafficState(live, shield=shield, patience=patience)


def expect_share(state: TrafficState, before: Reading, after: Reading) -> None:
    """Between two readings each slot got its share of the requests, as far as chance allows."""
    counts = {slot: between(before, after, slot).requests for slot in SLOTS}
    total = sum(counts.values())
    for slot in SLOTS:
        p = state.share_of(slot) / ALL
        # Six standard deviations: once in 500 million comparisons.
        allowed = 6 * math.sqrt(total * p * (1 - p)) + OPEN
        assert abs(counts[slot] - total * p) <= allowed, f"{state}: {counts}"


def test_no_request_fails_while_shares_change(rig: FastRig, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    rig.running(replicas=REPLICAS)
    state = TrafficState("blue")
    rig.traffic.apply(APP, state)
    port = int(rig.listen.rpartition(":")[2])
    switches = 0
    with Volume(port, CLIENTS, BODY, tmp_path) as volume:
        for number in range(1, CHANGES + 1):
            after = changed(state, chance)
            switches += after.live != state.live
            rig.traffic.apply(APP, after)
            assert rig.traffic.running(APP) == after
            state, before = after, rig.endpoints.counters(APP)
            until(lambda due=number * REQUESTS // CHANGES: volume.requests() >= due, "requests", 120)
            expect_share(state, before, rig.endpoints.counters(APP))
    print(f"{volume}; {switches} switches and {CHANGES - switches} other changes")
    volume.check()
    assert volume.total >= REQUESTS
    assert set(volume.answers) == {("v1", "v1"), ("v2", "v2")}
    failures = [sample.failures for slots in rig.endpoints.counters(APP).values() for sample in slots.values()]
    assert set(failures) == {0}
