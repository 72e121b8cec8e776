"""Verify: compares everything with the ledger. Reads only.

The chain of events, manifests, stored files, slots, images, containers, and the files that running containers see.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.errors import EngineError, Locked
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.reports.verify_engine import check_containers, check_images, check_slots
from orchestrator.reports.verify_record import Findings, Manifests, check_manifests, check_objects

_TRIES = 3
# Limit of the wait for other commands, and interval between two checks of their locks. Seconds.
_WAIT_LIMIT, _WAIT_INTERVAL = 20.0, 0.2


@frozen
class ChainHead:
    """The newest event: its number, and the digest of the chain up to it."""

    event: int
    digest: str


@frozen
class VerifyReport:
    """How many of each kind were checked, and the differences from the ledger, as sentences."""

    app: str
    ok: bool
    checked: Mapping[str, int]
    problems: tuple[str, ...]
    head: ChainHead | None


def verify(services: Services, app: str) -> VerifyReport:
    """Checks an app, and what it shares with the state folder's other apps: the chain and the store.

    Other commands may run at the same time: then a problem is reported only when it is found again while none runs.

    Raises:
        LedgerDamaged: the ledger cannot be read at all.
        Locked: other commands ran all the time; the problems may be their unfinished work.
    """
    for _ in range(_TRIES):
        busy = _wait_for_others(services)
        before = services.ledger.head()
        findings, certain = _look(services, app)
        busy = busy or _busy(services)
        if not findings.problems or (busy is None and services.ledger.head() == before):
            return _report(app, findings, findings.problems)
        services.reporter.note("another command ran at the same time: checking the problems again")
    if certain:
        # The ledger was read in one transaction: other commands cannot cause these problems.
        rest = "the other problems cannot be told apart from the work of other commands"
        return _report(app, findings, [*certain, rest])
    raise Locked(
        "problems cannot be told apart from the work of other commands",
        why=f"'{busy.get('command', 'unknown')}' is running" if busy else "a command has just ended",
        hint="run 'deployctl verify' again when they have ended",
    )


def _report(app: str, findings: Findings, problems: list[str]) -> VerifyReport:
    head = ChainHead(*findings.head) if findings.head else None
    return VerifyReport(app, not problems, findings.checked, tuple(problems), head)


def _busy(services: Services) -> dict[str, object] | None:
    """The holder of the lock of any app: all apps share the store and the chain."""
    return next((holder for app in services.ledger.apps() if (holder := services.locks.holder(app)) is not None), None)


def _wait_for_others(services: Services) -> dict[str, object] | None:
    """Waits for other commands to end; returns one that did not end in time."""
    limit = services.clock() + _WAIT_LIMIT
    while (holder := _busy(services)) is not None and services.clock() < limit:
        services.sleep(_WAIT_INTERVAL)
    return holder


def _look(services: Services, app: str) -> tuple[Findings, list[str]]:
    """Checks everything once; also returns the problems that no other running command can explain."""
    findings = Findings()
    services.reporter.step("check the chain of events")
    if damage := services.ledger.damage(thorough=True):
        findings.problems.append(f"the ledger is damaged: {damage}")
    events, wrong = services.ledger.audit()
    findings.checked["events"] = len(events)
    findings.head = (events[-1].id, events[-1].digest) if events else None
    findings.problems += wrong
    certain = list(findings.problems)
    manifests = Manifests(services, services.ledger.readable_versions(app))
    services.reporter.step("check the manifests and the deltas between them")
    needed = check_manifests(services, app, manifests, findings)
    services.reporter.step("check the stored files")
    check_objects(services, needed, findings)
    services.reporter.step("check slots, images and containers")
    try:
        check_slots(services, app, findings)
        check_images(services, manifests, findings)
        # A rebuilt ledger does not have every deployment that created a container.
        rebuilt = any(event.kind == "rebuilt" and event.app == app for event in events)
        check_containers(services, app, manifests, findings, rebuilt=rebuilt)
    except EngineError as error:
        findings.problems.append(f"images and containers could not be checked: {error}")
    return findings, certain
