"""How a container differs from the one that was asked for, by its inspection. Pure.

Only what decides what the container runs and what it may do is compared. No text has a value of a variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    "PidMode": "",
    "UTSMode": "",
    "UsernsMode": "",
    "PortBindings": {},
    "ReadonlyRootfs": False,
}
_WORDS = {
    "Privileged": "privileges",
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
# What the engine, the proxy or the watchdog change, and what has no influence on what runs.
_IGNORED = frozenset({"RestartPolicy", "LogConfig", "ShmSize", "Init", "MemorySwap"})


def differences(wanted: Mapping[str, Any], info: Mapping[str, Any], image: Mapping[str, Any]) -> list[str]:
    """What differs between an inspection and `wanted`, the arguments of its creation; `image`: its image's settings."""
    return [*_of_program(wanted, info["Config"], image), *_of_host(wanted["host_config"], info["HostConfig"])]


def _of_program(wanted: Mapping[str, Any], config: Mapping[str, Any], image: Mapping[str, Any]) -> Iterator[str]:
    for name, word, expected in (
        ("Cmd", "command", wanted["command"] or image.get("Cmd")),
        ("Entrypoint", "entrypoint", wanted.get("entrypoint") or image.get("Entrypoint")),
        ("User", "user", wanted["user"] or image.get("User")),
        ("WorkingDir", "working directory", image.get("WorkingDir")),
    ):
        if (config.get(name) or None) != (expected or None):
            yield f"has another {word} than was recorded"
    recorded = {**_variables(image.get("Env")), **wanted["environment"]}
    actual = _variables(config.get("Env"))
    changed = sorted(name for name in recorded.keys() | actual.keys() if recorded.get(name) != actual.get(name))
    if changed:
        yield f"has another environment than was recorded: {', '.join(map(repr, changed))}"


def _of_host(wanted: Mapping[str, Any], actual: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*_UNSET, *wanted} - _IGNORED):
        expected, found = _plain(wanted.get(key)), _plain(actual.get(key))
        if key == "SecurityOpt":
            # The engine may add its own, such as a profile of SELinux or AppArmor; nothing of them adds a right.
            found = [option for option in found or [] if option in (expected or []) or "unconfined" in option] or None
        if expected != found:
            yield f"has other {_WORDS.get(key, key)} than were recorded"


def _variables(lines: list[str] | None) -> dict[str, str]:
    return {name: value for name, _, value in (line.partition("=") for line in lines or ())}


def _plain(value: Any) -> Any:
    """A value without what the engine writes in more than one way: empty ones, defaults, and the order of lists."""
    if isinstance(value, Mapping):
        return {key: plain for key, item in sorted(value.items()) if (plain := _plain(item)) is not None} or None
    if isinstance(value, list):
        return sorted((_plain(item) for item in value), key=repr) or None
    if isinstance(value, str):
        return value.removeprefix("CAP_").removesuffix(":true") or None
    return value or None
