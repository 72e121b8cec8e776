"""Why a version that runs does not become ready: from its replies, its sockets and its log. Pure.

A cause that the server cannot remove by itself ends the wait: it listens on the loopback, or redirects every probe. A
server may still be loading while it answers 503, refuses connections, or writes a warning: that waits for the deadline,
but the cause is named from the start.
"""

from __future__ import annotations

import re
from typing import Literal

from orchestrator.domain.health.cause import Cause
from orchestrator.domain.health.endings import memory_hint
from orchestrator.domain.health.log_causes import log_cause
from orchestrator.domain.health.probe import UNKNOWN_PATH, ProbeSpec, Reply
from orchestrator.domain.health.sockets import Listener, other_ports, reachable
from orchestrator.domain.rollout.workload import Runtime
from orchestrator.frozen import frozen

Protocol = Literal["tls", "h2", ""]

# Paths on which servers tell whether they are ready, tried when the configured one does not exist.
HEALTH_PATHS = ("/health", "/healthz", "/ping", "/ready", "/readyz", "/health-check", "/v2/health/ready", "/")

# How long each cause must stay the same before the wait ends. Seconds.
_SOON = 3.0
_REFUSED_STATUS = 5.0
# Some servers register their paths late.
_LATE_PATH = 30.0
# A worker that is killed once may be started again with less to do.
_KILLS = 2


@frozen
class Facts:
    """What is known about a container that runs and is not ready.

    `listeners` is None when its sockets cannot be read. `exposed` are the ports that its image names. `protocol` is
    what the server speaks instead of HTTP, `answers_on` a port that gives the answer expected on `spec.port`,
    `answers_at` a path that does; these are looked for only when the replies suggest it. `kills` counts processes that
    the kernel killed for lack of memory. `lines` are those of its log.
    """

    spec: ProbeSpec
    runtime: Runtime
    reply: Reply
    listeners: tuple[Listener, ...] | None = None
    exposed: tuple[int, ...] = ()
    protocol: Protocol = ""
    answers_on: int | None = None
    answers_at: str = ""
    kills: int = 0
    lines: tuple[str, ...] = ()


def diagnose(facts: Facts) -> Cause | None:
    """The cause that explains the facts best; None when nothing but more time would help."""
    logged = log_cause(facts.lines, facts.runtime)
    if logged is not None and logged.patience is not None:
        return logged
    if facts.kills >= _KILLS:
        why = f"the kernel killed {facts.kills} of its processes for lack of memory"
        return Cause(why, memory_hint(facts.runtime.memory), 0.0)
    seen = _refused(facts) if facts.reply.refused else _answered(facts) if facts.reply.status else _silent(facts)
    if seen is not None and seen.patience is not None:
        return seen
    return logged or seen


def _refused(facts: Facts) -> Cause | None:
    """Connections are refused: nothing listens, or not where the probes and the proxy come from."""
    port = facts.spec.port
    if facts.listeners is None:
        others = [each for each in facts.exposed if each != port]
        if not others or port in facts.exposed:
            return None
        ports = _ports(others)
        return _other_port(facts, f"nothing listens on port {port}; the image names {ports} (EXPOSE)", others[0])
    here = [each for each in facts.listeners if each.port == port]
    if here and all(each.loopback for each in here):
        why = f"it listens on {_joined(here)} only, which nothing outside of its container reaches"
        return Cause(why, f"make the server listen on 0.0.0.0:{port} (often an option such as --host 0.0.0.0)", _SOON)
    if here:
        if any(each.address == "0.0.0.0" for each in here):
            return None  # it has just begun to listen
        why = f"it listens on {_joined(here)} only, not on the address of its container"
        return Cause(why, f"make the server listen on 0.0.0.0:{port}", _SOON)
    others = list(other_ports(facts.listeners, port))
    if others:
        best = facts.answers_on or next((each for each in others if each in facts.exposed), others[0])
        return _other_port(facts, f"it listens on {_ports(others)}, not on port {port}", best)
    if facts.listeners:
        first = facts.listeners[0].port
        why = f"nothing listens on port {port}; it listens on {_joined(facts.listeners)} only"
        return Cause(why, f"make the server listen on 0.0.0.0:{port}, or on 0.0.0.0:{first} with app.port = {first}")
    return None


def _other_port(facts: Facts, why: str, best: int) -> Cause:
    # Servers open ports for metrics and for their own processes before the model is loaded, and the main port last. So
    # an open port proves nothing, and an answer only when the image does not name the port that is waited for.
    certain = facts.answers_on is not None and facts.spec.port not in facts.exposed
    if certain:
        why += f"; port {facts.answers_on} answers the probes"
    return Cause(
        why, f"set app.port = {best}, or make the server listen on {facts.spec.port}", _SOON if certain else None
    )


def _answered(facts: Facts) -> Cause | None:
    """The server answers with a status that is not the expected one."""
    status, path = facts.reply.status or 0, facts.spec.path
    body = facts.reply.body
    if status == 400 and ("HTTPS server" in body or "HTTPS port" in body):
        return _tls(facts.spec.port)
    if status in (400, 403, 421) and (
        "host" in body.lower() and ("allowed" in body.lower() or "invalid" in body.lower())
    ):
        why = f"the server refuses the Host name of the probes (HTTP {status})"
        return Cause(
            why, "allow it in the server, or set health.host to a name that the server accepts", _REFUSED_STATUS
        )
    if status in (401, 403):
        why = f"the server wants a login for {path} (HTTP {status})"
        return Cause(why, "set health.path to a path that needs no login", _REFUSED_STATUS)
    if status == 405:
        why = f"the server does not allow GET for {path} (HTTP 405)"
        return Cause(why, "set health.path to a path that answers GET", _REFUSED_STATUS)
    if 300 <= status <= 399:
        to = f" to {facts.reply.location}" if facts.reply.location else ""
        why = f"the server redirects {path}{to} (HTTP {status}), and a redirect is not an answer from the model"
        return Cause(why, _redirect_hint(facts.reply.location), _REFUSED_STATUS)
    if status in UNKNOWN_PATH:
        return _unknown_path(facts)
    return None


def _redirect_hint(location: str) -> str:
    if location.startswith("https:"):
        return "the server redirects HTTP to HTTPS: disable that in the container, or set another health.path"
    if re.search(r"log-?in|sign-?in|auth", location, re.IGNORECASE):
        return "set health.path to a path that needs no login"
    if location.startswith("/"):
        return f'set health.path = "{location.partition("?")[0]}"'
    return "set health.path to the path that answers by itself"


def _unknown_path(facts: Facts) -> Cause:
    path, status = facts.spec.path, facts.reply.status
    missing = f"neither {' nor '.join([*facts.spec.otherwise, path])}" if facts.spec.otherwise else f"no {path}"
    if facts.answers_at:
        why = f"the server has {missing} (HTTP {status}), and answers {facts.answers_at}"
        return Cause(why, f'set health.path = "{facts.answers_at}"', _REFUSED_STATUS)
    # A server may not know a model before it is loaded.
    loading = "/models/" in path
    why = f"the server has {missing} (HTTP {status})"
    return Cause(
        why,
        "set health.path (or health.preset, health.model) to what the server answers when it is ready",
        None if loading else _LATE_PATH,
    )


def _silent(facts: Facts) -> Cause | None:
    """The connection fails in another way than by a refusal, or carries no HTTP answer."""
    port = facts.spec.port
    if facts.protocol == "tls":
        return _tls(port)
    if facts.protocol == "h2":
        why = f"the server speaks HTTP/2 without TLS on port {port} (gRPC does), the probes and the proxy HTTP/1.1"
        return Cause(why, "set app.port to a port on which the server speaks HTTP/1.1", _SOON)
    if facts.reply.error.startswith("no connection"):
        if facts.listeners is not None and not reachable(facts.listeners, port):
            return None
        why = f"the address of its container cannot be reached from here ({facts.reply.error})"
        hint = "run deployctl on the host of the engine, and check the host's firewall"
        return Cause(why, hint)
    return None


def _tls(port: int) -> Cause:
    why = f"the server speaks TLS on port {port}, the probes and the proxy speak HTTP to it"
    return Cause(why, "disable TLS in the server: the proxy is what clients connect to", _SOON)


def _ports(ports: list[int]) -> str:
    return ("port " if len(ports) == 1 else "ports ") + ", ".join(str(port) for port in ports)


def _joined(listeners: tuple[Listener, ...] | list[Listener]) -> str:
    return " and ".join(str(each) for each in listeners)
