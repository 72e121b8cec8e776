"""Readers for single values of deploy.toml.

A reader converts a value of the file into the one that the program uses (`"1m30s"` into 90.0) or raises `Invalid`.
"""

from __future__ import annotations

import ipaddress
import math
import re
import shlex
from collections.abc import Callable
from decimal import Decimal

from pydantic import ValidationInfo

from orchestrator.config.explain import Invalid, describe
from orchestrator.domain import durations
from orchestrator.domain.version.ignoring import BadPattern, Ignoring
from orchestrator.domain.version.ignoring import read as read_patterns

SIZE = r"^[0-9]+(\.[0-9]+)?([bB]|[kKmMgGtT]([iI]?[bB])?)$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
SECRET_NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$"
SECRET_SOURCE = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.*\S.*)$"

_DURATION_HINT = 'units are ms, s, m, h and d: "500ms", "1m30s"'
_SIZE_HINT = 'write "512m" or "2g"'
# Matching values are written to HAProxy's configuration: never allow a space, quote, backslash, #, $ or brace.
_URL_PATH = r"/[A-Za-z0-9._~%/?=&:@+,;-]*"
_PREFIX = r"/[A-Za-z0-9._~/-]*"
HOST_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_REPOSITORY_PART = r"[a-z0-9]+((\.|_{1,2}|-+)[a-z0-9]+)*"


def plain_text(value: str) -> str:
    """One line of text: a line break would start a new entry in the files that values are written to."""
    if "\n" in value or "\r" in value:
        raise Invalid("must be one line")
    if any((character < " " and character != "\t") or character == "\x7f" for character in value):
        raise Invalid("must not contain control characters")
    return value


def some_text(value: str) -> str:
    """One line of text, not blank."""
    if not value.strip():
        raise Invalid("must not be empty")
    return plain_text(value)


def secret_url(value: str) -> str:
    """A URL whose text no message may show."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\x00-\x1f\x7f]+", value):
        raise Invalid(
            "expected a URL such as https://example.com/path", "it is not shown because it may contain a password"
        )
    return value


def file_name(value: str) -> str:
    """The path of a file. A URL, written here by mistake, is refused and not shown."""
    if "://" in value:
        raise Invalid("expected a file, got a URL", "it is not shown because it may contain a password")
    return some_text(value)


def web_url(value: str) -> str:
    """A secret URL with the scheme http or https."""
    if not secret_url(value).lower().startswith(("http://", "https://")):
        raise Invalid("expected a URL that begins with http:// or https://")
    return value


def env_text(value: str) -> str:
    """The value of an environment variable: it may have several lines, but no process can receive a NUL."""
    if "\0" in value:
        raise Invalid("must not contain NUL characters")
    return value


def secret_source(value: str) -> str:
    """`env:NAME` or `file:PATH`. Never quotes the text: it may be the secret itself, written here by mistake."""
    kind, colon, rest = value.partition(":")
    if not colon or kind not in ("env", "file"):
        raise Invalid(
            'expected "env:NAME" or "file:PATH": where the value is, not the value',
            "it is not shown because it may be the secret",
        )
    if kind == "env" and not re.fullmatch(VARIABLE, rest):
        raise Invalid(
            "expected a variable of letters, digits and underscores, no digit first",
            "it is not shown because it may be the secret",
        )
    if kind == "file":
        some_text(rest)
    return value


def scalar(value: object) -> str:
    """Text, a number or true/false as text. Never quotes the value: it may be a password."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 512:
        raise Invalid("the number is too large", "write it as text, in quotes")
    if isinstance(value, str | int | float):
        return str(value)
    raise Invalid(f"expected text, a number or true/false, got {describe(value)}")


def matching(pattern: str, words: str, hint: str = "") -> Callable[[str], str]:
    """A reader for text that must match `pattern` as a whole."""

    def read(value: str) -> str:
        # Not `match`: a $ also matches before a line break at the end.
        if not re.fullmatch(pattern, value):
            raise Invalid(f"{words}, got {describe(value)}", hint)
        return value

    return read


def _resolved(info: ValidationInfo) -> bool:
    """Whether the value comes from a snapshot, in which durations are seconds."""
    return bool((info.context or {}).get("resolved"))


def duration_or_zero(value: object, info: ValidationInfo) -> float:
    """`"1m30s"` as seconds."""
    if _resolved(info) and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return durations.in_range(float(value) if abs(value) <= durations.LONGEST else math.inf)
        except ValueError as error:
            raise Invalid(f"{error}, got {describe(value)}") from None
    if not isinstance(value, str):
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0.001 <= value <= durations.LONGEST
        raise Invalid(
            f'expected a duration such as "5s", got {describe(value)}',
            f'write "{value}s"' if number else _DURATION_HINT,
        )
    try:
        return durations.parse(value)
    except ValueError as error:
        bare = re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", value)
        hint = f'write "{value}s"' if bare else _DURATION_HINT
        raise Invalid(f"{error}, got {describe(value)}", hint) from None


def duration(value: object, info: ValidationInfo) -> float:
    """As `duration_or_zero`, but longer than zero."""
    seconds = duration_or_zero(value, info)
    if seconds == 0:
        raise Invalid("must be longer than zero")
    return seconds


def size(value: object) -> int:
    """`"512m"` as bytes (1k is 1024); a whole number is a number of bytes."""
    if isinstance(value, str):
        if len(value) > 32 or not re.fullmatch(SIZE, value):
            raise Invalid(f"expected a size, got {describe(value)}", _SIZE_HINT)
        number = value.rstrip("bBiIkKmMgGtT")
        unit = value[len(number)].lower()
        count = int(Decimal(number) * 1024 ** "bkmgt".index(unit))
    elif isinstance(value, int) and not isinstance(value, bool):
        count = value
    else:
        raise Invalid(f'expected a size such as "512m", got {describe(value)}', _SIZE_HINT)
    if not 0 < count < 2**63:
        raise Invalid(f"invalid size: {describe(value)}", _SIZE_HINT)
    return count


def memory_size(value: object) -> int:
    """A size that Docker accepts as a memory limit."""
    count = size(value)
    if count < 6 * 1024**2:
        raise Invalid(f"must be at least 6m (the minimum of Docker), got {describe(value)}")
    return count


def command(value: object) -> object:
    """A command as a list of words; text is split as a shell would split it, but no shell runs."""
    if isinstance(value, str):
        plain_text(value)
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise Invalid(f"cannot be split into words: {str(error).lower()}", "write it as a list") from None
    if value == []:
        raise Invalid("must not be empty", "remove it to use the command of the image")
    if value is not None and not isinstance(value, list):
        raise Invalid(f"expected a list of words or text, got {describe(value)}")
    return value


def one_or_many(value: object) -> object:
    """A list; a single text becomes a list with one element."""
    return [value] if isinstance(value, str) else value


def host_name(value: str) -> str:
    """A DNS name in lowercase, with an optional leading `*.`."""
    name = value.lower().removeprefix("*.")
    # lower() maps some characters outside ASCII to ASCII letters, such as the Kelvin sign to k.
    if not value.isascii() or len(name) > 253 or not re.fullmatch(rf"{HOST_LABEL}(\.{HOST_LABEL})*", name):
        raise Invalid(
            f"not a DNS name: {describe(value)}",
            'write "models.example.com" or "*.example.com", without a port',
        )
    return value.lower()


def trusted(value: object) -> object:
    """`"loopback"`, `"all"`, or a list of networks and addresses, each as a network such as 10.0.0.0/8."""
    if value in ("loopback", "all"):
        return value
    hint = 'write "loopback", "all", or networks: ["10.0.0.0/8", "203.0.113.7"]'
    if not isinstance(value, list):
        raise Invalid(f"expected a list of networks, got {describe(value)}", hint)
    networks = []
    for item in value:
        try:
            if not isinstance(item, str) or "%" in item:
                raise ValueError
            networks.append(str(ipaddress.ip_network(item)))
        except ValueError:
            exact = _network_of(item)
            raise Invalid(f"not a network: {describe(item)}", f'write "{exact}"' if exact else hint) from None
    return networks


def _network_of(item: object) -> str | None:
    """The network of an address with a mask, such as 10.0.0.0/8 for 10.1.2.3/8."""
    try:
        return str(ipaddress.ip_network(item, strict=False)) if isinstance(item, str) and "%" not in item else None
    except ValueError:
        return None


def probe_host(value: str) -> str:
    """The Host of a request: a DNS name or an IP address, with an optional port."""
    parts = re.fullmatch(r"(\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(:(?P<port>[0-9]{1,5}))?", value)
    good = parts is not None and 1 <= int(parts["port"] or 1) <= 65535
    if parts is not None and parts["v6"]:
        try:
            ipaddress.IPv6Address(parts["v6"])
        except ValueError:
            good = False
    elif parts is not None:
        name = parts["name"].lower()
        good = good and len(name) <= 253 and re.fullmatch(rf"{HOST_LABEL}(\.{HOST_LABEL})*", name) is not None
    if not good:
        raise Invalid(
            f"expected a name or an address, optionally with a port, got {describe(value)}",
            'write "models.example.com", "models.example.com:8443" or "[::1]"',
        )
    return value.lower()


def listen(value: str) -> str:
    """Where the proxy listens, as `address:port` with an address that HAProxy takes literally."""
    hint = 'write "127.0.0.1:8000", "[::1]:8000" or ":8000" (all addresses)'
    host, _, port = value.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535 or ":" not in value:
        raise Invalid(f"expected an address and a port from 1 to 65535, got {describe(value)}", hint)
    try:
        if host in ("", "*"):
            host = "*"
        elif host.lower() == "localhost":
            host = "127.0.0.1"
        elif host.startswith("[") and host.endswith("]") and "%" not in host:
            # An IPv6 zone (after the %) could be any text.
            address = ipaddress.IPv6Address(host[1:-1])
            # [::ffff:127.0.0.1] and 127.0.0.1 are one address: written alike, they are compared alike.
            host = str(address.ipv4_mapped or f"[{address}]")
        else:
            host = str(ipaddress.IPv4Address(host))
    except ValueError:
        raise Invalid(f"the host must be an IP address, got {describe(host)}", hint) from None
    return f"{host}:{int(port)}"


def repository(value: str) -> str:
    """A repository in a registry: `host:port/path`, as the engine understands it, without a tag or a digest."""
    wrong = f"expected host/path or host:port/path in lowercase, got {describe(value)}"
    hint = 'write "registry.example.com:5000/mymodel"'
    if "://" in value:
        raise Invalid(wrong, "remove the scheme: the engine uses TLS unless the registry is in its insecure-registries")
    host, _, path = value.partition("/")
    if "@" in value or ":" in path:
        raise Invalid(wrong, "remove the tag and the digest: the tag is the name of the version")
    # Without a dot or a port in its first part the engine would use all of it as a path on Docker Hub.
    name, colon, port = host.partition(":")
    if not path or not ("." in name or colon or name == "localhost"):
        raise Invalid(wrong, hint)
    if not re.fullmatch(rf"{HOST_LABEL}(\.{HOST_LABEL})*", name) or len(value) > 255:
        raise Invalid(wrong, hint)
    if colon and not (re.fullmatch(r"[0-9]{1,5}", port) and 1 <= int(port) <= 65535):
        raise Invalid(wrong, "the port is a number from 1 to 65535")
    if not all(re.fullmatch(_REPOSITORY_PART, part) for part in path.split("/")):
        raise Invalid(wrong, hint)
    return value


def path_prefix(value: str) -> str:
    """The beginning of the paths that belong to the app, without a slash at its end; "" is all of them."""
    prefix = value.removesuffix("/")
    if value and (not re.fullmatch(_PREFIX, value) or len(value) > 256):
        raise Invalid(f'must start with "/" and contain only letters, digits and ._~/-, got {describe(value)}')
    if {"", ".", ".."} & set(prefix.split("/")[1:]):
        raise Invalid(f"must not contain empty parts, . or .., got {describe(value)}")
    return prefix


def url_path(value: str) -> str:
    """The path (and query) of a probe."""
    if not re.fullmatch(_URL_PATH, value) or len(value) > 512:
        raise Invalid(f'must start with "/" and contain only letters, digits and ._~%/?=&:@+,;-, got {describe(value)}')
    return value


def inside(value: str) -> str:
    """A relative path that stays inside its folder."""
    some_text(value)
    if value.startswith("/"):
        raise Invalid(f"must be relative to the build context, got {describe(value)}")
    if ".." in value.split("/"):
        raise Invalid(f"must stay inside the build context, got {describe(value)}")
    return value


def ignore_pattern(value: str) -> str:
    """A pattern of an ignore file."""
    plain_text(value)
    try:
        Ignoring(read_patterns(value.encode()))
    except BadPattern as error:
        raise Invalid(f"not a pattern: {error}", "write it as in .dockerignore") from None
    return value
