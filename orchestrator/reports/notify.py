"""How a test notification was delivered. Pure."""

from __future__ import annotations

from orchestrator.frozen import frozen


@frozen
class UndeliveredUrl:
    """A URL that did not accept a notification: its number among all, from 1, and why."""

    number: int
    why: str


@frozen
class NotifyReport:
    """How a test notification was delivered. `problems` are those of `notify.urls_file`."""

    app: str
    urls: int
    delivered: int
    failed: tuple[UndeliveredUrl, ...]
    problems: tuple[str, ...]


def notify_report(app: str, replies: tuple[str | None, ...], problems: tuple[str, ...]) -> NotifyReport:
    """`replies` holds for each URL None, or why it did not accept the notification."""
    failed = tuple(UndeliveredUrl(number, why) for number, why in enumerate(replies, 1) if why is not None)
    return NotifyReport(app, len(replies), len(replies) - len(failed), failed, problems)
