"""`proxy upgrade`: what it waits for, what it says, and what a signal does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.adapters.posix.interrupts import ProcessInterrupts
from orchestrator.cli.render.proxy import status_lines, upgrade_text
from orchestrator.domain.traffic.program import Leaving, Refusals
from orchestrator.errors import Interrupted, ProxyError, UsageError
from orchestrator.ports.services import Services
from orchestrator.release.proxy import upgrade
from orchestrator.reports.proxy import ProxyUpgradeReport, proxy_program, proxy_report, proxy_status
from tests.fakes.world import APP, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.release("v1")
    yield made
    made.close()


def signalled(services: Services) -> ProcessInterrupts:
    interrupts = services.interrupts
    assert isinstance(interrupts, ProcessInterrupts)
    interrupts.signal = signal.SIGINT
    return interrupts


def text(world: World, services: Services, left: Leaving | None = None) -> str:
    program = proxy_program(services.edge.program())
    return upgrade_text(ProxyUpgradeReport(proxy_report(services).proxy, program, program, left, 1.0))


def test_with_nothing_open_it_ends_at_once(world: World) -> None:
    services = world.process()
    done = upgrade(services)
    assert done.before is not None
    assert done.after is not None
    assert (done.before.name, done.after.name, done.leaving) == ("HAProxy 2.6.12", "HAProxy 2.6.13", None)
    assert world.time < 1
    assert world.served() == "v1"
    assert text(world, services) == "the proxy is HAProxy 2.6.13 (before: HAProxy 2.6.13)"


def test_it_waits_for_open_requests_and_says_what_is_left(world: World) -> None:
    world.proxy.open[APP, "blue"] = 2
    services = world.process()
    done = upgrade(services)
    assert done.leaving == Leaving(2, 2)
    assert 30 <= world.time < 31
    assert "the old proxy still has 2 open requests, 29 s left to wait" in world.reports.details
    assert text(world, services, done.leaving).endswith(
        "; the old proxy still has 2 open requests; a later command removes the old proxy when it has none left"
    )
    with pytest.raises(UsageError, match="the previous proxy still has"):
        upgrade(world.process())
    world.proxy.open.clear()
    assert upgrade(world.process()).leaving is None


def test_it_ends_when_they_have_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.proxy.open[APP, "blue"] = 1

    def sleep(seconds: float) -> None:
        world.time += seconds
        if world.time > 3:
            world.proxy.open.clear()

    services = world.process()
    services.sleep = sleep
    assert upgrade(services).leaving is None
    assert world.time < 4


def test_it_does_not_wait_long_for_idle_connections(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = Leaving(0, 3)
    services = world.process()
    monkeypatch.setattr(world.edge, "leaving", lambda: idle)
    monkeypatch.setattr(world.edge, "_refuse_second", lambda: None)
    assert upgrade(services).leaving == idle
    assert 5 <= world.time < 6
    assert str(idle) == "3 idle connections"


def test_a_signal_before_the_replacement_changes_nothing(world: World) -> None:
    services = world.process()
    signalled(services)
    with pytest.raises(Interrupted) as caught:
        upgrade(services)
    assert (
        caught.value.message == "interrupted (SIGINT): stopped before the proxy was replaced: the old one keeps serving"
    )
    assert caught.value.exit_code == 130
    assert world.proxy.program.name == "HAProxy 2.6.12"


def test_a_signal_after_it_ends_the_wait(world: World) -> None:
    world.proxy.open[APP, "blue"] = 1
    services = world.process()

    def sleep(seconds: float) -> None:
        world.time += seconds
        signalled(services)

    services.sleep = sleep
    with pytest.raises(Interrupted) as caught:
        upgrade(services)
    assert caught.value.message == "interrupted (SIGINT): the proxy was replaced; the old one still has 1 open request"
    assert world.time < 1
    assert world.proxy.program.name == "HAProxy 2.6.13"


def test_a_program_that_does_not_start(world: World) -> None:
    world.proxy.broken = "no such library"
    with pytest.raises(ProxyError, match="the old one keeps serving"):
        upgrade(world.process())
    assert world.proxy.program.name == "HAProxy 2.6.12"
    assert world.served() == "v1"


def test_the_build_is_made_without_the_lock(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    services = world.process()
    build = world.edge.build

    def unlocked(progress: object) -> str:
        with world.process().locks.proxy():
            return build(services.progress)

    monkeypatch.setattr(world.edge, "build", unlocked)
    upgrade(services)


def test_the_lines_of_the_status(world: World) -> None:
    world.proxy.refused[world.listen] = Refusals(world.listen, 1, 2, 3)
    world.proxy.replaced, world.proxy.open[APP, "blue"] = True, 1
    services = world.process()
    report = proxy_status(services)
    assert report.addresses == (Refusals(world.listen, 1, 2, 3),)
    assert list(status_lines(report, world.now())) == [
        "proxy: running, HAProxy 2.6.12; its image was removed: 'deployctl proxy upgrade' rebuilds it",
        "  the previous proxy still has 1 open request",
        f"  mymodel: {world.listen} → blue (1 UP)",
        f"  refused at {world.listen}: 1 request (rules), 2 unreadable requests, 3 model responses",
    ]
    world.edge.down()
    report = proxy_status(services)
    assert (report.program, report.previous, report.addresses) == (None, None, ())
    assert list(status_lines(report, world.now())) == [
        "proxy: missing",
        f"  mymodel: {world.listen} → nothing (no endpoint)",
    ]
