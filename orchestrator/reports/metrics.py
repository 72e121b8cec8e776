"""The metrics for Prometheus, collected from ledger, engine and proxy. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from orchestrator import __version__
from orchestrator.domain.traffic.program import Refusals
from orchestrator.domain.version.mark import mark
from orchestrator.domain.watch.passes import Pass
from orchestrator.errors import DeployctlError, EngineError, EngineUnreachable, ProxyError, StorageError, UsageError
from orchestrator.files import write_atomic
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.observe import observe
from orchestrator.release.rollback_preparation import rollback_way
from orchestrator.release.shields import recorded_shields, shield
from orchestrator.reports.prometheus import Facts, Metric, Seen, metrics, text
from orchestrator.reports.rollout import rollout_record
from orchestrator.reports.status import status

_GOOD = ("healthy", "acted")


@frozen
class MetricsReport:
    """The metrics that have a value now."""

    metrics: tuple[Metric, ...]


def collect(services: Services, apps: Sequence[str]) -> tuple[MetricsReport, list[DeployctlError]]:
    """The metrics of these apps, and why some of them are missing.

    Metrics from the ledger do not depend on the engine.

    Raises:
        UsageError: an app is not in the ledger.
        LedgerDamaged: the ledger is missing or damaged.
    """
    known = services.ledger.apps()
    for app in apps:
        if app not in known:
            raise UsageError(
                f"there is no app {app} in the ledger", why=f"the apps are: {', '.join(known) or 'none yet'}"
            )
    facts: list[Facts] = []
    problems: list[DeployctlError] = []
    engine_up = True
    for app in apps:
        seen = None
        # An engine that hangs is asked once: each request waits for a minute.
        if engine_up:
            try:
                seen = _look(services, app)
            except (EngineError, ProxyError) as error:
                problems.append(error)
                engine_up = not isinstance(error, EngineUnreachable)
        facts.append(_facts(services, app, seen, engine_up=engine_up))
    return MetricsReport(tuple(metrics(facts))), problems


def write_textfile(services: Services, app: str, path: Path) -> None:
    """Writes the metrics of an app for node_exporter: atomically, and readable for all users.

    Call it without the app's lock: while it is held, an interrupted deployment looks like a running one.

    Raises:
        StorageError: the file cannot be written.
        LedgerDamaged: the ledger is missing or damaged; the file is not changed.
    """
    report, _ = collect(services, [app])
    try:
        write_atomic(path, text(report.metrics), mode=0o644)
    except OSError as error:
        raise StorageError(
            f"watchdog.textfile: {path} cannot be written",
            why=error.strerror or str(error),
            hint="check that its folder exists and is writable for this user",
        ) from error


def _facts(services: Services, app: str, seen: Seen | None, *, engine_up: bool) -> Facts:
    ledger = services.ledger
    live = services.live(app)
    left = ledger.left_by_rollback(app)
    marks: Counter[str] = Counter(
        mark(version, live.version if live else None, left) for version in ledger.versions(app).values()
    )
    last = next(iter(ledger.passes(app, 1)), None)
    return Facts(
        app=app,
        program=__version__,
        engine_up=engine_up,
        live=live,
        seen=seen,
        marks=marks,
        deployments=ledger.deployment_counts(app),
        counts=ledger.counts(app),
        last=last,
        good=_good(services, app, last),
    )


def _good(services: Services, app: str, last: Pass | None) -> Pass | None:
    if last is None or last.outcome in _GOOD:
        return last
    return next((each for each in services.ledger.passes(app, -1) if each.outcome in _GOOD), None)


def _look(services: Services, app: str) -> Seen:
    report = status(services, app, "")
    containers = report.live.containers if report.live else ()
    running = sum(container.state == "running" for container in containers)
    return Seen(
        state=report.state,
        running=running,
        others=len(containers) - running,
        restarts=sum(container.restarts for container in containers),
        problems=len(report.problems),
        rollback=_rollback_possible(services, app),
        refused=_refused(services, app, report.proxy.state),
        shields=_shields(services, app) if report.proxy.state == "running" else {},
    )


def _shields(services: Services, app: str) -> dict[str, tuple[int, int]]:
    """The failures of each version that is not pruned, while it was shielded: answered by another one, and not."""
    ledger = services.ledger
    totals: dict[str, list[int]] = {}
    shields = recorded_shields(services, app)
    present = shield(services, app)
    if present is not None:
        shields[present.deployment] = present
    rows = [(each.version, each.rescued, each.lost) for each in shields.values()]
    for rollout in ledger.rollouts(app):
        record = rollout_record(services, rollout)
        rows.append((record.version, record.shield.rescued, record.shield.lost))
    known = {name for name, version in ledger.versions(app).items() if version.pruned_at is None}
    for version, rescued, lost in rows:
        if version in known:
            total = totals.setdefault(version, [0, 0])
            total[0] += rescued
            total[1] += lost
    return {version: (rescued, lost) for version, (rescued, lost) in totals.items()}


def _refused(services: Services, app: str, state: str) -> Refusals | None:
    known = services.ledger.proxy_app(app)
    if known is None or state != "running":
        return None
    try:
        return services.edge.refusals([known.route.listen])[0]
    except ProxyError:
        return None  # one of the problems in the report


def _rollback_possible(services: Services, app: str) -> bool:
    try:
        rollback_way(observe(services, app), None)
    except UsageError:
        return False
    return True
