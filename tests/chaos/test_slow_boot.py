"""A model that loads slowly: deployctl waits until the deadline, and reports the wait."""

from __future__ import annotations

import re

from tests.chaos import FULL
from tests.chaos.oracle import at_rest
from tests.engine.harness import App, Load

SECONDS = 90 if FULL else 12
# mymodel-v2-green-1-2374faff: not ready after 12 s: connection refused
LINE = re.compile(r"^  (\S+): not ready after (\d+) s: (.+)$", re.MULTILINE)


def test_a_port_that_opens_late_is_waited_for(app: App) -> None:
    app.config["health"]["deadline"] = f"{SECONDS + 60}s"
    app.release("v1")
    with Load(app.port, clients=4) as load:
        done = app.release("v2", f"late:{SECONDS}")
    assert load.failures() == []
    assert load.order() == ["v1", "v2"]
    switched = min(reply.ended for reply in load.replies if reply.version == "v2")
    assert switched - load.replies[0].started > SECONDS, "v1 served all the while"
    lines = LINE.findall(done.stderr)
    names = {name for name, _, _ in lines}
    assert names == {name for name in app.containers() if "-v2-" in name}, done.stderr
    told = [int(seconds) for _, seconds, _ in lines]
    assert told == sorted(told)
    assert told[0] <= 2, "from the beginning"
    assert told[-1] >= SECONDS - 15, "to the end"
    assert SECONDS // 15 <= len(told) <= SECONDS // 10 + 1, "every ten seconds, and less often on a busy machine"
    # The last line may report that one more good answer is needed.
    assert {reason for _, _, reason in lines[:-1]} == {"connection refused"}
    step = next(row for row in app.json("history")["deployments"][0]["steps"] if row["name"] == "probe")
    assert step["detail"]["seconds"] > SECONDS - 3
    at_rest(app, "v2")


def test_a_port_that_opens_after_the_deadline_fails(app: App) -> None:
    app.config["health"]["deadline"] = "3s"
    app.release("v1")
    with Load(app.port, clients=4) as load:
        done = app.release("v2", "late:60", code=3)
    assert load.failures() == []
    assert {reply.version for reply in load.replies} == {"v1"}
    assert "did not become ready within 3 s" in done.stderr
    assert "connection refused" in done.stderr
    at_rest(app, "v1")
