"""Canary rollouts with a real engine and a real proxy: shares, what people decide meanwhile, and what the judge does.

The clients POST on keep-alive connections and repeat nothing; in no test may one of their requests fail.
"""

from __future__ import annotations

import http.client
import json
import math
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.chaos import FULL, some
from tests.chaos.oracle import at_rest
from tests.engine.harness import App, Load, Reply, crashed, free_port, monotonic, until

NORMAL = "slow:1:0"
LONG = ["10% 5m", "50% 5m"]
STRICT = {"max_error_rate": 0.001, "latency_ratio": 5.0}
CLIENTS = 8


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app whose live version is stable, and which has no candidate before and after each test."""
    folder = tmp_path_factory.mktemp("canary")
    app = App(folder / "app", folder / "state")
    app.preview = free_port()  # type: ignore[attr-defined]
    app.config["proxy"].update(preview=f"127.0.0.1:{app.preview}", drain="3s")  # type: ignore[attr-defined]
    app.config["health"]["timeout"] = "1s"
    app.config["watchdog"] = {"busy": "0s"}
    app.release("v1", NORMAL)
    yield app
    app.clean()


@pytest.fixture
def served(shared: App) -> Iterator[App]:
    rolling(shared, LONG)
    # No stage ends before its time; and a busy machine makes no version bad.
    shared.config["judge"] = STRICT
    yield shared
    if shared.json("status")["candidate"] is not None:
        shared.run("abort")


def rolling(app: App, stages: list[str], **settings: Any) -> None:
    """Versions that are released from now on have these stages."""
    app.config["rollout"] = {"strategy": "canary", "stages": stages, "settle": "0s", "keep_warm": "10m", **settings}
    app.write_config()


def following(app: App, mode: str = NORMAL) -> str:
    """The name of the next version; its source is written."""
    name = f"v{len(app.rows('SELECT name FROM versions')) + 1}"
    app.write(name, mode)
    return name


@contextmanager
def loaded(app: App, clients: int = CLIENTS) -> Iterator[Load]:
    """Clients whose requests are all answered, each with the name of the version that gave the answer."""
    with Load(app.port, clients) as load:
        until(lambda: len(load.replies) > 100, "100 requests")
        yield load
    assert load.failures() == []
    assert [reply for reply in load.replies if reply.header != reply.version] == []


@contextmanager
def attached(app: App, version: str) -> Iterator[subprocess.Popen[str]]:
    """A `release` that watches its rollout."""
    process = app.start("release", version)
    try:
        until(lambda: process.poll() is not None or (rollout(app) is not None and looks(app)), "it watches", 30)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def looks(app: App) -> bool:
    """Whether the last holder of the app's lock only looked: others wait for it, instead of being refused."""
    try:
        return "looking" in json.loads((app.state_dir / "locks" / f"{app.name}.lock").read_text())
    except ValueError:
        return False  # it is being written


def status(app: App) -> dict[str, Any]:
    return app.json("status")


def rollout(app: App) -> dict[str, Any] | None:
    found: dict[str, Any] | None = status(app)["rollout"]
    return found


def last(app: App) -> dict[str, Any]:
    """The newest rollout in the history."""
    found: dict[str, Any] = app.json("history")["rollouts"][0]
    return found


def live(app: App) -> str:
    return str(status(app)["live"]["version"])


def shifts(app: App, version: str) -> list[tuple[float, float]]:
    """When a version got which share, in percent, by the clients' clock."""
    rows = app.rows("SELECT at, detail FROM events WHERE kind = 'shifted' ORDER BY id")
    found = [(monotonic(at), json.loads(detail)) for at, detail in rows]
    return [(at, detail["share"]) for at, detail in found if detail["version"] == version]


def expect_share(replies: list[Reply], version: str, share: float, begin: float, end: float) -> None:
    """Between two moments a version has answered its share of the requests, as far as chance allows."""
    # A quarter of a second on both sides: the record and the switch are not the same moment.
    some = [reply for reply in replies if begin + 0.25 < reply.started and reply.ended < end - 0.25]
    count, part = len(some), sum(reply.version == version for reply in some)
    print(f"{version}: {part} of {count} requests at {share:g} %, {part / max(1, count):.1%}")
    assert count > 200
    p = share / 100
    # Five standard deviations: once in 1.7 million runs.
    assert abs(part / count - p) <= 5 * math.sqrt(p * (1 - p) / count)


def test_two_stages_then_the_bake(served: App) -> None:
    old = live(served)
    rolling(served, ["20% 6s", "50% 6s"], bake="3s")
    version = following(served)
    states: list[dict[str, Any]] = []
    with loaded(served, 16) as load:
        process = served.start("release", version)
        while process.poll() is None:
            states.append(status(served))
            time.sleep(0.3)
        _, said = process.communicate()
    print(said)
    assert process.returncode == 0, said
    found = shifts(served, version)
    assert [share for _, share in found] == [20.0, 50.0]
    promoted = monotonic(status(served)["live"]["since"])
    expect_share(load.replies, version, 20, found[0][0], found[1][0])
    expect_share(load.replies, version, 50, found[1][0], promoted)
    assert {reply.version for reply in load.replies if reply.started > promoted + 1} == {version}
    assert 5 < found[1][0] - found[0][0] < 15
    as_promised([each for each in states if each["state"] == "canary"], version)
    assert "baking" in {each["state"] for each in states}
    assert f"{version} is live instead of {old}, and stable" in said
    now = status(served)
    assert (now["live"]["version"], now["state"], now["candidate"], now["rollout"]) == (version, "stable", None, None)
    assert (now["previous"]["version"], now["previous"]["rollback"]["mode"]) == (old, "switch")
    row = last(served)
    assert (row["version"], row["from"], row["outcome"], row["strategy"]) == (version, old, "promoted", "canary")
    assert row["stages"] == ["20% 6s", "50% 6s"]
    rate = next(each for each in row["evidence"] if each["test"] == "failure rate")
    assert rate["hits"] == 0
    answered = sum(reply.version == version for reply in load.replies if reply.started < promoted)
    assert abs(rate["misses"] - answered) <= 20, "all that it answered before it was promoted"
    at_rest(served, version)


def as_promised(states: list[dict[str, Any]], version: str) -> None:
    """`status --json` during a rollout: the candidate, the rollout, and its growing evidence."""
    assert len(states) > 5
    for each in states:
        row = each["rollout"]
        assert each["candidate"] == {"version": version, "slot": each["candidate"]["slot"], "share": row["share"]}
        assert each["candidate"]["slot"] != each["live"]["slot"]
        assert (row["version"], row["strategy"], row["held"]) == (version, "canary", None)
        assert (row["stage"], row["share"]) in ((1, 20.0), (2, 50.0))
        assert row["shield"] == {"on": True, "rescued": 0, "lost": 0}
        assert row["since"] < row["next_at"]
        assert [one["test"] for one in row["evidence"]] == ["failure rate", "failure ratio", "latency ratio"]
        assert {one["verdict"] for one in row["evidence"]} <= {"inconclusive", "good"}
        assert all(one["bad_at"] > one["log_e"] for one in row["evidence"])
    counts = [each["rollout"]["evidence"][0]["misses"] for each in states]
    assert counts == sorted(counts)
    assert counts[-1] > 50


def test_others_hold_promote_and_abort(served: App) -> None:
    old, version = live(served), following(served)
    with loaded(served), attached(served, version) as process:
        assert (rollout(served) or {})["next_at"] is not None
        served.run("hold")
        served.run("hold")
        now = status(served)
        assert (now["state"], now["rollout"]["held"] != "", now["rollout"]["next_at"]) == ("held", True, None)
        refused = served.run("release", code=2).stderr
        assert version in refused
        assert "deployctl abort" in refused or "deployctl promote" in refused
        served.run("resume")
        assert status(served)["state"] == "canary"
        served.run("promote")
        assert (rollout(served) or {})["share"] == 50
        done = served.run("abort", "--why", "wrong labels")
        assert f"{version} was aborted; {old} has all requests" in done.stderr
        _, said = process.communicate(timeout=20)
    assert process.returncode == 3, said
    assert "wrong labels" in said
    assert (last(served)["outcome"], last(served)["why"]) == ("aborted", "wrong labels")
    assert not crashed(said)
    at_rest(served, old)
    assert served.mark(version) != "bad"


def test_another_promotes_it_to_all_requests(served: App) -> None:
    old, version = live(served), following(served)
    with loaded(served) as load, attached(served, version) as process:
        served.run("promote", "--full")
        _, said = process.communicate(timeout=20)
        begin = time.monotonic()
        until(lambda: sum(reply.started > begin for reply in load.replies) > 50, "50 requests")
    assert process.returncode == 0, said
    assert {reply.version for reply in load.replies if reply.started > begin} == {version}
    assert status(served)["previous"]["version"] == old
    served.run("rollback")
    at_rest(served, old)


def test_passes_of_the_watchdog_advance_it(served: App) -> None:
    rolling(served, ["20% 2s", "50% 2s"])
    version = following(served)
    said = []
    with loaded(served):
        served.run("release", version, "--detach")
        assert (rollout(served) or {})["stage"] == 1
        until(lambda: said.append(served.watch()) or live(served) == version, "it has all requests", 30)
    text = "".join(said)
    assert f"{version} gets 50 % of the requests" in text
    assert f"{version} gets all requests" in text
    at_rest(served, version)


def test_a_pass_of_the_watchdog_aborts_a_bad_one(served: App) -> None:
    old, version = live(served), following(served, "fails:3")
    said = []
    with loaded(served) as load:
        served.run("release", version, "--detach")
        until(lambda: said.append(served.watch()) or said[-1], "a pass that reports something", 30)
        assert f"{version} was aborted at 10 %" in said[-1]
        assert rollout(served) is None
    assert version in {reply.version for reply in load.replies}
    assert served.mark(version) == "bad"
    assert last(served)["outcome"] == "aborted"
    assert "failed" in last(served)["why"]
    assert last(served)["shield"]["rescued"] > 0
    assert last(served)["shield"]["lost"] == 0
    at_rest(served, old)


@pytest.mark.parametrize("wait", some(["approve", "hold", "advance"], 0))
def test_a_stage_that_nobody_approves_or_asks(served: App, wait: str) -> None:
    """Without traffic its end depends on judge.idle, and with rollout.approve on a person."""
    rolling(served, ["20% 1s"], approve=wait == "approve")
    served.config["judge"] = {**STRICT, "idle": "hold" if wait == "hold" else "advance"}
    old, version = live(served), following(served)
    served.run("release", version, "--detach")
    time.sleep(1.5)
    served.watch()
    assert live(served) == (version if wait == "advance" else old)
    if wait == "approve":
        assert (rollout(served) or {})["next_at"] is None
        served.run("promote")
        assert live(served) == version
    elif wait == "hold":
        served.run("rollback")
        assert (last(served)["outcome"], last(served)["why"]) == ("aborted", "rolled back")
        at_rest(served, old)


def test_a_preview(served: App) -> None:
    old, version = live(served), following(served)
    assert previewed(served)[0] == 503
    with loaded(served) as load:
        served.run("release", version, "--preview")
        assert status(served)["state"] == "preview"
        assert previewed(served) == (200, version)
        begin = time.monotonic()
        until(lambda: sum(reply.started > begin for reply in load.replies) > 50, "50 requests")
        assert {reply.version for reply in load.replies} == {old}
        served.run("promote")
        assert (rollout(served) or {})["share"] == 10
        until(lambda: load.replies[-1].version == version, "an answer of the candidate")
        served.run("abort")
    assert previewed(served)[0] == 503
    at_rest(served, old)


def previewed(app: App) -> tuple[int, str]:
    """What the preview address answers: status and version."""
    connection = http.client.HTTPConnection("127.0.0.1", app.preview, timeout=10)  # type: ignore[attr-defined]
    try:
        connection.request("GET", "/predict")
        answer = connection.getresponse()
        return answer.status, answer.read().decode().split()[0]
    finally:
        connection.close()


def test_two_terminals_in_the_same_instant(served: App) -> None:
    for _ in range(8 if FULL else 1):
        old, version = live(served), following(served)
        with loaded(served):
            served.run("release", version, "--detach")
            both = {name: served.start(name, *more) for name, more in (("promote", ["--full"]), ("abort", []))}
            ended = {name: (process.communicate(timeout=30)[1], process.returncode) for name, process in both.items()}
        print(ended)
        codes = {name: code for name, (_, code) in ended.items()}
        assert sorted(codes.values()) in ([0, 2], [0, 75]), ended
        winner = next(name for name, code in codes.items() if code == 0)
        (loser,) = (said for said, code in ended.values() if code)
        assert "another command" in loser or "has no candidate" in loser or "is locked" in loser, loser
        at_rest(served, version if winner == "promote" else old)


def test_what_hangs_is_answered_by_the_live_version_when_the_candidate_is_aborted(served: App) -> None:
    """The drain limit is shorter than the patience of the shield."""
    old, version = live(served), following(served, "hangs")
    rolling(served, ["50% 5m"])
    with loaded(served) as load:
        served.run("release", version, "--detach")
        before = len(load.replies)
        until(lambda: len(load.replies) == before or stuck(load), "all clients wait for the candidate")
        done = served.run("abort")
        until(lambda: not stuck(load), "all have an answer")
    assert re.search(rf"[1-8] requests? of {version} answered by {old} when it was stopped, 0 cut", done.stderr)


def stuck(load: Load) -> bool:
    """Whether no client gets an answer."""
    count = len(load.replies)
    time.sleep(1)
    return len(load.replies) == count


# --- kill -9 ---------------------------------------------------------------------------------------------------------

# The steps that each command journals from its first change of the traffic or of the candidate on.
SHIFT = ("inspect", "shift", "settle")
FULLY = ("inspect", "switch", "reroute", "retire", "settle")
ABORT = ("unshare", "drain", "retire", "settle")
WHEN = ("before", "acted", "after")


def points(*steps: str) -> list[str]:
    return [f"{when}:{step}" for step in steps for when in WHEN]


def killed(app: App, crash: str, *command: str) -> None:
    """Kills a command with SIGKILL at one point; the next one recovers, and the one after that has nothing to do."""
    app.run(*command, crash=crash, code=-signal.SIGKILL)
    app.run("recover")
    again = app.json("recover")
    assert (again["deployment"], again["repaired"], again["failed"]) == (None, [], []), crash


def candidate(app: App, share: int) -> tuple[str, str]:
    """Makes sure that there is a candidate with this share, in percent; returns the live version and the candidate."""
    now = rollout(app)
    if now is not None and now["share"] > share:
        app.run("abort")
        now = None
    if now is None:
        app.run("release", following(app), "--detach")
        now = rollout(app)
    assert now is not None
    if now["share"] < share:
        app.run("promote")
    return live(app), str(now["version"])


def expect(app: App, share: float | None, old: str, candidate: str) -> None:
    """Who has which share, by ledger, files and proxy: of the candidate None: it has been taken back; 100: live."""
    now = status(app)
    assert now["problems"] == []
    assert now["live"]["version"] == (candidate if share == 100 else old)
    if share is None or share == 100:
        assert (now["rollout"], now["candidate"]) == (None, None)
    else:
        assert (now["rollout"]["version"], now["rollout"]["share"]) == (candidate, share)
        assert now["candidate"]["share"] == share
    assert now["traffic"]["share"] == (share if share not in (None, 100) else 0)
    routes = dict(line.split() for line in (app.state_dir / "proxy" / "routes.map").read_text().splitlines())
    written = routes[app.name].split(":")
    assert written[0] == now["live"]["slot"]
    assert written[2:3] in ([], [f"{now['traffic']['share'] * 100:g}"])


@pytest.mark.parametrize("crash", some(points(*SHIFT), 4))
def test_a_release_is_killed(served: App, crash: str) -> None:
    old, version = live(served), following(served)
    shifted = crash.split(":")[1] == "settle" or crash in ("acted:shift", "after:shift")
    with loaded(served, 4):
        killed(served, crash, "release", version, "--detach")
        expect(served, 10 if shifted else None, old, version)


PROMOTIONS = [(10, 50, crash) for crash in points(*SHIFT)] + [(50, 100, crash) for crash in points(*FULLY)]


def test_promotions_are_killed(served: App) -> None:
    """At every point of a promotion to the next stage, and of one to all requests."""
    with loaded(served, 4):
        for before, after, crash in some(PROMOTIONS, 3, 4, 13):
            steps, commits = (SHIFT, "shift") if after == 50 else (FULLY, "switch")
            index = steps.index(crash.split(":")[1])
            moved = index > steps.index(commits) or crash in (f"acted:{commits}", f"after:{commits}")
            old, version = candidate(served, before)
            killed(served, crash, "promote")
            expect(served, after if moved else before, old, version)


def test_an_abort_is_killed(served: App) -> None:
    with loaded(served, 4):
        for crash in some(points(*ABORT), 1, 6):
            old, version = candidate(served, 10)
            killed(served, crash, "abort", "--why", "killed")
            expect(served, 10 if crash == "before:unshare" else None, old, version)
            if crash != "before:unshare":
                assert (last(served)["outcome"], last(served)["version"]) == ("aborted", version)
                assert last(served)["why"] == "killed"
        at_rest(served, live(served))
