"""The rules that every request passes before a version is chosen, as lines of HAProxy's configuration. Pure.

They hold on HAProxy 2.6 and 3.0. A refused request is answered with 400, the reason and its id, and the connection is
closed: after a request that two programs read differently, no later one on it can be trusted.

Every rule costs time, and so does every search for a header. So a request that has something special is marked once,
by `special`; the evaluation ends for all others with `at_rest` or `shares`. The rules after that may be many.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.adapters.haproxy.names import UNANSWERED
from orchestrator.domain.traffic.route import ProxyApp

# HAProxy 2.6.12 reads a Content-Length of 2^64 as 0 and passes it on, so a model would take the next request on the
# connection, which may be that of another client, for the body. 18 digits stay below 2^63. That there are only digits,
# HAProxy checks by itself.
_TOO_LONG = "-m len 19:"
# Matches the names of headers, joined with colons, unless each of them is a token as HTTP defines it.
_NOT_NAMES = r"[^!#$%&\x27*+.^_`|~0-9A-Za-z:-]"
# What a front says about the client, and the offer of HTTP/2.
_FORWARDED = "forwarded|x-real-ip|x-scheme"
_SPECIAL_NAMES = f"{_NOT_NAMES}|{_FORWARDED}|upgrade|http2-settings"
# Matches a URL with a control character or a fragment, and one that is no path: it may name a host.
_SPECIAL_URL = r"^[^/]|[\x00-\x20\x7f#]"
# Matches a Host with a character that ends a name or stands before it. HAProxy 3.0 refuses most of them by itself, and
# makes the Host of the URL `http://name?query` from all that follows the slashes.
_NO_HOST = r"[\x00-\x20#/?\x40\x5c\x7f-\xff]"
_SPECIAL = "{ var(txn.special) -m bool }"
# The name in the first element of Forwarded, with or without quotes, instead of all of it.
_FORWARDED_HOST = r"'^[^,]*host=[\x22]?([^,;\x22]*).*','\\1',i"
_WORDS = 20
_BEGUN = "http-request set-var(txn.begun) date(0,us)"


def request_id() -> list[str]:
    """Every request has an id, which the model sees and the client gets back. A client may choose it."""
    return [
        "http-request set-var(txn.request) req.hdr(X-Request-Id)",
        # A longer one would take the place that other headers need in the buffer.
        "http-request set-var(txn.request) uuid() unless { var(txn.request) -m len 1:200 }",
        "http-request set-header X-Request-Id %[var(txn.request)]",
    ]


def tolerant() -> list[str]:
    """Lets URLs with characters pass that should be encoded, such as those in UTF-8: most servers take them.

    What else the option lets pass is refused by `refusals`.
    """
    return ["option accept-invalid-http-request"]


def special() -> list[str]:
    """Marks requests that need more than the usual rules. The names of headers are in lowercase here."""
    return [
        "http-request set-var(txn.special) bool(true)"
        f" if {{ req.hdr_names(:) -m reg '{_SPECIAL_NAMES}' }} || {{ url -m reg '{_SPECIAL_URL}' }}"
    ]


def refusals() -> list[str]:
    """Refuses requests whose meaning or whose length is not certain. It needs the variables of `host` and `special`."""
    return [
        _refuse(
            "Content-Length must be a number of 1 to 18 digits",
            f"{{ req.fhdr(Content-Length) {_TOO_LONG} }}",
        ),
        # The proxy would route by any of them, and a model may take another one.
        _refuse("Host must be one name", "{ req.hdr_cnt(Host) gt 1 }"),
        _refuse("Host has a character that is not allowed there", f"{{ req.fhdr(Host) -m reg '{_NO_HOST}' }}"),
        # The option of `tolerant` lets these pass as well.
        _refuse(
            "the name of a header has a character that is not allowed there",
            f"{_SPECIAL} {{ req.hdr_names(:) -m reg '{_NOT_NAMES}' }}",
        ),
        _refuse("the URL has a control character or a #", _SPECIAL + " { url -m reg '[\\x00-\\x20\\x7f#]' }"),
        _refuse("the version of HTTP must be 1.0, 1.1 or 2", "!{ req.ver 1.0 1.1 2.0 }"),
        _refuse(
            "the name in the URL is not that in Host",
            _SPECIAL + " { url -m beg -i http } { var(txn.host) -m found }"
            " !{ url,field(3,/),host_only,rtrim(.),lower,strcmp(txn.host) eq 0 }",
        ),
    ]


def host() -> list[str]:
    """The name that a request asks for, as routes compare it: in lowercase, without a port and a dot at its end."""
    return ["http-request set-var(txn.host) req.hdr(Host),host_only,rtrim(.),lower"]


def usual() -> list[str]:
    """Adds the headers X-Forwarded-* to requests that have nothing special.

    They have none of these headers: so these are added, which takes less time than to replace them.
    """
    unless = f"if !{_SPECIAL}"
    return [
        f"http-request add-header X-Forwarded-For %[src] {unless}",
        f"http-request add-header X-Forwarded-Proto http {unless}",
        f"http-request add-header X-Forwarded-Host %[req.hdr(Host)] {unless} {{ req.hdr(Host) -m found }}",
        f"http-request add-header X-Forwarded-Port %[dst_port] {unless}",
        # For the time that the answer takes.
        _BEGUN,
    ]


def at_rest() -> list[str]:
    """Ends the evaluation for requests that have nothing special, of apps whose live version answers all requests."""
    return [f"http-request allow if !{_SPECIAL} !{{ var(txn.state) -m sub : }}"]


def shares(sessions: Sequence[str] = ()) -> list[str]:
    """Chooses a slot where the state of an app has more to say than who is live: see `words`.

    Then it ends the evaluation for requests that have nothing special. In a worker that a reload has left nobody is
    shielded: it does not know where the servers are now, only where each slot is. `sessions` are the rules that choose
    another slot for sticky sessions.
    """
    more, held = "{ var(txn.more) -m bool }", "{ var(txn.state),field(6,:) -m int gt 0 }"
    waits, closed = "{ var(txn.state),field(8,:) -m int gt 0 }", "{ var(txn.state),field(9,:) -m int gt 0 }"
    return [
        "http-request set-var(txn.more) bool(true) if { var(txn.state) -m sub : }",
        # Waits until the app is not held any more, and reads its state again; or until the time is over.
        f"http-request lua.hold if {more} {held} || {more} {waits}",
        # As many as there are requests in maintenance, these would fill the log.
        f"http-request set-log-level silent if {more} {closed}",
        f"http-request track-sc1 var(txn.app) table {UNANSWERED} if {more} {held} !{closed}",
        f"http-request use-service lua.unavailable if {more} {closed} || {more} {held}",
        f"http-request set-var(txn.slot) var(txn.state),field(1,:) if {more}",
        f"http-request set-var(txn.share) var(txn.state),field(3,:) if {more}",
        f"http-request set-var(txn.slot) var(txn.state),field(2,:) if {more} {{ rand(10000),sub(txn.share) lt 0 }}",
        *sessions,
        f"http-request set-var(txn.fallback) var(txn.state),field(4,:) if {more}",
        f"http-request set-var(txn.patience) var(txn.state),field(7,:) if {more}",
        f"http-request set-var(txn.shielded) bool(true) if {more} {{ var(txn.fallback) -m str blue green }}"
        " !{ var(txn.slot),strcmp(txn.fallback) eq 0 } !{ stopping }",
        f"http-request set-var(txn.backend) var(txn.app),concat(_,txn.slot) if {more}",
        f"{_BEGUN} if {more}",
        f"http-request allow if !{_SPECIAL}",
    ]


def forwarded(apps: Sequence[ProxyApp]) -> list[str]:
    """The headers X-Forwarded-* of special requests: those of a front that the app trusts are passed on, all others
    are replaced.

    txn.app is the app of the request.
    """
    missing = "!{{ req.hdr({0}) -m found }}".format
    forwarded = "req.fhdr(Forwarded,1)"
    told, plain = "{ var(txn.told) -m bool }", _SPECIAL + " !{ var(txn.told) -m bool }"
    return [
        f"http-request set-var(txn.told) bool(true) if {_SPECIAL} {{ req.hdr_names(:) -m reg '{_FORWARDED}' }}",
        f"http-request add-header X-Forwarded-For %[src] if {plain}",
        f"http-request add-header X-Forwarded-Proto http if {plain}",
        f"http-request add-header X-Forwarded-Host %[req.hdr(Host)] if {plain} {{ req.hdr(Host) -m found }}",
        f"http-request add-header X-Forwarded-Port %[dst_port] if {plain}",
        *_trusted(apps, told),
        # The names with which frameworks and proxies pass on what X-Forwarded-* says.
        *(
            f"http-request del-header {name} if {told} !{{ var(txn.trusted) -m bool }}"
            for name in ("X-Forwarded- -m beg", "Forwarded", "X-Real-IP", "X-Scheme")
        ),
        # What only Forwarded says is said in both ways.
        f"http-request set-header X-Forwarded-Proto https if {told} {missing('X-Forwarded-Proto')}"
        f" {{ {forwarded} -m reg -i '^[^,]*proto=.?https' }}",
        f'http-request set-header X-Forwarded-Host "%[{forwarded},regsub({_FORWARDED_HOST})]" if {told}'
        f" {missing('X-Forwarded-Host')} {{ {forwarded} -m reg -i '^[^,]*host=' }}",
        # A name without a port has the port of its scheme, which is rarely that of this proxy.
        f"http-request set-header X-Forwarded-Port %[req.hdr(X-Forwarded-Host,1),port_only] if {told}"
        f" {missing('X-Forwarded-Port')} {{ req.hdr(X-Forwarded-Host,1),port_only gt 0 }}",
        f"http-request set-header X-Forwarded-Port 443 if {told} {missing('X-Forwarded-Port')}"
        " { req.hdr(X-Forwarded-Proto,1) -m str -i https }",
        f"http-request set-header X-Forwarded-Port %[dst_port] if {told} {missing('X-Forwarded-Port')}",
        f"http-request set-header X-Forwarded-Proto http if {told} {missing('X-Forwarded-Proto')}",
        f"http-request set-header X-Forwarded-Host %[req.hdr(Host)] if {told} {missing('X-Forwarded-Host')}"
        " { req.hdr(Host) -m found }",
        *_append("X-Forwarded-For", "%[src]", told),
        f"http-request set-header X-Forwarded-For %[src] if {told} {missing('X-Forwarded-For')}",
        *_append("Forwarded", "for=%[src]", f"{told} {{ src 0.0.0.0/0 }}"),
        *_append("Forwarded", 'for=\\"[%[src]]\\"', f"{told} !{{ src 0.0.0.0/0 }}"),
    ]


def _append(name: str, value: str, condition: str) -> list[str]:
    """Appends to a list that a request has, on the same line if there is one: some servers read only one line."""
    return [
        f'http-request add-header {name} "{value}" if {condition} {{ req.fhdr_cnt({name}) gt 1 }}',
        f'http-request set-header {name} "%[req.fhdr({name})], {value}" if {condition} {{ req.fhdr_cnt({name}) 1 }}',
    ]


def _trusted(apps: Sequence[ProxyApp], condition: str) -> list[str]:
    """Sets txn.trusted for requests that come from networks that their app trusts."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for app in apps:
        groups.setdefault(app.route.trusted, []).append(app.name)
    lines = []
    for networks, names in groups.items():
        for part in _parts(networks):
            source = f"{{ src {' '.join(part)} }}"
            # An app's name is a word of HAProxy: it has only lowercase letters, digits and hyphens.
            owners = [f" {{ var(txn.app) -m str {' '.join(some)} }}" for some in _parts(names)]
            for owner in owners if len(groups) > 1 else [""]:
                lines.append(f"http-request set-var(txn.trusted) bool(true) if {condition} {source}{owner}")
    return lines


def _parts(words: Sequence[str]) -> list[Sequence[str]]:
    """The words in parts that leave room on a line: HAProxy reads at most 64 words of one."""
    return [words[start : start + _WORDS] for start in range(0, len(words), _WORDS)]


def without_upgrade() -> list[str]:
    """Removes the offer of HTTP/2, with the headers that belong to it: a model that took it would leave HTTP/1.1.

    HAProxy 3.0 removes h2c from Upgrade by itself, and nothing else: then HTTP2-Settings tells what the client has
    offered, which must be there.
    """
    offered = "{ req.hdr(Upgrade) -m beg -i h2c } || { req.hdr(HTTP2-Settings) -m found }"
    return [
        f"http-request del-header Connection if {offered}",
        f"http-request del-header Upgrade if {offered}",
        "http-request del-header HTTP2-Settings",
    ]


def answers() -> list[str]:
    """Refuses answers whose length is not certain: the rest would be read as the answer to another request."""
    text = _text("the model sent a Content-Length that is not a number of 1 to 18 digits")
    return [f"http-response deny status 502 {text} if {{ res.fhdr(Content-Length) {_TOO_LONG} }}"]


def _refuse(why: str, condition: str) -> str:
    return f"http-request deny status 400 {_text(why)} if {condition}"


def _text(why: str) -> str:
    body = f"{why} (request %[var(txn.request)])\\n"
    return f'hdr Connection close content-type text/plain lf-string "{body}"'
