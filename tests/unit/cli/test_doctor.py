"""`doctor` without an engine."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.running import Run, document, expect


def test_doctor_without_an_engine(run: Run, app: Path) -> None:
    done = run("doctor", "--json")
    expect(done, 4)
    report = document(done)
    assert report["ok"] is False
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["engine"] == {
        "name": "engine",
        "ok": False,
        "message": "the Docker engine does not answer: its socket does not exist",
        "next": "check that it runs and that you have access: docker version",
    }
    assert checks["ledger"]["ok"]
