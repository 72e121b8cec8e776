"""`rollback --drill` on the real engine: it proves the way back, and clients notice nothing, whatever happens to it."""

from __future__ import annotations

import http.client
import io
import signal
import tarfile
import threading

import pytest

from tests.engine.harness import App, Load, free_port

# What is the same before and after a drill. The slots are part of it, and when they changed.
SEEN = ("state", "live", "candidate", "traffic", "proxy", "deployment", "problems")


@pytest.fixture
def previewed(app: App) -> App:
    """The app with a preview address; v1 is live."""
    app.config["proxy"]["preview"] = f"127.0.0.1:{free_port()}"
    app.release("v1")
    return app


def cold(app: App) -> App:
    """v2 is live, and v1 is stopped but kept."""
    app.config["rollout"]["keep_warm"] = "0s"
    app.release("v2")
    assert app.container("v1").status == "exited"
    return app


def seen(app: App) -> dict[str, object]:
    found = app.json("status")
    return {key: found[key] for key in SEEN}


def only(load: Load, version: str) -> None:
    """No request has failed, and only `version` has answered, as its server and the proxy say."""
    assert load.failures() == []
    assert {(reply.version, reply.header) for reply in load.replies} == {(version, version)}
    assert len(load.connections) == len(load), "a connection was closed"


class Watched:
    """Asks at the preview address all the time; `versions` are those that have answered."""

    def __init__(self, app: App) -> None:
        self.address = app.config["proxy"]["preview"]
        self.versions: set[str | None] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            self.versions.add(answer(self.address))


def answer(address: str) -> str | None:
    """The version that answers at an address; None when none does."""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        reply = connection.getresponse()
        return reply.read().decode().split()[0] if reply.status == 200 else None
    finally:
        connection.close()


def test_a_cold_version(previewed: App) -> None:
    app = cold(previewed)
    before, containers = seen(app), app.containers()
    with Load(app.port, clients=4) as load, Watched(app) as watched:
        report = app.json("rollback", "--drill")
    only(load, "v2")
    assert (report["outcome"], report["version"], report["live"]) == ("succeeded", "v1", "v2")
    assert (report["mode"], report["left"], report["preview"]) == ("start", "stopped", watched.address)
    assert watched.versions == {None, "v1"}
    assert answer(watched.address) is None
    assert (seen(app), app.containers()) == (before, containers)
    container = app.container("v1")
    assert container.attrs["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
    promised = app.json("status")["previous"]["rollback"]
    assert promised["mode"] == "start"
    assert abs(promised["seconds"] - report["seconds"]) < 0.5
    assert promised["drill"]["seconds"] == report["seconds"]
    (event,) = app.json("events", "--kind", "drilled")["events"]
    assert event["text"] == f"v2 to v1, by a start: succeeded, ready after {report['seconds']:g} s"
    # It promised what is so.
    assert app.json("rollback")["version"] == "v1"
    steps = app.json("history")["deployments"][0]["steps"]
    assert [step["name"] for step in steps][:2] == ["vacate", "start"]
    begun = [step["name"] for step in steps].index("switch")
    needed = sum(step["seconds"] for step in steps[:begun])
    # On a busy machine a start takes up to a few times as long as another one.
    assert needed / 4 < report["seconds"] < needed * 4


def test_a_warm_version_and_its_shield(previewed: App) -> None:
    app = previewed
    app.release("v2")
    before, containers = seen(app), app.containers()
    warm = app.json("status")["previous"]["warm_until"]
    assert app.json("status")["traffic"]["shield"]
    with Load(app.port, clients=4) as load:
        done = app.run("rollback", "--drill")
    only(load, "v2")
    assert "a rollback of mymodel from v2 to v1 works (its containers still run): ready after" in done.stderr
    assert "not asked at the preview address: v1 answers what v2 fails" in done.stderr
    assert (seen(app), app.containers()) == (before, containers)
    assert app.json("status")["previous"]["warm_until"] == warm
    refused = app.run("rollback", "--drill", "--to", "v2", code=2)
    assert "v2 is already live" in refused.stderr


def test_a_version_that_does_not_start_any_more(previewed: App) -> None:
    app = cold(previewed)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        facts = tarfile.TarInfo("mode")
        facts.size = len(b"exit")
        archive.addfile(facts, io.BytesIO(b"exit"))
    app.container("v1").put_archive("/app", data.getvalue())
    before, containers = seen(app), app.containers()
    with Load(app.port, clients=4) as load, Watched(app) as watched:
        failed = app.run("rollback", "--drill", code=3)
    only(load, "v2")
    assert watched.versions == {None}
    assert "error: a rollback to v1 would fail" in failed.stderr
    assert "it exited with exit code 7" in failed.stderr
    assert "no weights found: giving up" in failed.stderr
    assert "nothing was changed, v2 still serves" in failed.stderr
    assert (seen(app), app.containers()) == (before, containers)
    assert app.json("status")["previous"]["rollback"]["drill"]["outcome"] == "failed"
    assert "its last drill" in app.run("status").stdout


def test_kill_9_in_the_middle(previewed: App) -> None:
    app = cold(previewed)
    before, containers = seen(app), app.containers()
    with Load(app.port, clients=4) as load:
        for crash in ("acted:start", "acted:preview", "acted:drilled"):
            done = app.run("rollback", "--drill", code=-signal.SIGKILL, crash=crash)
            assert "Traceback" not in done.stderr
            assert app.container("v1").status == "running"
            status = app.json("status")
            assert status["problems"] == ["the drill to v1 was interrupted: deployctl recover"], crash
            found = app.json("recover")
            assert found["direction"] == ("finish" if crash == "acted:drilled" else "undo"), crash
            assert (seen(app), app.containers()) == (before, containers), crash
            outcome = app.json("history", "--limit", "1")["deployments"][0]["outcome"]
            assert outcome == ("succeeded" if crash == "acted:drilled" else "undone")
    only(load, "v2")
    assert len(app.json("events", "--kind", "drilled")["events"]) == 3
