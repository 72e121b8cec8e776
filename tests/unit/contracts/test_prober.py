"""The contract of `Prober`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from orchestrator.adapters.http.prober import HttpProber
from orchestrator.domain.health.probe import ProbeSpec, Target
from orchestrator.errors import Interrupted, ProbeFailed
from orchestrator.ports.prober import Prober
from tests.fakes.outside import FakeProber
from tests.fakes.progress import FakeProgress
from tests.unit.receivers import Receiver


@dataclass
class Rig:
    """A prober, and a server whose answer depends on the path."""

    prober: Prober
    port: int

    def spec(self, status: int = 200) -> ProbeSpec:
        if isinstance(self.prober, FakeProber):
            self.prober.through = lambda: status
        return ProbeSpec(
            f"/{status}", self.port, interval=0.01, timeout=10.0, successes=2, deadline=1.0 if status != 200 else 10.0
        )


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with Receiver() as server:
        yield Rig(HttpProber() if request.param == "real" else FakeProber(lambda: ()), server.port)


HERE = Target("m-1", "127.0.0.1")


@pytest.mark.parametrize("status", [200, 503])
def test_an_answer_is_its_status(rig: Rig, status: int) -> None:
    assert rig.prober.probe(HERE.address, rig.spec(status)).status == status


def test_no_server_is_a_reply_too(rig: Rig) -> None:
    reply = rig.prober.probe("127.0.0.2", rig.spec())
    assert (reply.status, reply.refused) == (None, True)
    assert "refused" in reply.error


def test_a_ready_target_ends_the_wait(rig: Rig) -> None:
    rig.prober.wait_ready([HERE], rig.spec(), alive=lambda target: None, progress=FakeProgress())
    rig.prober.wait_ready([], rig.spec(), alive=lambda target: None, progress=FakeProgress())


def test_a_target_that_is_not_ready_in_time_fails(rig: Rig) -> None:
    with pytest.raises(ProbeFailed, match="m-1 did not become ready"):
        rig.prober.wait_ready([HERE], rig.spec(503), alive=lambda target: None, progress=FakeProgress())


def test_a_target_that_has_ended_fails(rig: Rig) -> None:
    with pytest.raises(ProbeFailed, match="exited"):
        rig.prober.wait_ready([HERE], rig.spec(503), alive=lambda target: "it exited", progress=FakeProgress())


def test_a_signal_ends_the_wait(rig: Rig) -> None:
    def stop() -> None:
        raise Interrupted("stopped", signal=2)

    with pytest.raises(Interrupted):
        rig.prober.wait_ready([HERE], rig.spec(503), alive=lambda target: None, progress=FakeProgress(stop))


def test_the_path_that_exists_is_returned(rig: Rig) -> None:
    spec = rig.spec()
    found = rig.prober.wait_ready([HERE], spec, alive=lambda target: None, progress=FakeProgress())
    assert (found.path, found.closing) == ("/200", True)
    if isinstance(rig.prober, FakeProber):
        return  # it answers the same at every path of 127.0.0.1
    two = replace(spec, path="/404", otherwise=("/200",))
    assert rig.prober.wait_ready([HERE], two, alive=lambda target: None, progress=FakeProgress()).path == "/200"
