"""Sticky sessions: all requests of a session go to one replica, and so to one version, as HAProxy's rules. Pure.

A session belongs to what answered its first request: a version and a replica, written as `v2.1`. With a cookie, the
client keeps that; with a header or a query parameter, a table of the app keeps it for each value, as a number. Slots
say nothing here, because another version is in a slot later.

A session stays as long as its version may answer (it is live, a candidate with a share, or the older version that is
still warm) and its replica is up. Otherwise it is treated as a new one, and moves to whoever answers: that is better
than an error. An answer of the fallback instead of a replica that is up does not move a session.

New sessions of a cookie go where shares and balancing send them. Those of a header or a query parameter go where the
hash of their value says, so that requests that come at the same time go to one replica, and a session whose entry is
lost (by a restart of the proxy) finds its replica again at rest.

At rest, all of this is done by the backends of the app. So apps without sticky sessions pay nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.adapters.haproxy.names import FOLDER, REPLICAS, VERSIONS, backend, word
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.domain.traffic.slot import SLOTS, Slot

# Sessions that a table remembers, and for how long it does after their last request. An entry takes about 150 bytes.
_SIZE, _EXPIRE = "100k", "24h"
# The length of a key: a SHA-1 in hexadecimal. So long values that begin with the same characters are not the same, and
# `show table` does not show values that clients keep secret.
_KEY = 40
# In a table, a session is the number of its version times this, plus the index of its replica.
_REPLICAS = 1024
# Requests at a preview address have no state: whoever looks at a candidate keeps the session that they have.
_CLIENTS = "{ var(txn.state) -m found }"
_KNOWN = "{ var(txn.replica) -m found }"
_KEYED = "{ var(txn.key) -m found }"


def sticky(app: ProxyApp) -> bool:
    """Whether the app has sticky sessions."""
    return app.route.sticky != "none"


def table(app: str) -> str:
    """The name of the table of an app's sessions."""
    return f"{app}_sessions"


def cookie(app: str) -> str:
    """The name of the cookie of an app's sessions. Cookies do not tell ports apart, so each app has its own."""
    return f"deployctl-{word(app)}"


def tables(apps: Sequence[ProxyApp]) -> list[str]:
    """The sections of the tables of these apps. A reload hands them over to the new worker, which is their peer."""
    kept = [app for app in apps if _source(app)]
    if not kept:
        return []
    sections = [
        "global\n  localpeer deployctl\n",
        f"peers deployctl_reload\n  peer deployctl unix@{FOLDER}/run/peers.sock\n",
    ]
    stored = f"  stick-table type string len {_KEY} size {_SIZE} expire {_EXPIRE} peers deployctl_reload store gpt0"
    return [*sections, *(f"backend {table(app.name)}\n{stored}\n" for app in kept)]


def slots(app: ProxyApp, servers: int) -> Iterator[str]:
    """Chooses the slot of a session where two versions run: see `rules.shares`, which sets the variables for it.

    `servers` is how many replicas each backend of the app has.
    """
    if not sticky(app):
        return
    own = f"{{ var(txn.more) -m bool }} {{ var(txn.app) -m str {word(app.name)} }}"
    yield from _session(app, own)
    if _source(app):
        # Which clients are the first ones is different for each version.
        new = f"{own} {_KEYED} {{ var(txn.share) -m int gt 0 }}"
        candidate = f"var(txn.app),concat(_,txn.candidate),map_str({VERSIONS},none)"
        yield f"http-request set-var(txn.candidate) var(txn.state),field(2,:) if {new}"
        yield f"http-request set-var(txn.version) {candidate} if {new}"
        yield f"http-request set-var(txn.slot) var(txn.state),field(1,:) if {new}"
        first = "{ var(txn.key),concat(.,txn.version),xxh32(7),mod(10000),sub(txn.share) lt 0 }"
        yield f"http-request set-var(txn.slot) var(txn.candidate) if {new} {first}"
    for slot in SLOTS:
        name = backend(app.name, slot)
        for index in range(1, servers + 1):
            yield f"acl {name}_up srv_is_up({name}/s{index})"
        begun = f"{own} {{ var(txn.began) -m found }}"
        yield f"http-request set-var(txn.version) str({name}),map_str({VERSIONS},none) if {begun}"
        # It is LIVE, or CANDIDATE with a share or with -1: see `words`.
        may = f"{{ var(txn.state) -m reg '^{slot}:|^[a-z]+:{slot}:[1-9-]' }}"
        up = f" {name}_up" if servers else ""
        same = "{ var(txn.began),strcmp(txn.version) eq 0 }"
        yield f"http-request set-var(txn.slot) str({slot}) if {begun} {same} {may}{up}"


def replicas(app: ProxyApp, slot: Slot, servers: int, letter: str) -> list[str]:
    """Chooses the server of a session in a backend of a slot: txn.server, whose name begins with `letter`."""
    if not sticky(app) or not servers:
        return []
    name = backend(app.name, slot)
    # When no replica passes its checks, a session stays: the checks of a busy model fail as well. See `backends`.
    acls = [f"acl any_up srv_is_up({name}/s{index})" for index in range(1, servers + 1) if letter == "s"]
    waits = "any_up " if acls else ""
    lines = [
        *acls,
        *_session(app, _CLIENTS),
        f"http-request set-var(txn.version) str({name}),map_str({VERSIONS},none) if {_CLIENTS}",
        "http-request set-var(txn.replica) var(txn.session),field(2,.)"
        f" if {_CLIENTS} {{ var(txn.began),strcmp(txn.version) eq 0 }}",
    ]
    lines += [
        f"http-request unset-var(txn.replica) if {{ var(txn.replica) -m str {index} }} {waits}"
        f"!{{ srv_is_up({name}/s{index}) }}"
        for index in range(1, servers + 1)
    ]
    if _source(app):
        hashed = f"var(txn.key),xxh32(3),mod(txn.replicas),add(1),concat(),regsub(^,{letter})"
        lines += [
            f"http-request track-sc1 var(txn.key) table {table(app.name)} if {_CLIENTS} {_KEYED}",
            f"http-request set-var(txn.replicas) str({name}),map_str_int({REPLICAS},1) if {_CLIENTS} {_KEYED}",
            f"http-request set-var(txn.server) {hashed} if {_CLIENTS} {_KEYED}",
        ]
    lines.append(f"http-request set-var(txn.server) str({letter}),concat(,txn.replica) if {_KNOWN}")
    if letter == "s":
        lines.append(f"http-request set-var(txn.spare) str(b),concat(,txn.replica) if {_KNOWN}")
    return lines


def servers_of_sessions(app: ProxyApp, servers: int) -> list[str]:
    """Sends requests of sessions to their server. One that is down is not asked."""
    if not sticky(app) or not servers:
        return []
    return [
        "use-server %[var(txn.server)] if { var(txn.server) -m found }",
        "use-server %[var(txn.spare)] if !any_up { var(txn.spare) -m found }",
    ]


def answers(app: ProxyApp, servers: int) -> list[str]:
    """Records who has answered a session, if that is new. It needs txn.backend, which names the slot that answered."""
    if not sticky(app) or not servers:
        return []
    # m1 stands for a whole slot.
    whose = f"{_CLIENTS} !{{ srv_name -m beg m }}"
    moved = "{ srv_name -m beg s n b } !{ var(txn.index),strcmp(txn.replica) eq 0 }"
    new = f"if {whose} !{_KNOWN} || {whose} {moved}"
    lines = [
        f"http-response set-var(txn.index) srv_name,regsub(^[a-z],) if {whose}",
        f"http-response set-var(txn.version) var(txn.backend),map_str({VERSIONS},none) if {whose}",
    ]
    if not _source(app):
        value = f"{cookie(app.name)}=%[var(txn.version)].%[var(txn.index)]; Path=/; HttpOnly; SameSite=Lax"
        return [*lines, f'http-response add-header Set-Cookie "{value}" {new}']
    number = f"var(txn.version),ltrim(v),mul({_REPLICAS}),add(txn.index)"
    keyed = new.replace(_CLIENTS, f"{_CLIENTS} {_KEYED}")
    return [
        *lines,
        f"http-response set-var(txn.number) {number} if {whose} {_KEYED}",
        f"http-response sc-set-gpt0(1) var(txn.number) {keyed}",
    ]


def _session(app: ProxyApp, condition: str) -> Iterator[str]:
    """Reads what is known of a session: txn.session, and in txn.began its version."""
    source = _source(app)
    if not source:
        yield f"http-request set-var(txn.session) req.cook({cookie(app.name)}) if {condition}"
    else:
        known = f"{condition} {_KEYED} {{ var(txn.number) -m int gt 0 }}"
        yield f"http-request set-var(txn.key) {source},sha1,hex if {condition} {{ {source} -m len 1: }}"
        stored = f"var(txn.key),table_gpt0({table(app.name)})"
        yield f"http-request set-var(txn.number) {stored} if {condition} {_KEYED}"
        yield f"http-request set-var(txn.index) var(txn.number),mod({_REPLICAS}) if {known}"
        text = f"var(txn.number),div({_REPLICAS}),concat(.,txn.index),regsub(^,v)"
        yield f"http-request set-var(txn.session) {text} if {known}"
    yield f"http-request set-var(txn.began) var(txn.session),field(1,.) if {condition}"


def _source(app: ProxyApp) -> str:
    """What names a session, for HAProxy; empty for a cookie and for no sessions."""
    kind, _, name = app.route.sticky.partition(":")
    if kind == "header":
        return f"req.fhdr({word(name)})"
    return f"url_param({word(name)})" if kind == "query" else ""
