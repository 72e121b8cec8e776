"""Releases and rollbacks send one notification each, and no URL is shown."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.engine.harness import App
from tests.unit.receivers import Receiver, hanging

SECRET = "hunter2"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def test_one_notice_for_each_change_and_none_for_a_failure(app: App, receiver: Receiver) -> None:
    app.config["notify"] = {"urls": [f"json://somebody:{SECRET}@127.0.0.1:{receiver.port}/{SECRET}"]}
    app.config["health"]["deadline"] = "3s"
    shown = [app.release("v1"), app.release("v2"), app.release("v3", "sick", code=3), app.run("rollback")]
    assert [(got["title"], got["type"]) for got in receiver.got] == [
        ("mymodel: v1 is live", "success"),
        ("mymodel: v2 is live", "success"),
        ("mymodel: v2 rolled back to v1", "warning"),
    ]
    assert (
        f"next: deployctl --file {app.folder / 'deploy.toml'} --state-dir {app.state_dir}" in receiver.got[0]["message"]
    )
    shown += [app.run(*words) for words in (["status", "--json"], ["history", "--json"], ["show", "v2"], ["logs"])]
    shown += [app.run("doctor", code=None), app.run("config", "check")]
    assert [done.args for done in shown if SECRET in done.stdout + done.stderr] == []
    for container in app.engine_containers():
        assert SECRET not in json.dumps(container.attrs), container.name
    files = [path for path in app.state_dir.rglob("*") if path.is_file()]
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []


def test_a_notifier_that_hangs_does_not_affect_a_release(app: App) -> None:
    with hanging() as port:
        urls = [f"json://somebody:{SECRET}@127.0.0.1:{port}/?rto=60", f"json://{SECRET}@127.0.0.1:1/"]
        app.config["notify"] = {"urls": urls, "timeout": "3s"}
        app.write("v1")
        started = time.monotonic()
        done = app.run("release", "v1", "--json")
        seconds = time.monotonic() - started
    assert json.loads(done.stdout)["outcome"] == "succeeded"
    # In addition there is only the start and end of Python.
    assert seconds < json.loads(done.stdout)["seconds"] + 3.0 + 2.5
    assert app.serving() == "v1"
    why = "(number 1: no answer within 3 s; number 2: JSON: connection refused)"
    note = f"note: the notification 'released' was not delivered to every URL: 2 of 2 URLs did not accept it {why}"
    assert note in done.stderr.splitlines()
    assert SECRET not in done.stdout + done.stderr
    files = [path for path in app.state_dir.rglob("*") if path.is_file()]
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []
