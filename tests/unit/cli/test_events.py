"""`events` without an engine."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.running import Run, document, expect


def test_events_are_listed_without_the_engine(run: Run, app: Path) -> None:
    report = document(run("events", "--json"))
    assert (report["app"], report["events"]) == ("mymodel", [])
    expect(run("release", "v1"), 3)
    report = document(run("events", "--json", "--kind", "release", "-n", "1"))
    (event,) = report["events"]
    assert (event["kind"], event["version"], event["text"][:23]) == ("release", "v1", "nothing to v1: failed: ")
    done = run("events", "--since", "2020-01-01")
    expect(done, 0)
    assert "nothing to v1: failed" in " ".join(done.stdout.split())
    assert document(run("events", "--json", "--of", "v2"))["events"] == []
    expect(run("events", "--kind", "odd"), 2)
    expect(run("events", "--since", "3020-01-01"), 2)
