"""Verify: compares everything with the ledger. Reads only.

The chain of events, manifests, stored files, slots, images, containers, and the files that running containers see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.errors import EngineError, Locked
from orchestrator.ports.services import Services
from orchestrator.reports.verify_engine import check_containers, check_images, check_slots
from orchestrator.reports.verify_record import Findings, Manifests, check_manifests, check_objects

_TRIES = 3
# How long it waits for the end of other commands before it looks again, and how often it checks. Seconds.
_PATIENCE, _AGAIN = 20.0, 0.2


@dataclass(frozen=True)
class ChainHead:
    """The newest event: its number, and the digest that stands for it and for all before it."""

    event: int
    digest: str


@dataclass(frozen=True)
class VerifyReport:
    """How many of each kind were checked, and what differs from the ledger, in sentences."""

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
        Locked: commands ran all the time, and the problems may be their unfinished work.
    """
    for _ in range(_TRIES):
        busy = _await_rest(services)
        before = services.ledger.head()
        findings, certain = _look(services, app)
        busy = busy or _busy(services)
        if not findings.problems or (busy is None and services.ledger.head() == before):
            return _report(app, findings, findings.problems)
        services.reporter.note("another command ran at the same time: checking the problems again")
    if certain:
        # The ledger was read at one moment: a problem in it is one whatever other commands do.
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


def _await_rest(services: Services) -> dict[str, object] | None:
    """Waits for the end of other commands; returns the one that has not ended in time."""
    limit = services.clock() + _PATIENCE
    while (holder := _busy(services)) is not None and services.clock() < limit:
        services.sleep(_AGAIN)
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
        # A rebuilt ledger does not know every deployment that created what is there.
        rebuilt = any(event.kind == "rebuilt" and event.app == app for event in events)
        check_containers(services, app, manifests, findings, rebuilt=rebuilt)
    except EngineError as error:
        findings.problems.append(f"images and containers could not be checked: {error}")
    return findings, certain
