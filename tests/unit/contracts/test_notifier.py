"""The contract of `Notifier`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.adapters.apprise.notifier import AppriseNotifier
from orchestrator.ports.notifier import Notifier
from tests.fakes.outside import FakeNotifier
from tests.unit.receivers import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture(params=["fake", "real"])
def notifier(request: pytest.FixtureRequest) -> Notifier:
    return FakeNotifier() if request.param == "fake" else AppriseNotifier()


def test_what_is_accepted_is_no_problem(notifier: Notifier, receiver: Receiver) -> None:
    url = f"json://127.0.0.1:{receiver.port}/"
    assert notifier.tell([url], "title", "body", severity="info", timeout=20) is None
    assert notifier.deliver([url, url], "title", "body", severity="info", timeout=20) == (None, None)
    assert notifier.beat(f"http://127.0.0.1:{receiver.port}/", 20) is None


def test_without_urls_there_is_no_problem(notifier: Notifier) -> None:
    assert notifier.tell([], "title", "body", severity="info", timeout=20) is None
    assert notifier.deliver([], "title", "body", severity="info", timeout=20) == ()


def test_what_is_refused_is_words_without_the_url(notifier: Notifier, receiver: Receiver) -> None:
    if isinstance(notifier, FakeNotifier):
        notifier.why = "status 500"
    url = f"json://user:hunter2@127.0.0.1:{receiver.port}/500"
    said = notifier.tell([url], "title", "body", severity="info", timeout=20)
    [verdict] = notifier.deliver([url], "title", "body", severity="info", timeout=20)
    beat = notifier.beat(f"http://user:hunter2@127.0.0.1:{receiver.port}/500", 20)
    for words in (said, verdict, beat):
        assert words
        assert "500" in words
        assert "hunter2" not in words
