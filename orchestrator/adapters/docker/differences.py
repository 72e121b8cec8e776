"""How a container differs from the one that was asked for, by its inspection. Pure.

Only what decides what the container runs and what it may do is compared. No text has a value of a variable.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Settings of the host that change what a container may do, with what they are when nobody has set them. Compared even
# when they were not asked for.
_UNSET: dict[str, Any] = {
    "Privileged": False,
    "CapAdd": [],
    "CapDrop": [],
    "SecurityOpt": [],
    "Devices": [],
    "DeviceRequests": [],
    "DeviceCgroupRules": [],
    "Binds": [],
    "Mounts": [],
    "VolumesFrom": [],
    "Tmpfs": {},
    "Sysctls": {},
    "GroupAdd": [],
    "CgroupParent": "",
    "CpusetCpus": "",
    "CpusetMems": "",
    "OomKillDisable": False,
    "OomScoreAdj": 0,
    "PidMode": "",
    "UTSMode": "",
    "UsernsMode": "",
    "PortBindings": {},
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
}
# Compared when they were asked for: otherwise the engine's own settings decide.
_OPTIONAL = frozenset({"Init", "IpcMode", "LogConfig", "ShmSize"})
# Their keys mean something, whatever the values.
_KEYED = frozenset({"PortBindings", "Sysctls", "Tmpfs"})
# Empty, they would open what the engine hides from a container.
_HIDDEN = ("MaskedPaths", "ReadonlyPaths")
_WORDS = {
    "Privileged": "privileges",
    "GroupAdd": "additional groups",
    "CgroupParent": "cgroup",
    "CpusetCpus": "processors",
    "LogConfig": "log settings",
    "OomScoreAdj": "settings for lack of memory",
    "CapAdd": "added capabilities",
    "CapDrop": "dropped capabilities",
    "SecurityOpt": "security options",
    "DeviceRequests": "GPUs",
    "Binds": "volumes",
    "Mounts": "mounts",
    "ReadonlyRootfs": "read-only setting",
    "Memory": "memory limit",
    "NanoCpus": "CPU limit",
    "PidsLimit": "limit of processes",
    "NetworkMode": "network mode",
    "PortBindings": "published ports",
}
# What deployctl changes later, and what the engine derives.
_IGNORED = frozenset({"RestartPolicy", "MemorySwap"})


def differences(wanted: Mapping[str, Any], info: Mapping[str, Any], image: Mapping[str, Any]) -> list[str]:
    """What differs between an inspection and `wanted`, the arguments of its creation; `image`: its image's settings."""
    host = wanted["host_config"]
    return [
        *_of_program(wanted, info, image),
        *_of_host(host, info["HostConfig"]),
        *_of_mounts(host, info.get("Mounts") or ()),
    ]


def _of_program(wanted: Mapping[str, Any], info: Mapping[str, Any], image: Mapping[str, Any]) -> Iterator[str]:
    config = info["Config"]
    for name, word, expected in (
        ("Cmd", "command", wanted["command"] or image.get("Cmd")),
        ("Entrypoint", "entrypoint", wanted.get("entrypoint") or image.get("Entrypoint")),
        ("User", "user", wanted["user"] or image.get("User")),
        ("WorkingDir", "working directory", image.get("WorkingDir")),
        ("Hostname", "host name", info["Id"][:12]),
        ("Domainname", "domain name", None),
        ("Healthcheck", "health check", image.get("Healthcheck")),
        ("StopSignal", "stop signal", image.get("StopSignal")),
    ):
        if _told(name, config.get(name)) != _told(name, expected):
            yield f"has another {word} than was recorded"
    recorded = {**_variables(image.get("Env")), **wanted["environment"]}
    actual = _variables(config.get("Env"))
    changed = sorted(name for name in recorded.keys() | actual.keys() if recorded.get(name) != actual.get(name))
    if changed:
        yield f"has another environment than was recorded: {', '.join(map(repr, changed))}"


def _told(name: str, value: Any) -> Any:
    """What a setting of the program says; engines name the usual signal or leave it out."""
    return None if name == "StopSignal" and value in ("SIGTERM", "15") else value or None


def _of_mounts(wanted: Mapping[str, Any], mounts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Volumes without a name are in no setting of the host."""
    targets = {each["Target"] for each in wanted.get("Mounts") or ()}
    targets |= {bind.split(":")[1] for bind in wanted.get("Binds") or ()}
    asked = {posixpath.normpath(target) for target in (*targets, *(wanted.get("Tmpfs") or ()))}
    for mount in mounts:
        if posixpath.normpath(mount["Destination"]) not in asked:
            yield f"has a mount at {mount['Destination']}, which was not recorded"


def _of_host(wanted: Mapping[str, Any], actual: Mapping[str, Any]) -> Iterator[str]:
    for key in _HIDDEN:
        if actual.get(key) == []:
            yield f"has other {key} than were recorded"
    for key in sorted({*_UNSET, *wanted} - _IGNORED):
        if key in _OPTIONAL and wanted.get(key) is None:
            continue
        expected, found = (_plain(each.get(key), keyed=key in _KEYED) for each in (wanted, actual))
        if key == "SecurityOpt":
            # The engine may add its own, such as a profile of SELinux or AppArmor; nothing of them adds a right.
            found = [option for option in found or [] if option in (expected or []) or "unconfined" in option] or None
        if expected != found:
            yield f"has other {_WORDS.get(key, key)} than were recorded"


def _variables(lines: list[str] | None) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in lines or ())}


def _plain(value: Any, *, keyed: bool = False) -> Any:
    """A value without what the engine writes in more than one way: empty ones, defaults, and the order of lists."""
    if isinstance(value, Mapping) and keyed:
        return {key: _plain(item) for key, item in sorted(value.items())} or None
    if isinstance(value, Mapping):
        return {key: plain for key, item in sorted(value.items()) if (plain := _plain(item)) is not None} or None
    if isinstance(value, list):
        return sorted((_plain(item) for item in value), key=repr) or None
    if isinstance(value, str):
        return value.removeprefix("CAP_").removesuffix(":true") or None
    return value or None
