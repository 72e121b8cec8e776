"""`plan`."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.running import Run, document, expect


def test_plan_shows_what_would_happen_and_changes_nothing(run: Run, app: Path, tmp_path: Path) -> None:
    done = run("plan", "release", "v1")
    expect(done, 0)
    assert done.stdout.splitlines()[:3] == [
        "first release of mymodel: v1",
        "  1. build the image mymodel:v1",
        "  2. stop the old containers in blue",
    ]
    assert document(run("history", "--json"))["deployments"] == []
    assert not (tmp_path / "state" / "proxy").exists()


def test_plan_as_json(run: Run, app: Path) -> None:
    report = document(run("plan", "--json"))
    assert {key: report[key] for key in ("kind", "from", "to", "from_slot", "to_slot", "mode", "changes")} == {
        "kind": "release",
        "from": None,
        "to": "v1",
        "from_slot": None,
        "to_slot": "blue",
        "mode": "create",
        "changes": True,
    }
    assert [step["name"] for step in report["steps"]] == [
        "build",
        "vacate",
        "create",
        "start",
        "register",
        "probe",
        "keep",
        "inspect",
        "switch",
        "settle",
    ]
    assert all(set(step) == {"name", "args", "description"} for step in report["steps"])


def test_the_exit_code_of_plan_shows_changes(run: Run, app: Path) -> None:
    expect(run("plan", "--detailed-exitcode"), 10)
