"""[run] on the real engine: what a container sees of it, and what happens when the engine cannot do it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.harness import App, engine

pytestmark = pytest.mark.engine


@pytest.fixture
def network(app: App) -> Iterator[str]:
    """A network of another program."""
    name = f"back-{app.port}"
    engine().networks.create(name)
    yield name
    for made in engine().networks.list(names=[name], greedy=True):
        for container in made.containers:
            made.disconnect(container, force=True)
        made.remove()


def inside(app: App, *command: str) -> str:
    return str(app.container("v1").exec_run(list(command)).output.decode())


def test_a_container_sees_what_the_file_says(app: App, network: str) -> None:
    (app.folder / "data").mkdir()
    app.config["run"] |= {
        "read_only": True,
        "tmpfs": ["/tmp:size=1m,mode=1777", "/run"],
        "secrets": {"token": "env:TOKEN"},
        "devices": ["/dev/null:/dev/nothing:r"],
        "ulimits": {"nofile": "1024:2048", "core": 0},
        "ipc": "shareable",
        "networks": [network],
        "dns": ["192.0.2.53"],
        "extra_hosts": {"db": "192.0.2.5", "engine-host": "host-gateway"},
        "log_driver": "local",
        "log_options": {"compress": "false"},
        "volumes": ["./data:/data:ro,Z", "./data:/data2:z"],
    }
    (app.folder / ".dockerignore").write_text("data\n")
    app.write_config()
    app.run("release", "v1", env={"TOKEN": "in the file"})
    assert "size=1024k" in inside(app, "grep", "/tmp ", "/proc/mounts")
    assert inside(app, "cat", "/run/secrets/token") == "in the file"
    assert "Read-only" in inside(app, "sh", "-c", "echo > /x")
    assert inside(app, "sh", "-c", "echo > /tmp/x && echo done") == "done\n"
    assert inside(app, "test", "-c", "/dev/nothing") == ""
    assert inside(app, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c") == "1024\n2048\n0\n"
    assert "192.0.2.5\tdb" in inside(app, "cat", "/etc/hosts")
    assert "engine-host" in inside(app, "cat", "/etc/hosts")
    seen = app.container("v1").attrs
    host = seen["HostConfig"]
    assert (host["IpcMode"], host["Dns"]) == ("shareable", ["192.0.2.53"])
    assert (host["LogConfig"]["Type"], host["LogConfig"]["Config"]["compress"]) == ("local", "false")
    assert host["LogConfig"]["Config"]["max-size"] == str(10 * 1024**2)
    assert [bind.rpartition(":")[2] for bind in host["Binds"]] == ["ro,Z", "rw,z"]
    assert set(seen["NetworkSettings"]["Networks"]) == {app.names.network, network}
    assert app.serving() == "v1"
    # All containers of the app have one label, so that the next version does not take the files from this one.
    app.write("v2")
    app.run("release", "v2", env={"TOKEN": "in the file"})
    options = [app.container(version).attrs["HostConfig"]["SecurityOpt"] for version in ("v1", "v2")]
    assert options[0] == options[1]
    assert options[0][1].startswith("label=level:s0:c")
    assert set(app.container("v2").attrs["NetworkSettings"]["Networks"]) == {app.names.network, network}


def test_a_network_that_is_missing_is_named_before_the_build(app: App) -> None:
    app.config["run"]["networks"] = ["no-such-network"]
    app.write_config()
    done = app.run("release", "v1", code=2)
    assert "run.networks: the engine has no network no-such-network" in done.stderr
    assert "next: create it: docker network create no-such-network" in done.stderr
    assert app.left_over() == []


def test_a_network_that_is_removed_during_a_release_leaves_no_container(app: App, network: str) -> None:
    app.release("v1")
    app.config["run"]["networks"] = [network]
    app.write("v2")
    with (app.folder / "Dockerfile").open("a") as file:
        file.write("RUN echo building\n")
    process = app.start("release", "v2")
    assert process.stderr is not None
    while "echo building" not in process.stderr.readline():
        assert process.poll() is None
    engine().networks.get(network).remove()
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 3, rest
    assert f"network {network} not found" in rest
    assert app.serving() == "v1"
    assert list(app.containers()) == [app.container("v1").name]


def test_a_failed_release_without_a_log(app: App) -> None:
    app.config["run"] |= {"log_driver": "none", "command": ["sh", "-c", "exit 3"]}
    app.write_config()
    done = app.run("release", "v1", code=3)
    assert "exit code 3" in done.stderr
    assert "does not support reading" in done.stderr


def test_each_replica_asks_for_its_own_gpus(app: App) -> None:
    """The engine refuses to start them where there is no NVIDIA runtime, but says what was asked for."""
    app.config["run"] |= {"replicas": 2, "gpus": ["0", "1", "2", "3"]}
    app.write_config()
    done = app.run("release", "v1", code=None)
    if done.returncode == 0:
        asked = [app.container("v1", index).attrs["HostConfig"]["DeviceRequests"][0] for index in (1, 2)]
        assert [request["DeviceIDs"] for request in asked] == [["0"], ["1"]]
    else:
        assert "run.gpus needs the NVIDIA container toolkit" in done.stderr
        assert app.left_over() == []
