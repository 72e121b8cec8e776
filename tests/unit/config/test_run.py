"""[run]: what the engine gets of mounts, devices, networks, limits, logs and GPUs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import Config, load, parse
from orchestrator.domain.rollout.workload import Runtime
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import ConfigError

HEAD = '[app]\nname = "mymodel"\nport = 8080\n[run]\n'
SLOTS: tuple[Slot, Slot] = ("blue", "green")


def parsed(run: str) -> Config:
    return parse(HEAD + run, file="deploy.toml", base=Path("/srv/mymodel"))


def runtime(run: str) -> Runtime:
    """What the engine gets; that of the stored configuration is the same."""
    config = parsed(run)
    found = config.runtime("blue", 1)
    assert Config.from_snapshot(json.loads(json.dumps(config.snapshot()))).runtime("blue", 1) == found
    return found


def findings(run: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parsed(run)
    return [str(found) for found in caught.value.findings]


@pytest.mark.parametrize(
    ("key", "written", "expected"),
    [
        ("volumes", '["./d:/d:z"]', ("/srv/mymodel/d:/d:rw,z",)),
        ("volumes", '["/d:/d:Z,ro", "name:/e:ro,z"]', ("/d:/d:ro,Z", "name:/e:ro,z")),
        ("volumes", '["/d:/d:rw", "/e:/e"]', ("/d:/d:rw", "/e:/e:rw")),
        ("tmpfs", '"/tmp"', {"/tmp": ""}),
        ("tmpfs", '["/tmp/:size=50%,mode=1777", "/x:exec"]', {"/tmp": "size=50%,mode=1777", "/x": "exec"}),
        ("devices", '["/dev/fuse"]', ("/dev/fuse:/dev/fuse:rwm",)),
        (
            "devices",
            '["/dev/a:/dev/b", "/dev/a:r", "/dev/a:/b:rw"]',
            ("/dev/a:/dev/b:rwm", "/dev/a:/dev/a:r", "/dev/a:/b:rw"),
        ),
        (
            "ulimits",
            '{ memlock = -1, nofile = "1024:65536", core = "0:-1" }',
            {"memlock": (-1, -1), "nofile": (1024, 65536), "core": (0, -1)},
        ),
        ("ipc", '"host"', "host"),
        ("networks", '["back", "back", "bridge"]', ("back", "bridge")),
        ("dns", '["1.1.1.1", "FE80::1"]', ("1.1.1.1", "fe80::1")),
        (
            "extra_hosts",
            '{ "db.internal" = "10.0.0.5", h = "host-gateway" }',
            {"db.internal": "10.0.0.5", "h": "host-gateway"},
        ),
        ("extra_hosts", '["db:10.0.0.5", "v6:::1", "v7=[::1]"]', {"db": "10.0.0.5", "v6": "::1", "v7": "::1"}),
        ("log_driver", '"journald"', "journald"),
        ("log_options", '{ tag = "x", labels = true }', {"tag": "x", "labels": "true"}),
    ],
)
def test_a_key_and_what_the_engine_gets(key: str, written: str, expected: Any) -> None:
    assert getattr(runtime(f"{key} = {written}\n"), key) == expected


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (
            'volumes = ["/a:/b:z,Z"]',
            'run.volumes[0]: expected "source:/target", optionally with ":ro" or ":rw", ":z" or',
        ),
        ('volumes = ["/a:/b:nocopy"]', "run.volumes[0]: expected"),
        ('tmpfs = ["tmp"]', "run.tmpfs[0]: must be an absolute path in the container"),
        ('tmpfs = ["/t:size=big"]', "run.tmpfs[0]: unknown option text 'size=big'"),
        ('tmpfs = ["/t:bind"]', "run.tmpfs[0]: unknown option text 'bind'"),
        (
            'tmpfs = ["/t"]\nvolumes = ["/t:/t"]',
            "run.tmpfs[0]: /t is taken by run.volumes[0] (mount it somewhere else)",
        ),
        ('tmpfs = ["/run/secrets"]\nsecrets = { a = "env:A" }', "run.tmpfs[0]: /run/secrets is taken by run.secrets"),
        ('devices = ["nvidia.com/gpu=0"]', "run.devices[0]: expected the absolute path of a device"),
        ("ulimits = { files = 1 }", "run.ulimits.files"),
        ('ulimits = { nofile = "5:1" }', "run.ulimits.nofile: the soft limit must be at most the hard one"),
        ('ipc = "container:x"', "run.ipc: must be 'private', 'shareable', 'host' or 'none'"),
        ('ipc = "host"\nshm_size = "1g"', 'run.shm_size: has no effect with ipc = "host"'),
        ('networks = ["host"]', "run.networks[0]: containers cannot join text 'host'"),
        ('networks = ["deployctl"]', "run.networks[0]: this is deployctl's own network"),
        ('dns = ["one.one"]', "run.dns[0]: expected an IP address, got text 'one.one'"),
        ('extra_hosts = { db = "x" }', "run.extra_hosts.db: expected an IP address, got text 'x'"),
        ('extra_hosts = ["db"]', "run.extra_hosts: expected \"name:address\", got text 'db'"),
        ('extra_hosts = { "a b" = "::1" }', 'run.extra_hosts."a b": not the name of a host'),
        ('log_driver = "a b"', "run.log_driver: expected the name of a logging driver"),
        (
            'log_driver = "none"\nlog_max_files = 3',
            'run.log_max_files: has no effect with log_driver = "none" (remove it)',
        ),
        ('log_options = { max-size = "1m" }', "run.log_options.max-size: is set by another key"),
        ("log_options = { token = [1] }", "run.log_options.token: expected text, a number or true/false, got a list"),
        ("gpus = []", "run.gpus: must not be empty"),
        ('gpus = ["0", 0]', "run.gpus: text '0' is named twice"),
        ('gpus = ["0 1"]', "run.gpus: expected the index or the UUID of a GPU"),
        ('gpus = { blue = ["0"] }', "run.gpus: expected the GPUs of both slots"),
        (
            "gpus = 1\nreplicas = 2",
            "run.gpus: all 2 replicas would get the same GPUs (write their ids, of which",
        ),
        ('gpus = ["0", "1", "2"]', "run.gpus: 3 GPUs cannot be divided evenly between two versions of 1 replica"),
        ('gpus = ["0"]\nreplicas = 2', "run.gpus: 1 GPUs cannot be divided evenly"),
        (
            'gpus = { blue = ["0"], green = ["1", "2"] }\nreplicas = 2',
            "run.gpus.blue: 1 GPUs cannot be divided evenly between 2 replicas",
        ),
    ],
)
def test_what_the_engine_would_refuse_or_read_otherwise(run: str, found: str) -> None:
    assert findings(run + "\n")[0].startswith(found)


@pytest.mark.parametrize(
    ("gpus", "replicas", "blue", "green"),
    [
        ('"all"', 2, ["all", "all"], ["all", "all"]),
        ("2", 1, [2], [2]),
        ('["0"]', 1, [("0",)], [("0",)]),
        ("[0, 1]", 1, [("0",)], [("1",)]),
        ('["0", "1"]', 2, [("0",), ("1",)], [("0",), ("1",)]),
        ('["0", "1", "2", "3"]', 2, [("0",), ("1",)], [("2",), ("3",)]),
        ('["0", "1", "2", "3"]', 1, [("0", "1")], [("2", "3")]),
        ('{ green = ["1", "2"], blue = ["GPU-a", "GPU-b"] }', 2, [("GPU-a",), ("GPU-b",)], [("1",), ("2",)]),
        ('{ blue = ["0", "1"], green = ["0", "1"] }', 1, [("0", "1")], [("0", "1")]),
    ],
)
def test_each_replica_has_its_gpus(gpus: str, replicas: int, blue: list[Any], green: list[Any]) -> None:
    config = parsed(f"gpus = {gpus}\nreplicas = {replicas}\n")
    config = Config.from_snapshot(json.loads(json.dumps(config.snapshot())))
    found = [[config.runtime(slot, index + 1).gpus for index in range(replicas)] for slot in SLOTS]
    assert found == [blue, green]


def test_a_device_that_this_machine_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "deploy.toml"
    path.write_text(HEAD + 'devices = ["/dev/null", "/dev/no/such"]\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [str(found) for found in caught.value.findings] == [
        "run.devices[1]: there is no /dev/no/such on this machine"
    ]


def test_a_configuration_that_was_stored_before_these_keys() -> None:
    config = parsed("gpus = 2\n")
    stored = json.loads(json.dumps(config.snapshot()))
    for key in ("tmpfs", "devices", "ulimits", "ipc", "networks", "dns", "extra_hosts", "log_driver", "log_options"):
        del stored["run"][key]
    assert Config.from_snapshot(stored).runtime("blue", 1) == config.runtime("blue", 1)
