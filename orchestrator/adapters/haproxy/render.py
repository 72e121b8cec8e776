"""HAProxy's configuration and maps as text. Pure, so that tests compare the exact text.

The types of the configuration file restrict what a user can write: names are DNS labels, hosts are DNS names, paths
use a small alphabet without the characters that HAProxy interprets. `_word` checks this again right before the text
is written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from orchestrator.adapters.haproxy import checks, rules
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.slot import SLOTS, Slot, other

FOLDER = "/etc/deployctl"
ROUTES = f"{FOLDER}/routes.map"
VERSIONS = f"{FOLDER}/versions.map"
SHIELDS = f"{FOLDER}/shields.map"
# For workers that a reload has left, whose servers cannot be changed any more: where a slot is now, if it has moved.
MOVED = f"{FOLDER}/moved.map"
UNSET_CONFIG = "none"
# The address of the servers of a parked slot, where nothing listens. Their checks fail at once; they are not in
# maintenance, because a server that leaves it counts as up until its next check.
PARKED_ADDRESS, PARKED_PORT = "127.0.0.1", 1
PARKED = f"{PARKED_ADDRESS}:{PARKED_PORT}"
# HAProxy accepts at most 64 words on a line.
_HOSTS_PER_LINE = 32
# Names of HAProxy have letters, digits and .:_- only.
_BRACKETS = str.maketrans("", "", "[]")
_WORD = re.compile(r"(?!.*%\[)[A-Za-z0-9._~/%?=&:@+,;*\[\]-]+")


def backend(app: str, slot: Slot) -> str:
    """HAProxy's name for a slot. App names are DNS labels, so they contain no underscore."""
    return f"{app}_{slot}"


def frontend(listen: str) -> str:
    """HAProxy's name for what listens at `address:port`, which tells the addresses of all configurations apart."""
    return f"listen_{_word(listen).replace('*', 'all').translate(_BRACKETS)}"


def bind(listen: str) -> str:
    """The line that listens at `address:port`. `*` and `[::]` are all addresses of both families.

    They get a socket for each family: on one for both, IPv4 clients would have addresses such as ::ffff:192.0.2.1.
    """
    host, _, port = _word(listen).rpartition(":")
    return f"bind *:{port},[::]:{port} v6only" if host in ("*", "[::]") else f"bind {listen}"


def configuration(template: str, apps: Sequence[ProxyApp], threads: int) -> tuple[str, str]:
    """The configuration for `apps`, and the digest of its structure.

    The structure is everything except which slots are active and where their servers are: those change at run time
    without a reload, and are written to the file only for the next start.
    """
    return _configuration(template, tuple(apps), threads)


# A pass over many apps calls this for each app, always with the same apps.
@lru_cache(maxsize=1)
def _configuration(template: str, apps: tuple[ProxyApp, ...], threads: int) -> tuple[str, str]:
    structure = _render(template, apps, threads, with_state=False)
    digest = hashlib.sha256(structure.encode()).hexdigest()[:12]
    # Replace it only in the template: a path may contain the same text.
    return _render(template.replace("@config@", digest), apps, threads, with_state=True), digest


def slots_map(slots: Mapping[str, Slot]) -> str:
    """The text of routes.map (live slots) or shields.map (fallback slots): a line `app slot` for each app."""
    return "".join(f"{_word(app)} {_word(slot)}\n" for app, slot in sorted(slots.items()))


def versions_map(apps: Sequence[ProxyApp]) -> str:
    """The text of versions.map, for the header X-Model-Version: a line `backend version` for each known slot."""
    return "".join(
        f"{_word(backend(app.name, slot))} {_word(app.slots[slot].version)}\n"
        for app in sorted(apps, key=lambda item: item.name)
        for slot in SLOTS
        if slot in app.slots
    )


def servers(app: ProxyApp) -> int:
    """How many servers each backend of the app has. Both have the same number, so that a release needs no reload."""
    return max((len(slot.addresses) for slot in app.slots.values()), default=0)


def _render(template: str, apps: Sequence[ProxyApp], threads: int, *, with_state: bool) -> str:
    parts = [template.replace("@threads@", str(threads))]
    ordered = sorted(apps, key=lambda item: _word(item.name))
    for listen in sorted({app.route.listen for app in ordered}):
        parts.append(_frontend(listen, [app for app in ordered if app.route.listen == listen]))
    for number, address in enumerate(sorted({app.route.metrics for app in ordered} - {""})):
        parts.append(_exporter(number, address))
    for app in ordered:
        parts += [_backend(app, slot, with_state=with_state) for slot in SLOTS]
    return "\n".join(parts)


def _frontend(listen: str, apps: Sequence[ProxyApp]) -> str:
    lines = [
        f"frontend {frontend(listen)}",
        f"  {bind(listen)}",
        f"  timeout client {checks.milliseconds(max(app.route.timeout for app in apps))}",
        *(f"  {rule}" for rule in rules.tolerant()),
        *(f"  {rule}" for rule in (*rules.request_id(), *rules.host(), *rules.special(), *rules.refusals())),
    ]
    for name, condition in _matches(apps):
        unless = "!{ var(txn.app) -m found }"
        lines.append(f"  http-request set-var(txn.app) str({name}) if {unless}{condition}")
    selected = "  http-request set-var(txn.backend) var(txn.app),concat(_,txn.slot)"
    lines += [
        f"  http-request set-var(txn.slot) var(txn.app),map_str({ROUTES},none)",
        f"  http-request set-var(txn.fallback) var(txn.app),map_str({SHIELDS},none)",
        selected,
        *(f"  {rule}" for rule in rules.usual()),
        # Only special requests, and those of apps with a fallback slot, come here.
        *(line for app in apps for slot in SLOTS for line in _use_fallback(app, slot)),
        selected,
        *(f"  {rule}" for rule in (*rules.without_upgrade(), *rules.forwarded(apps))),
        f"  http-after-response set-header X-Model-Version %[var(txn.backend),map_str({VERSIONS},none)]",
        "  http-after-response set-header X-Request-Id %[var(txn.request)]",
        *(f"  {rule}" for rule in rules.answers()),
        "  use_backend deployctl_unknown if !{ var(txn.app) -m found }",
        "  use_backend %[var(txn.backend)]",
        "  default_backend deployctl_none",
        "",
    ]
    return "\n".join(lines)


def _use_fallback(app: ProxyApp, slot: Slot) -> list[str]:
    """The fallback slot, if the app has one, answers while no server of the live slot is up."""
    name = backend(app.name, slot)
    up = [f"  acl {name}_up srv_is_up({name}/s{index + 1})" for index in range(servers(app))]
    live = f"{{ var(txn.app) -m str {_word(app.name)} }} {{ var(txn.slot) -m str {slot} }}"
    fallback = f"{{ var(txn.fallback) -m str {other(slot)} }}"
    return [*up, f"  http-request set-var(txn.slot) var(txn.fallback) if {live} {fallback} !{name}_up"]


def _exporter(number: int, address: str) -> str:
    # Successful requests are not logged: option dontlog-normal in the defaults.
    lines = [
        f"frontend metrics_{number}",
        f"  {bind(address)}",
        "  mode http",
        "  timeout client 30s",
        "  http-request use-service prometheus-exporter if { path /metrics }",
        '  http-request return status 404 content-type text/plain string "metrics are at /metrics\\n"',
        "",
    ]
    return "\n".join(lines)


def _matches(apps: Sequence[ProxyApp]) -> list[tuple[str, str]]:
    # The most specific route comes first: exact hosts, then *.hosts (longer ones first), then apps without a host;
    # among equals, longer prefixes first.
    rows: list[tuple[int, int, int, str, str]] = []
    for app in apps:
        hosts, prefix = app.route.hosts, app.route.path_prefix
        if not hosts:
            rows.append((0, 0, -len(prefix), app.name, _prefix(prefix)))
        exact = [_word(host) for host in hosts if not host.startswith("*.")]
        for start in range(0, len(exact), _HOSTS_PER_LINE):
            names = " ".join(exact[start : start + _HOSTS_PER_LINE])
            text = f" {{ var(txn.host) -m str {names} }}{_prefix(prefix)}"
            rows.append((-2, 0, -len(prefix), app.name, text))
        for end in [_word(host[1:]) for host in hosts if host.startswith("*.")]:
            text = f" {{ var(txn.host) -m end {end} }}{_prefix(prefix)}"
            rows.append((-1, -len(end), -len(prefix), app.name, text))
    return [(name, condition) for *_, name, condition in sorted(rows)]


def _prefix(prefix: str) -> str:
    # A prefix ends at a slash: /a does not match /ab.
    return f" {{ path -m reg ^{_regex(prefix)}(/|$) }}" if prefix else ""


def _backend(app: ProxyApp, slot: Slot, *, with_state: bool) -> str:
    spec = app.slots.get(slot) or next(iter(app.slots.values()))
    probe, route = spec.probe, app.route
    lines = [
        f"backend {backend(app.name, slot)}",
        f"  timeout server {checks.milliseconds(route.timeout)}",
        *(f"  {line}" for line in checks.check(spec)),
    ]
    if route.path_prefix and route.strip_prefix:
        lines += [
            # After the prefix that a front has removed.
            f"  http-request set-header X-Forwarded-Prefix"
            f" %[req.fhdr(X-Forwarded-Prefix),rtrim(/)]{_word(route.path_prefix)}",
            f"  http-request replace-path ^{_regex(route.path_prefix)}/?(.*) /\\1",
        ]
    lines += [f"  {rule}" for rule in _moved()]
    # When all checked servers of a slot fail their checks, requests go to the backup servers, which are not checked: a
    # model that is busy with a long prediction answers no check, and waiting for it is better than an error.
    lines.append("  option allbackups")
    own = app.slots.get(slot)
    for index in range(servers(app)):
        target = own.target(index + 1) if with_state and own is not None else ""
        checked = own.probe.port if target and own is not None else PARKED_PORT
        place = _word(target or PARKED)
        lines.append(f"  server s{index + 1} {place} check port {checked} {checks.pauses(probe)}")
        lines.append(f"  server b{index + 1} {place} backup{'' if target else ' disabled'}")
    return "\n".join([*lines, ""])


def _moved() -> list[str]:
    """A worker that a reload has left sends the last request of a connection to where the slot is now.

    It refuses changes of its servers, and knows their addresses at the time of the reload; maps can still be changed.
    """
    moved = "if { var(txn.moved) -m found }"
    return [
        "http-request allow if !{ stopping }",
        f"http-request set-var(txn.moved) var(txn.backend),map_str({MOVED})",
        f"http-request set-dst var(txn.moved),field(1,:) {moved}",
        f"http-request set-dst-port var(txn.moved),field(2,:) {moved}",
        "use-server m1 if { stopping } { var(txn.moved) -m found }",
        # With weight 0, it gets nothing else.
        "server m1 0.0.0.0:0 weight 0",
    ]


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError(f"{text!r} must not reach the proxy's configuration")
    return text


def _regex(prefix: str) -> str:
    return _word(prefix).replace(".", "\\.").replace("~", "\\x7e")
