"""The backends of an app, as text of HAProxy's configuration. Pure.

Each slot has two. The first one asks the slot alone. In the second one, which is for the newer version while it has a
fallback, each request goes to a server of the slot, chosen by its name: these have the weight 0, so no repetition goes
there. What fails before an answer has begun is repeated, and balanced over the servers of the other slot. A server that
is down is not asked: the next replica is, and the other slot only when all are down. All servers of the second kind
follow the checks of the first kind.

Measured on HAProxy 2.6 and 3.0: of 32 clients' requests, none failed while the newer version answered 500, closed
connections, or ended. A refused connection is repeated at once because two servers stand for each older replica: with
only one active server, HAProxy waits for a second before it tries again.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.adapters.haproxy import checks, sticky
from orchestrator.adapters.haproxy.names import (
    MOVED,
    PARKED,
    PARKED_PORT,
    REPLICAS,
    answers,
    backend,
    regex,
    shielded,
    word,
)
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.domain.traffic.slot import SLOTS, Slot, other

# What is repeated: the request was not answered, or in a way that says nothing about the request.
_REPEATED = "conn-failure empty-response junk-response response-timeout 500 502 503 504"
# A body of at most this size, in bytes, fits in the buffer beside the head of its request, so that it can be repeated.
# See tune.bufsize in haproxy.cfg.
LARGEST_BODY = 65536
# Entries of the table of response times: two digits, ten magnitudes, two slots, and room for more.
_TIMES = 4096


def backends(app: ProxyApp, *, with_state: bool) -> Iterator[str]:
    """The backends of an app; `with_state`: with the addresses of slots that are in use."""
    for slot in SLOTS:
        yield "\n".join([*_alone(app, slot, with_state), ""])
    for slot in SLOTS:
        yield "\n".join([*_shielded(app, slot, with_state), ""])
    yield f"backend {answers(app.name)}\n  stick-table type string len 24 size {_TIMES} store http_req_cnt\n"


def servers(app: ProxyApp) -> int:
    """How many replicas each backend of the app has. All have the same number, so that a release needs no reload."""
    return max((len(slot.addresses) for slot in app.slots.values()), default=0)


def _alone(app: ProxyApp, slot: Slot, with_state: bool) -> Iterator[str]:
    own, count = _endpoints(app, slot), servers(app)
    lines = (*checks.check(own), *_prefix(app.route), *_counted(app.name, slot))
    sessions = (*sticky.replicas(app, slot, count, "s"), *sticky.answers(app, count))
    yield f"backend {backend(app.name, slot)}"
    yield f"  timeout server {checks.milliseconds(app.route.timeout)}"
    # The rules of a worker that a reload has left end the evaluation.
    yield from (f"  {line}" for line in (*lines, *sessions, *_moved(), *sticky.servers_of_sessions(app, count)))
    # When all checked servers of a slot fail their checks, requests go to the backup servers, which are not checked: a
    # model that is busy with a long prediction answers no check, and waiting for it is better than an error.
    yield "  option allbackups"
    for index in range(1, count + 1):
        target = _target(app, slot, index, with_state)
        checked = own.probe.port if target else PARKED_PORT
        yield f"  server s{index} {target or PARKED} check port {checked} {checks.pauses(own.probe)}"
        yield _backup(index, target)


def _shielded(app: ProxyApp, slot: Slot, with_state: bool) -> Iterator[str]:
    name, older, count = app.name, other(slot), servers(app)
    repeatable = f"{{ method {' '.join(word(method) for method in app.route.repeatable)} }}"
    longest = checks.milliseconds(app.route.timeout)
    # A backend of no servers is one of an app that is about to get its first version.
    choice = "str(n1)" if count <= 1 else "rand(65536),mod(txn.replicas),add(1),concat(),regsub(^,n)"
    lines = [
        f"timeout server {longest}",
        # A container that is gone answers nothing, not even a refusal.
        "timeout connect 500ms",
        "retries 1",
        "option redispatch 1",
        f"retry-on {_REPEATED}",
        *_prefix(app.route),
        # HAProxy applies it to pauses within bodies as well. What cannot be repeated has more time.
        f"http-request set-timeout server var(txn.patience) if {{ var(txn.patience) -m int gt 0 }} {repeatable}"
        f" !{{ req.hdr_val(Content-Length) gt {LARGEST_BODY} }} !{{ req.hdr(Transfer-Encoding) -m found }}",
        f"http-request disable-l7-retry if !{repeatable}",
        # Without it, a request whose body comes in a packet of its own would not be repeated.
        f"http-request wait-for-body time {longest} if {repeatable} {{ req.hdr_val(Content-Length) 1:{LARGEST_BODY} }}",
        f"http-request set-var(txn.replicas) str({backend(name, slot)}),map_str_int({REPLICAS},1)",
        f"http-request set-var(txn.server) {choice}",
        *sticky.replicas(app, slot, count, "n"),
        *_next_up(name, slot, count),
        "use-server %[var(txn.server)] if TRUE",
        # An answer that has begun may pause for as long as without the shield. HAProxy 2.6 applies the patience to it.
        ".if version_atleast(2.9)",
        f"http-response set-timeout server {longest}",
        ".endif",
        # The version that gave this very answer.
        f"http-response set-var(txn.backend) str({backend(name, older)}) if {{ srv_name -m beg o p }}",
        *_counted(name, slot, "{ srv_name -m beg n b }"),
        *sticky.answers(app, count),
        "option allbackups",
    ]
    yield f"backend {shielded(name, slot)}"
    yield from (f"  {line}" for line in lines)
    for index in range(1, count + 1):
        target = _target(app, slot, index, with_state)
        yield f"  server n{index} {target or PARKED} weight 0 track {backend(name, slot)}/s{index}"
        yield _backup(index, target)
        place = _target(app, older, index, with_state) or PARKED
        yield from (f"  server {kind}{index} {place} track {backend(name, older)}/s{index}" for kind in "op")


def _next_up(app: str, slot: Slot, count: int) -> Iterator[str]:
    """While the chosen replica is down, the next one that is up is asked. Without any, the other slot answers."""
    # Twice around, because the chosen one may be the last one, and only the first one up.
    places = [*range(1, count + 1), *range(1, count)] if count > 1 else []
    for index in places:
        down = f"{{ var(txn.server) -m str n{index} }} !{{ srv_is_up({backend(app, slot)}/s{index}) }}"
        yield f"http-request set-var(txn.server) str(n{index % count + 1}) if {down}"


def _endpoints(app: ProxyApp, slot: Slot) -> SlotEndpoints:
    """The endpoints of a slot; for an empty one those of the other, so that it needs no reload when it is used."""
    return app.slots.get(slot) or next(iter(app.slots.values()))


def _target(app: ProxyApp, slot: Slot, index: int, with_state: bool) -> str:
    own = app.slots.get(slot)
    target = own.target(index) if with_state and own is not None else ""
    return word(target) if target else ""


def _backup(index: int, target: str) -> str:
    return f"  server b{index} {target or PARKED} backup{'' if target else ' disabled'}"


def _prefix(route: Route) -> list[str]:
    if not (route.path_prefix and route.strip_prefix):
        return []
    return [
        # After the prefix that a front has removed.
        f"http-request set-header X-Forwarded-Prefix %[req.fhdr(X-Forwarded-Prefix),rtrim(/)]{word(route.path_prefix)}",
        f"http-request replace-path ^{regex(route.path_prefix)}/?(.*) /\\1",
    ]


def _counted(app: str, slot: Slot, condition: str = "") -> list[str]:
    """Counts an answer of the slot by its response time: the first two digits of the microseconds, and how many digits.

    So the counters form a histogram whose steps are at most a tenth of the time, and the table stays small.
    """
    return [
        "http-response set-var(txn.took) date(0,us),sub(txn.begun),concat()",
        "http-response set-var(txn.first) var(txn.took),bytes(0,2)",
        "http-response set-var(txn.digits) var(txn.took),length",
        f"http-response track-sc0 str({slot}),concat(:,txn.first),concat(/,txn.digits) table {answers(app)}"
        f" if {{ status lt 500 }}{' ' + condition if condition else ''}",
    ]


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
