"""A new version that is broken costs no request, and is taken back by itself: every way of being broken, each release.

The clients POST 2 kB on keep-alive connections, and repeat nothing. In a full run, more clients add volume.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.chaos import FULL
from tests.chaos.oracle import at_rest
from tests.engine.harness import App, Load, crashed, until
from tests.engine.volume import Volume

BODY = b'{"pixels": [' + b"0, " * 680 + b"0]}"
NORMAL = "slow:1:0"
# What of a version is broken, as modes of the test model.
WAYS = {
    "500 always": "fails:1",
    "500 every third": "fails:3",
    "closes": "closes",
    "exits at the first prediction": "crashes",
    "exits after its first probe": "brief:0.1",
    "hangs": "hangs",
    "slow": "slow:10:0",
    "out of memory": "swells:10",
}
# How it is released.
HOW = {
    "settle": {"strategy": "blue-green", "settle": "3s", "bake": "0s"},
    "bake": {"strategy": "blue-green", "settle": "0s", "bake": "20s"},
    "canary": {"strategy": "canary", "stages": ["10% 10s", "50% 20s"], "settle": "3s", "bake": "0s"},
}
# What may be the reason: the looks of a command find some of these, whichever is there first.
FAILED = r"[\d.]+% of [\d,]+ requests? failed"
ENDED = r"exited (once|\d+ times)|is (restarting|exited) \(exit code \d+\)|it exited (with exit code 1|and)|it exited,"
REASONS = {"slow": r"[\d.]+% of [\d,]+ requests? had a slow response"}
CLIENTS = 16
# In a full run, in which all requests together are more than 200,000.
MORE_CLIENTS = 48
REQUESTS = 200_000 // (len(WAYS) * len(HOW)) + 1


def cases() -> Iterator[tuple[str, str]]:
    """All ways in all releases; in a short run each way once."""
    for index, way in enumerate(WAYS):
        for how in HOW if FULL else (list(HOW)[index % len(HOW)],):
            yield way, how


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """v1 is live and stable, and serves after each test again."""
    folder = tmp_path_factory.mktemp("shield")
    app = App(folder / "app", folder / "state")
    app.config["run"].update(replicas=2, memory="96m")
    app.config["proxy"]["drain"] = "1s"
    # One good probe is enough, so that a version that ends after it may go live.
    app.config["health"].update(timeout="1s", deadline="10s", successes=1)
    app.config["rollout"].update(patience="500ms")
    app.config["watchdog"] = {"busy": "0s"}
    app.release("v1", NORMAL)
    yield app
    app.clean()


def started(app: App, version: str) -> dict[str, tuple[str, int]]:
    """When each container of a version started, and how often the engine has restarted it, by name."""
    found = {}
    for container in app.engine_containers():
        if container.labels.get("deployctl.version") == version:
            found[container.name] = (container.attrs["State"]["StartedAt"], container.attrs["RestartCount"])
    return found


@pytest.mark.parametrize(("way", "how"), list(cases()))
def test_a_broken_version_costs_no_request(served: App, tmp_path: Path, way: str, how: str) -> None:
    app, version, before = served, f"v{len(served.rows('SELECT name FROM versions')) + 1}", started(served, "v1")
    app.config["rollout"].pop("stages", None)
    app.config["rollout"].update(HOW[how])
    app.write(version, WAYS[way])
    many = Volume(app.port, MORE_CLIENTS, BODY, tmp_path, pause=0.01) if FULL else nullcontext()
    with Load(app.port, CLIENTS, body=BODY) as load, many as volume:
        until(lambda: len(load.replies) > 300, "300 requests")
        done = app.run("release", version, code=None)
        ended = time.monotonic()
        if volume is not None:
            until(lambda: volume.requests() + len(load.replies) > REQUESTS, f"{REQUESTS} requests", 120)
        until(lambda: load.replies[-1].started > ended, "a request after the release")
    past = app.json("history")
    row = past["deployments"][0]
    count = dict(Counter(reply.version for reply in load.replies))
    print(f"{way}, {how}: exit {done.returncode}, {count}, {volume or ''}")
    print(f"{row['kind']} {row['outcome']}: {row['reason']}")
    print(done.stderr)
    assert load.failures() == []
    assert [reply for reply in load.replies if reply.header != reply.version] == []
    if volume is not None:
        volume.check()
    assert started(app, "v1") == before, "the old containers run as before"
    assert not crashed(done.stderr)
    if way == "slow" and how != "canary":
        assert done.returncode == 0, "nothing answers at the same time that it could be compared with"
        app.run("rollback")
    else:
        assert done.returncode == 3
        assert re.search(REASONS.get(way, f"{FAILED}|{ENDED}"), row["reason"]), row["reason"]
        if row["kind"] != "release":
            # It has had requests, so v1 has answered what it failed.
            shield = past["rollouts"][0]["shield"] if how == "canary" else past["deployments"][1]["shield"]
            assert (shield["rescued"] > 0, shield["lost"]) == (way != "slow", 0)
    at_rest(app, "v1")
