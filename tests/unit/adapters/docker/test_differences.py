"""How a container differs from the one that was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.adapters.docker.differences import differences

IMAGE = {"Cmd": ["serve"], "Entrypoint": None, "User": "", "WorkingDir": "/app", "Env": ["PATH=/bin", "A=1"]}
WANTED = {
    "command": None,
    "user": None,
    "environment": {"A": "2", "TOKEN": "value"},
    "host_config": {
        "NetworkMode": "deployctl",
        "Binds": ["/data:/data"],
        "Mounts": [{"Target": "/model", "Source": "/m", "Type": "bind", "ReadOnly": True}],
        "CapDrop": ["ALL"],
        "CapAdd": ["NET_BIND_SERVICE"],
        "SecurityOpt": ["no-new-privileges"],
        "Memory": 1 << 30,
        "RestartPolicy": {"Name": "no"},
    },
}


def inspected() -> dict[str, Any]:
    """What the engine says of it: with its own defaults, and in its own order and spelling."""
    return {
        "Id": "0123456789abcdef",
        "Mounts": [{"Type": "bind", "Destination": "/data"}, {"Type": "bind", "Destination": "/model"}],
        "Config": {
            **IMAGE,
            "Hostname": "0123456789ab",
            "StopSignal": "SIGTERM",
            "Entrypoint": [],
            "Env": ["TOKEN=value", "A=2", "PATH=/bin"],
        },
        "HostConfig": {
            "NetworkMode": "deployctl",
            "Binds": ["/data:/data"],
            "Mounts": [{"Type": "bind", "Source": "/m", "Target": "/model", "ReadOnly": True}],
            "CapDrop": ["ALL"],
            "CapAdd": ["CAP_NET_BIND_SERVICE"],
            "SecurityOpt": ["no-new-privileges:true", "label=type:container_t"],
            "Memory": 1 << 30,
            "MemorySwap": 2 << 30,
            "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
            "Privileged": False,
            "PidMode": "",
            "PidsLimit": None,
            "PortBindings": {},
            "Devices": [],
            "DeviceRequests": None,
        },
    }


def test_the_engines_way_to_say_it_is_no_difference() -> None:
    assert differences(WANTED, inspected(), IMAGE) == []


@pytest.mark.parametrize(
    ("part", "key", "value", "named"),
    [
        ("Config", "Cmd", ["sh"], "command"),
        ("Config", "Entrypoint", ["sh", "-c"], "entrypoint"),
        ("Config", "User", "root", "user"),
        ("Config", "WorkingDir", "/", "working directory"),
        ("Config", "Env", ["A=2", "PATH=/bin", "TOKEN=other", "X=1"], "'TOKEN', 'X'"),
        ("HostConfig", "Binds", ["/data:/data", "/etc:/host:ro"], "volumes"),
        ("HostConfig", "Mounts", [], "mounts"),
        ("HostConfig", "Privileged", True, "privileges"),
        ("HostConfig", "CapDrop", None, "dropped capabilities"),
        ("HostConfig", "CapAdd", ["CAP_SYS_ADMIN", "CAP_NET_BIND_SERVICE"], "added capabilities"),
        ("HostConfig", "SecurityOpt", None, "security options"),
        ("HostConfig", "SecurityOpt", ["no-new-privileges", "seccomp=unconfined"], "security options"),
        ("HostConfig", "PidMode", "host", "PidMode"),
        ("HostConfig", "Devices", [{"PathOnHost": "/dev/sda"}], "Devices"),
        ("HostConfig", "PortBindings", {"80/tcp": [{"HostPort": "80"}]}, "published ports"),
        ("HostConfig", "Memory", 0, "memory limit"),
        ("HostConfig", "NetworkMode", "host", "network mode"),
        ("HostConfig", "GroupAdd", ["0"], "additional groups"),
        ("HostConfig", "Tmpfs", {"/app": ""}, "Tmpfs"),
        ("HostConfig", "MaskedPaths", [], "MaskedPaths"),
        ("HostConfig", "CgroupParent", "/other", "cgroup"),
        ("HostConfig", "CpusetCpus", "0", "processors"),
        ("HostConfig", "OomScoreAdj", -1000, "lack of memory"),
        ("Config", "Hostname", "other", "host name"),
        ("Config", "Domainname", "example.com", "domain name"),
        ("Config", "Healthcheck", {"Test": ["CMD", "true"]}, "health check"),
        ("Config", "StopSignal", "SIGKILL", "stop signal"),
    ],
)
def test_a_difference_is_named_without_a_value(part: str, key: str, value: Any, named: str) -> None:
    info = inspected()
    info[part][key] = value
    [text] = differences(WANTED, info, IMAGE)
    assert named in text
    assert "value" not in text
    assert "other," not in text


def test_a_volume_without_a_name_is_a_difference() -> None:
    info = inspected()
    info["Mounts"].append({"Type": "volume", "Destination": "/app"})
    assert differences(WANTED, info, IMAGE) == ["has a mount at /app, which was not recorded"]


@pytest.mark.parametrize("driver", ["json-file", None])
def test_the_engines_own_log_settings_are_no_difference(driver: str | None) -> None:
    """Only what was asked for is compared."""
    info = inspected()
    wanted = {**WANTED, "host_config": {**WANTED["host_config"]}}  # type: ignore[dict-item]
    if driver:
        wanted["host_config"]["LogConfig"] = {"Type": driver, "Config": {"max-size": "10m"}}  # type: ignore[index]
    info["HostConfig"]["LogConfig"] = {"Type": "none", "Config": {}}
    found = differences(wanted, info, IMAGE)
    assert found == (["has other log settings than were recorded"] if driver else [])
