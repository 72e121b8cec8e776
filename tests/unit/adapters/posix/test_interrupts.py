"""Signals are raised only at safe points."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from orchestrator.adapters.posix.interrupts import ProcessInterrupts
from orchestrator.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def installed() -> Iterator[ProcessInterrupts]:
    """Real signal handlers, restored afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    interrupts = ProcessInterrupts()
    interrupts.install()
    yield interrupts
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_without_a_signal_nothing_happens(installed: ProcessInterrupts) -> None:
    installed.check()
    with installed.interruptible():
        pass
    assert not installed.pending


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_waits_for_the_next_safe_point(installed: ProcessInterrupts, number: int, code: int) -> None:
    send(number)
    assert installed.pending
    with pytest.raises(Interrupted) as caught:
        installed.check()
    assert caught.value.exit_code == code
    assert str(caught.value) == f"interrupted ({signal.Signals(number).name}): stopped before traffic was switched"


def test_inside_a_wait_it_is_raised_at_once(installed: ProcessInterrupts) -> None:
    after = []
    with pytest.raises(Interrupted), installed.interruptible():
        send(signal.SIGINT)
        after.append("reached")
    assert after == []


def test_a_wait_that_begins_with_a_pending_signal_does_not_begin(installed: ProcessInterrupts) -> None:
    send(signal.SIGINT)
    with pytest.raises(Interrupted), installed.interruptible():
        pytest.fail("the wait began")


def test_after_a_wait_it_is_remembered_again(installed: ProcessInterrupts) -> None:
    with installed.interruptible():
        pass
    send(signal.SIGINT)
    assert installed.pending


def test_waits_may_be_nested(installed: ProcessInterrupts) -> None:
    with pytest.raises(Interrupted), installed.interruptible():
        with installed.interruptible():
            pass
        send(signal.SIGINT)
        pytest.fail("the outer wait went on")


def test_disarmed_it_is_only_remembered(installed: ProcessInterrupts) -> None:
    installed.disarm()
    send(signal.SIGINT)
    installed.check()
    with installed.interruptible():
        pass
    assert installed.pending
    error = installed.error("v2 is live")
    assert (str(error), error.exit_code) == ("interrupted (SIGINT): v2 is live", 130)


def test_the_second_signal_ends_at_once(installed: ProcessInterrupts) -> None:
    send(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)


def test_disarmed_the_second_signal_ends_at_once_as_well(installed: ProcessInterrupts) -> None:
    installed.disarm()
    send(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGTERM)


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGINT])
def test_a_lost_terminal_may_send_its_signal_again(installed: ProcessInterrupts, first: int) -> None:
    installed.disarm()
    send(first)
    send(signal.SIGHUP)
    assert installed.error("").signal == first
    with pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)


def test_a_signal_that_was_ignored_stays_ignored(installed: ProcessInterrupts) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    fresh = ProcessInterrupts()
    fresh.install()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    send(signal.SIGHUP)
    assert not fresh.pending
