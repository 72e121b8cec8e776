"""Notifications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Notifier(Protocol):
    """Sends notifications. Never raises, and takes about `timeout` seconds at most.

    The results contain no URL, no password and no token. A repeated call sends again.
    """

    def tell(self, urls: Sequence[str], title: str, body: str, *, severity: str, timeout: float) -> str | None:
        """Sends to all URLs; None when each one accepted it, else what is wrong, in one sentence."""

    def deliver(
        self, urls: Sequence[str], title: str, body: str, *, severity: str, timeout: float
    ) -> tuple[str | None, ...]:
        """Sends to all URLs; for each one, in their order: None when it accepted it, else why not."""

    def beat(self, url: str, timeout: float) -> str | None:
        """Requests a heartbeat URL once; None when the answer was 2xx, else what is wrong."""
