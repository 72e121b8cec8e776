"""The maintenance of an app, and whether the proxy does what the ledger says of it. Reads only."""

from __future__ import annotations

from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.errors import DeployctlError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services


@frozen
class MaintenanceStatus:
    """A maintenance: since when and by whom, and what requests get.

    Each is answered with 503, `message` and Retry-After, which is `retry_after` seconds. With `hold` it first waits for
    the end of the maintenance, for at most this many seconds; 0: it does not wait.
    """

    since: str
    by: str
    message: str
    retry_after: int
    hold: float


@frozen
class MaintenanceReport:
    """The app's maintenance, null when there is none, and whether this command has changed it.

    `problems` are sentences: where the proxy does not do what the ledger says.
    """

    app: str
    maintenance: MaintenanceStatus | None
    changed: bool
    problems: tuple[str, ...]


def maintenance(services: Services, app: str, *, changed: bool = False) -> MaintenanceReport:
    """The app's maintenance as it is now."""
    problems = not_followed(services, app, running=services.edge.state() == "running")
    return MaintenanceReport(app, maintenance_status(services, app), changed, tuple(problems))


def maintenance_status(services: Services, app: str) -> MaintenanceStatus | None:
    """The app's maintenance in the ledger; None when there is none."""
    record = services.ledger.maintenance(app)
    if record is None:
        return None
    what = record.maintenance
    return MaintenanceStatus(record.since, record.by, what.message, what.retry_after, what.hold)


def not_followed(services: Services, app: str, *, running: bool) -> list[str]:
    """Where the proxy does not do what the ledger says, in words; `running`: whether the proxy runs.

    While a command works on the app it may change that, so nothing is said then.
    """
    if services.locks.holder(app) is not None:
        return []
    recorded = services.ledger.traffic(app).maintenance
    try:
        found = [(services.traffic.on_disk(app).maintenance, "the proxy would start with")]
        if running:
            found.append((services.traffic.running(app).maintenance, "the proxy has"))
    except DeployctlError:
        return []  # reported with the route
    return [
        f"{where} {_words(seen)}, and the ledger has {_words(recorded)}: deployctl recover"
        for seen, where in found
        if seen != recorded
    ]


def _words(maintenance: Maintenance | None) -> str:
    return "no maintenance" if maintenance is None else f"a maintenance in which {maintenance}"
