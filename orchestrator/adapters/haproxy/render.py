"""HAProxy's configuration and maps as text. Pure, so that tests compare the exact text.

The types of the configuration file restrict what a user can write: names are DNS labels, hosts are DNS names, paths
use a small alphabet without the characters that HAProxy interprets. `word` checks this again right before the text
is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

from orchestrator.adapters.haproxy import checks, rules, sticky
from orchestrator.adapters.haproxy.backends import backends, servers
from orchestrator.adapters.haproxy.names import ROUTES, SHIELDED, VERSIONS, backend, frontend, regex, word
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.slot import SLOTS

UNSET_CONFIG = "none"
# HAProxy accepts at most 64 words on a line.
_HOSTS_PER_LINE = 32


def bind(listen: str) -> str:
    """The line that listens at `address:port`. `*` and `[::]` are all addresses of both families.

    They get a socket for each family: on one for both, IPv4 clients would have addresses such as ::ffff:192.0.2.1.
    """
    host, _, port = word(listen).rpartition(":")
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


def routes_map(words: Mapping[str, str]) -> str:
    """The text of routes.map: a line `app word` for each app, see `words`."""
    return "".join(f"{word(app)} {word(state)}\n" for app, state in sorted(words.items()))


def messages_map(messages: Mapping[str, str]) -> str:
    """The text of messages.map: a line `app message` for each app in maintenance, see `words`."""
    return "".join(f"{word(app)} {word(text)}\n" for app, text in sorted(messages.items()))


def versions_map(apps: Sequence[ProxyApp]) -> str:
    """The text of versions.map, for the header X-Model-Version: a line `backend version` for each known slot."""
    return "".join(
        f"{word(backend(app.name, slot))} {word(app.slots[slot].version)}\n"
        for app in sorted(apps, key=lambda item: item.name)
        for slot in SLOTS
        if slot in app.slots
    )


def replicas_map(apps: Sequence[ProxyApp]) -> str:
    """The text of replicas.map: a line `backend count` for each known slot."""
    return "".join(
        f"{word(backend(app.name, slot))} {max(1, len(app.slots[slot].addresses))}\n"
        for app in sorted(apps, key=lambda item: item.name)
        for slot in SLOTS
        if slot in app.slots
    )


def _render(template: str, apps: Sequence[ProxyApp], threads: int, *, with_state: bool) -> str:
    parts = [template.replace("@threads@", str(threads))]
    ordered = sorted(apps, key=lambda item: word(item.name))
    for listen in sorted({app.route.listen for app in ordered}):
        parts.append(_frontend(listen, [app for app in ordered if app.route.listen == listen]))
    parts += [_preview(app) for app in ordered if app.route.preview]
    for number, address in enumerate(sorted({app.route.metrics for app in ordered} - {""})):
        parts.append(_exporter(number, address))
    for app in ordered:
        parts += backends(app, with_state=with_state)
    parts += sticky.tables(ordered)
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
    sessions = [line for app in apps for line in sticky.slots(app, servers(app))]
    lines += [
        f"  http-request set-var(txn.state) var(txn.app),map_str({ROUTES},none)",
        "  http-request set-var(txn.backend) var(txn.app),concat(_,txn.state)",
        *(f"  {rule}" for rule in (*rules.usual(), *rules.at_rest(), *rules.shares(sessions))),
        # Only special requests come here.
        *(f"  {rule}" for rule in (*rules.without_upgrade(), *rules.forwarded(apps))),
        f"  http-after-response set-header X-Model-Version %[var(txn.backend),map_str({VERSIONS},none)]",
        "  http-after-response set-header X-Request-Id %[var(txn.request)]",
        *(f"  {rule}" for rule in rules.answers()),
        "  use_backend deployctl_unknown if !{ var(txn.app) -m found }",
        f"  use_backend %[var(txn.backend),concat({SHIELDED})] if {{ var(txn.shielded) -m bool }}",
        "  use_backend %[var(txn.backend)]",
        "  default_backend deployctl_none",
        "",
    ]
    return "\n".join(lines)


def _preview(app: ProxyApp) -> str:
    """Where the candidate of an app answers before it gets traffic."""
    route = app.route
    none = f"no version of {word(app.name)} is previewed"
    lines = [
        f"frontend preview_{word(app.name)}",
        f"  {bind(route.preview)}",
        f"  timeout client {checks.milliseconds(route.timeout)}",
        *(f"  {rule}" for rule in rules.tolerant()),
        *(f"  {rule}" for rule in (*rules.request_id(), *rules.host(), *rules.special(), *rules.refusals())),
        f"  http-request set-var(txn.app) str({app.name})",
        f"  http-request set-var(txn.slot) var(txn.app),map_str({ROUTES},none),field(5,:)",
        f'  http-request return status 503 content-type text/plain string "{none}\\n"'
        " unless { var(txn.slot) -m str blue green }",
        "  http-request set-var(txn.backend) var(txn.app),concat(_,txn.slot)",
        *(f"  {rule}" for rule in (*rules.usual(), *rules.without_upgrade(), *rules.forwarded([app]))),
        f"  http-after-response set-header X-Model-Version %[var(txn.backend),map_str({VERSIONS},none)]",
        "  http-after-response set-header X-Request-Id %[var(txn.request)]",
        *(f"  {rule}" for rule in rules.answers()),
        "  use_backend %[var(txn.backend)]",
        "  default_backend deployctl_none",
        "",
    ]
    return "\n".join(lines)


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
        exact = [word(host) for host in hosts if not host.startswith("*.")]
        for start in range(0, len(exact), _HOSTS_PER_LINE):
            names = " ".join(exact[start : start + _HOSTS_PER_LINE])
            text = f" {{ var(txn.host) -m str {names} }}{_prefix(prefix)}"
            rows.append((-2, 0, -len(prefix), app.name, text))
        for end in [word(host[1:]) for host in hosts if host.startswith("*.")]:
            text = f" {{ var(txn.host) -m end {end} }}{_prefix(prefix)}"
            rows.append((-1, -len(end), -len(prefix), app.name, text))
    return [(name, condition) for *_, name, condition in sorted(rows)]


def _prefix(prefix: str) -> str:
    # A prefix ends at a slash: /a does not match /ab.
    return f" {{ path -m reg ^{regex(prefix)}(/|$) }}" if prefix else ""
