"""The main use cases: release, rollback, and their effect on clients."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from websockets.sync.client import connect

from tests.engine.harness import App, Load, engine, free_port


def test_first_release_serves_and_says_so(app: App) -> None:
    # A unique name, because parallel tests move the tag mymodel:v1.
    name = f"first-{os.getpid()}"
    app.config["app"]["name"] = name
    app.release("v1")
    status, headers, body = app.get("/predict")
    assert (status, headers["x-model-version"], body) == (200, "v1", "v1 /predict")
    found = app.json("status")
    assert found["schema_version"] == 1
    assert found["state"] == "stable"
    assert found["live"]["version"] == "v1"
    assert found["live"]["slot"] == "blue"
    assert found["live"]["image"] == f"{name}:v1"
    assert found["live"]["image_id"] == engine().images.get(f"{name}:v1").id
    [container] = found["live"]["containers"]
    assert container["state"] == "running"
    assert container["healthy"] is True
    assert found["previous"] is None
    assert found["deployment"] is None
    assert found["proxy"] == {"state": "running", "listen": f"127.0.0.1:{app.port}", "route": "blue"}
    assert found["problems"] == []


def test_twenty_releases_and_rollbacks_lose_no_request(app: App) -> None:
    app.release("v1")
    expected = ["v1"]
    with Load(app.port, clients=64, pause=0.03) as load:
        time.sleep(0.3)
        for number in range(2, 12):
            app.release(f"v{number}")
            expected.append(f"v{number}")
            time.sleep(0.2)
            app.run("rollback")
            expected.append("v1")
            time.sleep(0.2)
    assert load.failures() == []
    assert len(load.replies) > 2000
    assert load.order() == expected
    assert [reply for reply in load.replies if reply.header != reply.version] == []
    history = app.json("history", "-n", "50")["deployments"]
    assert [row["outcome"] for row in history] == ["succeeded"] * 21
    assert [row["kind"] for row in history[:2]] == ["rollback", "release"]


def test_streams_and_websockets_finish_on_the_old_version(app: App) -> None:
    app.release("v1")
    app.write("v2")
    streamed: list[str] = []

    def stream() -> None:
        streamed.append(app.get("/stream?seconds=10")[2])

    reader = threading.Thread(target=stream)
    reader.start()
    with connect(f"ws://127.0.0.1:{app.port}/ws") as socket:
        socket.send("before")
        assert socket.recv() == "v1 before"
        release = app.start("release", "v2")
        limit = time.monotonic() + 30
        while app.serving() != "v2":
            assert time.monotonic() < limit
            time.sleep(0.05)
        for count in range(20):
            socket.send(f"across {count}")
            assert socket.recv() == f"v1 across {count}"
            time.sleep(0.05)
    reader.join()
    assert release.wait(60) == 0
    release.communicate()
    lines = streamed[0].splitlines()
    assert lines[-1] == "end"
    assert len(lines) > 80
    assert {line.split()[0] for line in lines[:-1]} == {"v1"}
    # v1 stays warm, so nothing waits for what is open on it.
    assert "drain" not in [step["name"] for step in app.json("history")["deployments"][0]["steps"]]


def test_what_is_open_at_the_drain_limit_is_cut_counted_and_reported(app: App) -> None:
    app.config["proxy"]["drain"] = "1s"
    app.config["rollout"]["keep_warm"] = "0s"
    app.release("v1")
    ended: list[float] = []

    def stream() -> None:
        try:
            app.get("/stream?seconds=20")
        except (OSError, http.client.HTTPException):
            ended.append(time.monotonic())

    reader = threading.Thread(target=stream)
    reader.start()
    time.sleep(0.3)
    done = app.release("v2")
    reader.join(10)
    assert ended
    assert "cut 1 request on v1 at the drain limit of 1 s" in done.stderr
    drain = next(step for step in app.json("history")["deployments"][0]["steps"] if step["name"] == "drain")
    assert drain["detail"]["cut"] == 1


def test_what_a_shortened_drain_cuts_is_counted_too(app: App) -> None:
    app.config["rollout"]["keep_warm"] = "0s"
    app.release("v1")
    reader = threading.Thread(target=_until_cut, args=(app,))
    reader.start()
    time.sleep(0.3)
    app.write("v2")
    release = app.start("release", "v2")
    limit = time.monotonic() + 30
    while app.serving() != "v2":
        assert time.monotonic() < limit
        time.sleep(0.05)
    time.sleep(0.5)
    release.send_signal(signal.SIGINT)
    _, message = release.communicate(timeout=30)
    reader.join(10)
    assert release.returncode == 130
    assert "v2 is live" in message
    assert "cut 1 request on v1 when the wait was cut short" in message
    assert app.json("history")["deployments"][0]["outcome"] == "succeeded"


def test_a_shortened_drain_lets_requests_end(app: App) -> None:
    app.config["rollout"]["keep_warm"] = "0s"
    app.release("v1")
    app.write("v2")
    ended = threading.Event()
    replies: list[int] = []

    def ask() -> None:
        while not ended.is_set():
            replies.append(app.get("/slow?seconds=0.4")[0])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    # The signal arrives before the wait starts.
    command = [sys.executable, "-m", "tests.chaos.at", "before:drain", "kill -INT $PPID"]
    command += ["--state-dir", str(app.state_dir), "release", "v2"]
    done = subprocess.run(
        command, cwd=app.folder, env=app.environment(), capture_output=True, text=True, timeout=60, check=False
    )
    ended.set()
    for thread in threads:
        thread.join(10)
    assert done.returncode == 130, done.stderr
    assert app.serving() == "v2"
    assert set(replies) == {200}
    drain = next(step for step in app.json("history")["deployments"][0]["steps"] if step["name"] == "drain")
    assert drain["detail"]["seconds"] > 0
    assert drain["detail"]["cut"] == 0


def _until_cut(app: App) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        app.get("/stream?seconds=20")


def test_rollback_goes_up_the_lineage(app: App) -> None:
    for version in ("v1", "v2", "v3"):
        app.release(version)
    assert app.json("status")["previous"]["version"] == "v2"
    app.run("rollback")
    assert app.serving() == "v2"
    assert app.json("status")["previous"]["version"] == "v1"
    app.run("rollback")
    assert app.serving() == "v1"
    done = app.run("rollback", code=2)
    assert "v1 has no earlier stable version" in done.stderr
    app.run("rollback", "--to", "v3")
    assert app.serving() == "v3"


def test_rollback_is_a_switch_a_start_or_new_containers(app: App) -> None:
    app.release("v1")
    app.release("v2")
    assert app.json("status")["previous"]["rollback"]["mode"] == "switch"
    app.run("rollback")
    assert [s["name"] for s in app.json("history")["deployments"][0]["steps"]][:4] == [
        "register",
        "probe",
        "inspect",
        "switch",
    ]
    app.config["rollout"]["keep_warm"] = "0s"
    app.release("v3")
    previous = app.json("status")["previous"]
    assert previous["version"] == "v1"
    assert previous["rollback"]["mode"] == "start"
    app.run("rollback")
    assert app.serving() == "v1"
    app.release("v4")
    for container in app.engine_containers():
        if container.labels.get("deployctl.version") == "v1":
            container.remove(force=True)
    assert app.json("status")["previous"]["rollback"] == {
        **app.json("status")["previous"]["rollback"],
        "mode": "start",
        "containers_kept": False,
    }
    app.run("rollback")
    assert app.serving() == "v1"


def test_a_kept_set_that_lost_a_container_is_recreated(app: App) -> None:
    app.config["run"]["replicas"] = 2
    app.config["rollout"]["keep_warm"] = "0s"
    app.release("v1")
    app.release("v2")
    engine().containers.get(app.names.container("mymodel", "v1", "blue", 1)).remove()
    app.run("rollback")
    found = app.json("status")
    assert found["live"]["version"] == "v1"
    assert len(found["live"]["containers"]) == 2
    assert found["problems"] == []


def test_a_rollback_serves_where_the_file_says(app: App) -> None:
    app.release("v1")
    app.release("v2")
    app.port = free_port()
    app.config["proxy"]["listen"] = f"127.0.0.1:{app.port}"
    app.write_config()
    app.run("rollback")
    assert app.serving() == "v1"
    assert app.json("status")["proxy"]["listen"] == f"127.0.0.1:{app.port}"


def test_a_live_version_is_immutable(app: App) -> None:
    app.release("v1")
    app.release("v2")
    image = app.json("show", "v1")["image_id"]
    app.write("changed")
    done = app.run("release", "v1", code=2)
    assert "v1 has been live and cannot change" in done.stderr
    assert "deployctl release v3" in done.stderr
    assert app.serving() == "v2"
    app.write("v1")
    done = app.run("release", "v1")
    assert "its image is reused" in done.stderr
    assert app.serving() == "v1"
    assert app.json("show", "v1")["image_id"] == image


def test_a_version_that_was_never_live_is_rebuilt(app: App) -> None:
    app.release("v1")
    app.config["health"]["deadline"] = "2s"
    app.release("v2", "sick", code=3)
    first = app.json("show", "v2")["image_id"]
    app.config["health"]["deadline"] = "20s"
    done = app.release("v2")
    assert "it is rebuilt" in done.stderr
    assert app.serving() == "v2"
    assert app.json("show", "v2")["image_id"] != first
    assert first not in engine().api.images(quiet=True, all=True)


def test_releasing_what_is_live_does_nothing(app: App) -> None:
    app.release("v1")
    before = app.containers()
    assert app.json("release", "v1")["outcome"] == "nothing to do"
    assert app.containers() == before
    assert app.run("plan", "release", "v1", "--detailed-exitcode").returncode == 0
    same = app.run("plan", "release", "v2", "--detailed-exitcode", code=2)
    assert "v2 would be the same as v1" in same.stderr
    app.write("v2")
    assert app.run("plan", "release", "v2", "--detailed-exitcode", code=10).returncode == 10


def test_a_changed_configuration_restarts_the_live_version(app: App) -> None:
    app.release("v1")
    app.config["run"]["env"] = {"COLOUR": "red"}
    app.config["run"]["replicas"] = 2
    app.write_config()
    app.run("release", "v1")
    assert "COLOUR=red" in app.get("/env")[2]
    assert len(app.json("status")["live"]["containers"]) == 2
    assert len(app.containers()) == 2


def test_the_previous_version_is_stopped_when_its_standby_time_is_over(app: App) -> None:
    app.config["rollout"]["keep_warm"] = "1s"
    app.release("v1")
    app.write("v2")
    app.run("release", "v2", "--wait")
    states = {name.split("-")[1]: state for name, state in app.containers().items()}
    assert states == {"v1": "exited", "v2": "running"}
    policies = {
        container.labels["deployctl.version"]: container.attrs["HostConfig"]["RestartPolicy"]["Name"]
        for container in app.engine_containers()
        if "deployctl.version" in container.labels
    }
    assert policies["v2"] == "always"
    assert policies["v1"] in ("no", "")


def test_two_releases_at_once_one_wins_the_other_says_who(app: App) -> None:
    app.release("v1")
    app.write("v2", "late:1")
    first = app.start("release", "v2")
    second = app.start("release", "v2")
    ends = {first.wait(60): first, second.wait(60): second}
    assert sorted(ends) == [0, 75]
    loser = ends[75].communicate()[1]
    winner = ends[0]
    assert f"pid {winner.pid}" in loser
    assert "release v2" in loser
    winner.communicate()
    assert len(app.json("history")["deployments"]) == 2
    assert app.serving() == "v2"


def test_headers_for_the_model_and_for_the_client(app: App) -> None:
    app.release("v1")
    _, headers, body = app.get("/headers", {"Host": "digits.example.org"})
    sent = dict(line.split(": ", 1) for line in body.splitlines())
    assert sent["x-forwarded-for"] == "127.0.0.1"
    assert sent["x-forwarded-proto"] == "http"
    assert sent["x-forwarded-host"] == "digits.example.org"
    assert sent["x-request-id"] == headers["x-request-id"]
    assert app.get("/headers", {"X-Request-Id": "mine"})[1]["x-request-id"] == "mine"


def test_several_apps_share_a_proxy_and_lose_nothing_when_one_comes_or_goes(make_app: Callable[..., App]) -> None:
    first = make_app("first")
    second = make_app("second", port=first.port)
    third = make_app("third")
    first.config["proxy"]["host"] = ["first.example.org"]
    second.config["proxy"]["path_prefix"] = "/second"
    first.release("v1")
    with Load(first.port, clients=16, host="first.example.org") as load:
        time.sleep(0.3)
        second.release("v1")
        third.release("v1")
        assert second.get("/second/predict")[2] == "v1 /predict"
        assert third.get("/predict")[2] == "v1 /predict"
        assert first.get("/second/predict", {"Host": "first.example.org"})[2] == "v1 /second/predict"
        assert first.get("/elsewhere")[0] == 404
        second.release("v2")
        time.sleep(0.3)
    assert load.failures() == []
    fourth = make_app("fourth", port=first.port)
    fourth.config["proxy"]["path_prefix"] = "/second"
    done = fourth.release("v1", code=2)
    assert "is the route of app second" in done.stderr
    assert "fourth" not in " ".join(first.containers())


def test_state_folders_never_meet(make_app: Callable[..., App]) -> None:
    name = f"both-{os.getpid()}"  # unique, because the test checks the tags
    one = make_app(name, state="one")
    two = make_app(name, state="two")
    one.release("v1")
    two.release("v1")
    # Both have an image with this name, but the engine has one tag, which is on the newer one.
    assert one.json("verify")["problems"] == two.json("verify")["problems"] == []
    assert set(one.containers()) & set(two.containers()) == set()
    two.release("v2")
    assert (one.serving(), two.serving()) == ("v1", "v2")
    two.clean()
    assert one.serving() == "v1"
    assert one.json("status")["state"] == "stable"


def test_a_busy_model_that_misses_its_checks_gets_its_requests_all_the_same(app: App) -> None:
    app.config["health"]["timeout"] = "300ms"
    app.release("v1", "single")
    replies: list[int] = []
    threads = [threading.Thread(target=lambda: replies.append(app.get("/slow?seconds=3")[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(1)
    for thread in threads:
        thread.join()
    assert replies == [200, 200, 200]


def test_containers_are_hardened_and_limited(app: App) -> None:
    app.config["run"] |= {"memory": "128m", "cpus": 0.5, "shm_size": "32m", "env": {"A": "b c"}}
    app.release("v1")
    [name] = app.containers()
    container = engine().containers.get(name)
    host = container.attrs["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidsLimit"] == 4096
    assert host["Init"] is True
    assert host["Memory"] == 128 << 20
    assert host["NanoCpus"] == 500_000_000
    assert host["ShmSize"] == 32 << 20
    assert host["LogConfig"]["Config"]["max-size"] == str(10 << 20)
    assert container.labels["deployctl.app"] == "mymodel"
    assert container.labels["deployctl.version"] == "v1"
    assert container.labels["deployctl.slot"] == "blue"
    assert container.labels["deployctl.manifest"].startswith("sha256:")
    assert "A=b c" in app.get("/env")[2]


def test_prune_keeps_the_way_back(app: App) -> None:
    app.config["retention"]["versions"] = 2
    for version in ("v1", "v2", "v3", "v4"):
        app.release(version)
    kept = {name.split("-")[1] for name in app.containers()}
    assert kept == {"v3", "v4"}
    app.run("prune", "--keep", "1")
    assert {name.split("-")[1] for name in app.containers()} == {"v3", "v4"}
    app.run("rollback")
    assert app.serving() == "v3"


@pytest.mark.parametrize("command", [["status"], ["history"], ["tree"], ["show", "v1"], ["logs"], ["proxy", "status"]])
def test_what_people_read_is_there(app: App, command: list[str]) -> None:
    app.release("v1")
    assert "v1" in app.run(*command).stdout or "blue" in app.run(*command).stdout


def test_exec_runs_in_the_live_container(app: App) -> None:
    app.release("v1")
    done = app.run("exec", "cat", "/app/version")
    assert done.stdout == "v1"
    app.run("exec", "--", "sh", "-c", "exit 9", code=9)
