"""The watchdog's records, in real SQLite."""

from __future__ import annotations

import pytest

from orchestrator.adapters.sqlite import watch_records
from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.watch.passes import Pass
from orchestrator.errors import StorageError
from tests.unit.builders import APP


def test_the_newest_good_pass_outlives_any_number_of_bad_ones(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_records, "_KEPT_PASSES", 5)
    ledger.app_number("other")

    def passes(*outcomes: str, app: str = APP) -> list[str]:
        for outcome in outcomes:
            ledger.record_pass(app, Pass("2031", 0.1, outcome), {}, {})  # type: ignore[arg-type]
        return [each.outcome for each in ledger.passes(app, -1)]

    bad = ["failed", "degraded"] * 4
    assert passes(*bad) == bad[:2:-1]
    assert passes("healthy", "acted", *bad) == [*bad[:2:-1], "acted"]
    assert passes("healthy", app="other") == ["healthy"]
    assert passes(*bad) == [*bad[:2:-1], "acted"]
    assert passes("healthy", "failed") == ["failed", "healthy", "degraded", "failed", "degraded"]
    assert [each.outcome for each in ledger.passes(APP, 1)] == ["failed"]


def test_a_pass_its_memory_and_its_counts_are_one_record(ledger: SqliteLedger) -> None:
    assert (ledger.memory(APP), ledger.passes(APP, -1), ledger.counts(APP)) == ({}, [], {})
    one = Pass("2031", 0.1234, "acted", ("v1 was restarted",))
    ledger.record_pass(APP, one, {"strikes": 1}, {"heals": 2})
    assert ledger.passes(APP, 1) == [Pass("2031", 0.123, "acted", ("v1 was restarted",))]
    assert ledger.memory(APP) == {"strikes": 1}
    assert ledger.counts(APP) == {"heals": 2}
    with pytest.raises(StorageError):
        ledger.record_pass(APP, one, {"strikes": 2}, {"heals": None})  # type: ignore[dict-item]
    assert (len(ledger.passes(APP, -1)), ledger.memory(APP), ledger.counts(APP)) == (1, {"strikes": 1}, {"heals": 2})


def test_memory_is_replaced_and_counters_grow(ledger: SqliteLedger) -> None:
    ledger.remember(APP, {"a": 1})
    ledger.remember(APP, {"b": 2})
    assert ledger.memory(APP) == {"b": 2}
    ledger.count(APP, "heals")
    ledger.count(APP, "heals", 2)
    ledger.count(APP, "notices")
    assert ledger.counts(APP) == {"heals": 3, "notices": 1}
    assert (ledger.memory("other"), ledger.counts("other")) == ({}, {})
