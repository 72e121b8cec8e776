from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.adapters.sqlite.ledger import SqliteLedger
from tests.unit.builders import APP


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[], SqliteLedger]]:
    """Opens the same ledger again, as another process does. The clock advances a second per record."""
    ledgers: list[SqliteLedger] = []
    seconds = itertools.count(1)

    def now() -> str:
        return f"2031-01-01T00:{next(seconds) % 60:02d}:00.000Z"

    def new() -> SqliteLedger:
        ledgers.append(SqliteLedger(tmp_path / "ledger.db", now=now))
        return ledgers[-1]

    yield new
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def ledger(opened: Callable[[], SqliteLedger]) -> SqliteLedger:
    """A ledger with one app."""
    ledger = opened()
    ledger.app_number(APP)
    return ledger
