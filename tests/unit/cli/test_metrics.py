"""`metrics` without an engine."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.running import Run, document, expect


def test_metrics_are_printed_without_the_engine(run: Run, app: Path) -> None:
    expect(run("metrics"), 0)
    expect(run("release", "v1"), 3)
    app.unlink()  # metrics does not need it
    done = run("metrics")
    expect(done, 0)
    assert 'deployctl_engine_up{app="mymodel"} 0\n' in done.stdout
    assert 'deployctl_deployments_total{app="mymodel",kind="release",outcome="failed"} 1\n' in done.stdout
    assert done.stderr == (
        "note: some metrics are missing: the Docker engine does not answer: its socket does not exist\n"
    )
    report = document(run("metrics", "--app", "mymodel", "--json"))
    assert report["schema_version"] == 1
    assert "deployctl_engine_up" in {metric["name"] for metric in report["metrics"]}
    done = run("metrics", "--app", "other")
    expect(done, 2)
    assert "why: the apps are: mymodel" in done.stderr
