"""Readers for the values of [run] that the engine gets nearly as they are written: mounts, devices, networks, limits.

Each returns one form of the value, which it also accepts: stored configurations are read again.
"""

from __future__ import annotations

import ipaddress
import os.path
import re

from pydantic import ValidationInfo

from orchestrator.config.explain import Invalid, describe
from orchestrator.config.values import HOST_LABEL, plain_text

ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio"),
    *("rttime", "sigpending", "stack"),
)
_LARGEST = 2**63 - 1
_NAMED_VOLUME = r"[A-Za-z0-9][A-Za-z0-9_.-]+"
# Access, and the label of SELinux: z is shared by all containers, Z is the app's own.
_VOLUME_OPTIONS = (("ro", "rw"), ("z", "Z"))
_TMPFS_FLAGS = ("ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "noatime", "nodiratime", "sync")
_TMPFS_VALUES = {"size": r"[0-9]+[kKmMgG%]?", "mode": r"[0-7]{3,4}", "uid": r"[0-9]+", "gid": r"[0-9]+"}
_TMPFS_VALUES |= {"nr_inodes": r"[0-9]+[kKmMgG]?", "nr_blocks": r"[0-9]+[kKmMgG]?"}
_GPU = r"[A-Za-z0-9][A-Za-z0-9._:/-]*"
_RIGHTS = r"(?=.)r?w?m?"
_NETWORK = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


def container_path(value: str) -> str:
    """An absolute path in the container, normalized."""
    plain_text(value)
    path = _tidy(value)
    if not value.startswith("/") or path == "/" or ":" in value:
        raise Invalid(f'must be an absolute path in the container, such as "/data", got {describe(value)}')
    return path


def volume(value: str, info: ValidationInfo) -> str:
    """`source:target:options` with an absolute or named source, as Docker expects it."""
    plain_text(value)
    hint = 'write "/on/the/host:/in/the/container:ro", "./folder:/target" or "name:/target"'
    parts = value.split(":")
    options = _volume_options(parts[2]) if len(parts) == 3 else "rw"
    if len(parts) not in (2, 3) or options is None:
        raise Invalid(
            f'expected "source:/target", optionally with ":ro" or ":rw", ":z" or ":Z", got {describe(value)}', hint
        )
    source, target = parts[0], container_path(parts[1])
    if source.split("/")[0] in (".", ".."):
        source = os.path.join((info.context or {}).get("base", "/"), source)  # noqa: PTH118 (lexical, as Docker)
        if ":" in source:
            raise Invalid("Docker cannot mount a folder with a colon in its path", "use a named volume")
    elif not source.startswith("/") and not re.fullmatch(_NAMED_VOLUME, source):
        raise Invalid(f"not an absolute path, a ./path or the name of a volume: {describe(source)}", hint)
    return ":".join([_tidy(source) if "/" in source else source, target, options])


def _volume_options(text: str) -> str | None:
    """The options of a volume in one form: `rw`, `ro,z`; None when they are not valid."""
    left = text.split(",")
    chosen = []
    for choices in _VOLUME_OPTIONS:
        found = [option for option in left if option in choices]
        left = [option for option in left if option not in choices]
        if len(found) > 1:
            return None
        chosen += found
    if left:
        return None
    return ",".join(chosen if chosen[0] in ("ro", "rw") else ["rw", *chosen])


def tmpfs(value: str) -> str:
    """`/path` or `/path:options`, with the options of mount(8) that a tmpfs has."""
    plain_text(value)
    path, colon, options = value.partition(":")
    target = container_path(path)
    for option in options.split(",") if colon else ():
        name, equals, number = option.partition("=")
        known = re.fullmatch(_TMPFS_VALUES[name], number) if equals and name in _TMPFS_VALUES else None
        if not known and option not in _TMPFS_FLAGS:
            raise Invalid(f"unknown option {describe(option)}", 'write "/tmp", or "/tmp:size=64m,mode=1777"')
    return f"{target}{colon}{options}"


def device(value: str) -> str:
    """`/dev/x:/dev/y:rwm`; what is left out is the same path, and all rights."""
    plain_text(value)
    parts = value.split(":")
    rights = parts.pop() if len(parts) > 1 and re.fullmatch(_RIGHTS, parts[-1]) else "rwm"
    if not 1 <= len(parts) <= 2 or not all(part.startswith("/") and _tidy(part) != "/" for part in parts):
        raise Invalid(
            f"expected the absolute path of a device, got {describe(value)}",
            'write "/dev/fuse", "/dev/a:/dev/b" or "/dev/a:/dev/b:rw"',
        )
    return f"{_tidy(parts[0])}:{_tidy(parts[-1])}:{rights}"


def network(value: str) -> str:
    """The name of a network of the engine that is not deployctl's own, and not a mode."""
    if not re.fullmatch(_NETWORK, value) or len(value) > 255:
        raise Invalid(f"expected the name of a network, got {describe(value)}", "see: docker network ls")
    if value in ("host", "none", "default"):
        raise Invalid(f"containers cannot join {describe(value)}", "the proxy reaches them in deployctl's network")
    if re.fullmatch(r"deployctl(-[0-9a-f]{8})?", value):
        raise Invalid("this is deployctl's own network", "containers are in it: remove it from the list")
    return value


def address(value: str) -> str:
    """An IP address."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise Invalid(f"expected an IP address, got {describe(value)}") from None


def extra_hosts(value: object) -> object:
    """Names and addresses, as a table or as the list that Docker and Compose take (`"name:address"`)."""
    if not isinstance(value, list):
        return value
    table = {}
    for entry in value:
        pair = re.split("[:=]", entry, maxsplit=1) if isinstance(entry, str) else []
        if len(pair) != 2:
            raise Invalid(f'expected "name:address", got {describe(entry)}', 'write { "db.internal" = "10.0.0.5" }')
        table[pair[0]] = pair[1]
    return table


def host_name(value: str) -> str:
    """The name of a host, for /etc/hosts."""
    if not re.fullmatch(rf"(?i){HOST_LABEL}(\.{HOST_LABEL})*", value) or len(value) > 253 or not value.isascii():
        raise Invalid(f"not the name of a host: {describe(value)}")
    return value


def host_address(value: str) -> str:
    """An IP address, or `host-gateway`, the address of the engine's host."""
    return value if value == "host-gateway" else address(value.removeprefix("[").removesuffix("]"))


def ulimit(value: object) -> str:
    """`soft:hard`; one number is both, -1 is no limit."""
    hint = 'write 65536, "1024:65536", or -1 for no limit'
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    found = re.fullmatch(r"(-1|[0-9]{1,19})(?::(-1|[0-9]{1,19}))?", text) if isinstance(text, str) else None
    if found is None:
        raise Invalid(f"expected a limit, got {describe(value)}", hint)
    soft, hard = int(found[1]), int(found[2] or found[1])
    if max(soft, hard) > _LARGEST:
        raise Invalid(f"too large: {describe(value)}", hint)
    if hard != -1 and (soft == -1 or soft > hard):
        raise Invalid(f"the soft limit must be at most the hard one, got {describe(value)}", hint)
    return f"{soft}:{hard}"


def ulimit_name(value: str) -> str:
    """The name of a limit of setrlimit(2), in lowercase."""
    if value not in ULIMITS:
        raise Invalid(f"unknown limit {describe(value)}", f"known: {', '.join(ULIMITS)}")
    return value


def gpus(value: object) -> object:
    """`"all"`, a number, a list of ids, or a table with such a list for each slot."""
    if value is None or value == "all":
        return value
    if isinstance(value, list):
        return _gpu_ids(value)
    if isinstance(value, dict):
        if set(value) != {"blue", "green"} or not all(isinstance(ids, list) for ids in value.values()):
            raise Invalid("expected the GPUs of both slots", 'write { blue = ["0"], green = ["1"] }')
        return {slot: _gpu_ids(value[slot]) for slot in ("blue", "green")}
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid(f'expected "all", a whole number or a list of ids, got {describe(value)}', 'write ["0", "1"]')
    if not 1 <= value <= 1024:
        raise Invalid(f"must be between 1 and 1024, got {describe(value)}")
    return value


def _gpu_ids(value: list[object]) -> list[str]:
    ids = []
    for each in value:
        small = isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 1024
        text = str(each) if small else each
        if not isinstance(text, str) or not re.fullmatch(_GPU, text) or len(text) > 128:
            raise Invalid(f"expected the index or the UUID of a GPU, got {describe(each)}", "see: nvidia-smi -L")
        if text in ids:
            raise Invalid(f"{describe(text)} is named twice")
        ids.append(text)
    if not ids:
        raise Invalid("must not be empty", "remove it to use no GPU")
    return ids


def _tidy(path: str) -> str:
    # normpath keeps exactly two leading slashes, as POSIX allows.
    return re.sub("^//", "/", os.path.normpath(path))
