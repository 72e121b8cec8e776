"""The events of an app: deployments, repairs and notifications, newest first. Reads only.

The ledger also has events that only seal its rows. They are left out, except where they say that something happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from orchestrator.domain.record.chain import Event, read_detail
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.text import counted

KINDS = (
    "release",
    "rollback",
    "auto-rollback",
    "promote",
    "abort",
    "drilled",
    "rollout-begun",
    "shifted",
    "rollout-held",
    "rollout-resumed",
    "stable",
    "bad",
    "healed",
    "ended",
    "degraded",
    "recovered",
    "repaired",
    "shield",
    "maintenance",
    "notified",
    "notification-failed",
    "heartbeat-failed",
    "textfile-failed",
    "tagged",
    "tag-failed",
    "pruned",
    "rebuilt",
    "removed",
)
"""What `--kind` accepts."""

_PAGE = 500
# Kinds of the ledger that only seal a row, or that another event says as well.
_HIDDEN = frozenset({"image", "live", "auto-rollback"})
_WATCHDOG = "watchdog"
_PRUNED = ("versions", "containers", "leftovers")
# Who is behind an event, where that does not depend on the command.
_BY = {
    "healed": _WATCHDOG,
    "degraded": _WATCHDOG,
    "recovered": _WATCHDOG,
    "ended": "engine",
    "heartbeat-failed": _WATCHDOG,
    "textfile-failed": _WATCHDOG,
}


@frozen
class EventRecord:
    """One event. `by` is who was behind it: a person, `watchdog` or `engine`; None when that is not recorded."""

    id: int
    at: str
    kind: str
    by: str | None
    version: str | None
    deployment: int | None
    text: str


@frozen
class EventsReport:
    """Events of an app, newest first."""

    app: str
    events: tuple[EventRecord, ...]


@frozen
class Filters:
    """Which events are listed: those of these kinds (all if empty), by this one, since this time, of this version."""

    kinds: tuple[str, ...] = ()
    by: str | None = None
    since: str | None = None
    version: str | None = None


def events(services: Services, app: str, limit: int, filters: Filters) -> EventsReport:
    """The newest `limit` events that match.

    Raises:
        UsageError: a kind does not exist.
    """
    unknown = [kind for kind in filters.kinds if kind not in KINDS]
    if unknown:
        raise UsageError(f"--kind {unknown[0]}: there are no such events", hint=f"one of: {', '.join(KINDS)}")
    found: list[EventRecord] = []
    for event in _newest_first(services, app):
        if filters.since is not None and event.at < filters.since:
            break
        record = _record(services, app, event)
        if record is not None and _matches(record, filters):
            found.append(record)
            if len(found) == limit:
                break
    return EventsReport(app, tuple(found))


def _newest_first(services: Services, app: str) -> Iterator[Event]:
    before: int | None = None
    while page := services.ledger.newest_events(app, _PAGE, before=before):
        yield from page
        before = page[-1].id


def _matches(record: EventRecord, filters: Filters) -> bool:
    return (
        (not filters.kinds or record.kind in filters.kinds)
        and filters.by in (None, record.by)
        and filters.version in (None, record.version)
    )


def _record(services: Services, app: str, event: Event) -> EventRecord | None:
    detail = read_detail(event.detail)
    if event.kind in _HIDDEN:
        return None
    if event.kind == "deployment":
        return _deployment(services, app, event, detail)
    version = detail.get("version")
    version = str(version) if version is not None else None
    if event.kind == "version":
        what = detail.get("what")
        if what not in ("stable", "bad"):
            return None
        return EventRecord(event.id, event.at, str(what), None, version, None, f"{version} was marked as {what}")
    words = _TEXTS.get(event.kind, _plain)
    return EventRecord(event.id, event.at, event.kind, _by(event.kind, detail), version, None, words(detail))


def _deployment(services: Services, app: str, event: Event, detail: dict[str, Any]) -> EventRecord | None:
    """A deployment that has ended, or the beginning of the one that is still open."""
    number, what = detail.get("deployment"), detail.get("what")
    deployment = services.ledger.deployment(app, number) if isinstance(number, int) else None
    if deployment is not None and deployment.kind == "drill":
        return None  # the event "drilled" says more
    if deployment is None or what == "sealed" or (what == "begun" and deployment.outcome is not None):
        return None
    outcome = deployment.outcome or "in progress"
    text = f"{deployment.from_version or 'nothing'} to {deployment.to_version}: {outcome}"
    text += f": {deployment.reason}" if deployment.reason else ""
    kind, by = deployment.kind, deployment.actor
    return EventRecord(event.id, event.at, kind, by, deployment.to_version, deployment.id, text)


def _by(kind: str, detail: dict[str, Any]) -> str | None:
    if "watchdog run" in str(detail.get("command", "")):
        return _WATCHDOG
    by = detail.get("by", detail.get("actor"))
    return str(by) if by is not None else _BY.get(kind)


def _plain(detail: dict[str, Any]) -> str:
    if "what" in detail:
        return str(detail["what"])
    return "; ".join(f"{name}: {value}" for name, value in detail.items())


def _failed(what: str) -> Callable[[dict[str, Any]], str]:
    return lambda detail: f"{what}: {detail.get('why', 'unknown')}"


def _removed(detail: dict[str, Any]) -> str:
    versions, deployments = (counted(len(detail.get(f"{word}s", ())), word) for word in ("version", "deployment"))
    return f"the app was removed, with {versions} and the records of {deployments}"


def _drilled(detail: dict[str, Any]) -> str:
    text = f"{detail.get('live')} to {detail.get('version')}, by a {detail.get('mode')}: {detail.get('outcome')}"
    if detail.get("seconds") is not None:
        text += f", ready after {detail['seconds']:g} s"
    return f"{text}: {detail['why']}" if detail.get("why") else text


def _listed(values: object) -> str:
    return ", ".join(map(str, values)) if isinstance(values, Sequence) and not isinstance(values, str) else str(values)


def _shield(detail: dict[str, Any]) -> str:
    return (
        f"the shield of {detail.get('version')} ended: {counted(detail.get('rescued', 0), 'failed request')} answered"
        f" by {detail.get('by')}, {detail.get('lost')} returned to clients"
    )


_TEXTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "notified": lambda detail: f"the notification '{detail.get('notice')}' was delivered",
    "notification-failed": lambda detail: _failed(f"the notification '{detail.get('notice')}' was not delivered")(
        detail
    ),
    "heartbeat-failed": _failed("the heartbeat was not accepted"),
    "textfile-failed": _failed("the metrics could not be written"),
    "tagged": lambda detail: f"tag {detail.get('tag')} written",
    "tag-failed": lambda detail: _failed(f"the tag {detail.get('tag')} was not written")(detail),
    "pruned": lambda detail: f"removed: {_listed([one for key in _PRUNED for one in detail.get(key, ())])}",
    "rebuilt": _failed("the ledger was rebuilt from labels"),
    "removed": _removed,
    "drilled": _drilled,
    "rollout-begun": lambda detail: f"{detail.get('version')} became a candidate; {detail.get('instead of')} is live",
    "shifted": lambda detail: f"{detail.get('version')} gets {detail.get('share'):g} % of the requests",
    "rollout-held": lambda detail: f"the rollout of {detail.get('version')} is on hold",
    "rollout-resumed": lambda detail: f"the rollout of {detail.get('version')} goes on",
    "shield": _shield,
}
