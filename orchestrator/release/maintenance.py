"""Maintenance: the proxy answers an app's requests itself, or lets them wait, until somebody ends that.

    lock the app → recover → write it to the ledger, with an event → make the proxy do it

The ledger decides: when this is interrupted, the next command makes the proxy do what the ledger says. Deployments do
not change it: a version that becomes live meanwhile gets its first request when the maintenance ends.
"""

from __future__ import annotations

from typing import Any

from orchestrator.config import Config
from orchestrator.domain.moments import iso
from orchestrator.domain.traffic.maintenance import Maintenance, MaintenanceRecord
from orchestrator.errors import Degraded, DeployctlError, LedgerDamaged, OperationFailed, UsageError
from orchestrator.ports.services import Services
from orchestrator.release.recover import recover

_STEP = "maintenance"


def begin(services: Services, config: Config, maintenance: Maintenance) -> bool:
    """Begins the app's maintenance, or changes it; False: it is as wanted already. Holds the app's lock.

    Requests that a version is answering go on. May be repeated.

    Raises:
        UsageError: no version is live.
        Locked: another command works on the app.
        ProxyError: the proxy does not do it; it goes on as before.
    """
    app = config.app.name
    with services.locks.app(app):
        before = _at_rest(services, app)
        if before is not None and before.maintenance == maintenance:
            return False
        actor = services.actor(config.base)
        begun = MaintenanceRecord(maintenance, iso(services.wall()), actor)
        record = begun if before is None else MaintenanceRecord(maintenance, before.since, before.by)
        what = f"maintenance {'began' if before is None else 'changed'}: {maintenance}"
        _change(services, app, before, record, {"what": what, "by": actor})
    return True


def end(services: Services, config: Config) -> bool:
    """Ends the app's maintenance; False: there is none. Requests that wait are served. Holds the app's lock.

    Raises:
        UsageError: no version is live.
        Locked: another command works on the app.
        ProxyError: the proxy does not do it; it goes on as before.
    """
    app = config.app.name
    with services.locks.app(app):
        before = _at_rest(services, app)
        if before is None:
            return False
        _change(services, app, before, None, {"what": "maintenance ended", "by": services.actor(config.base)})
    return True


def note_maintenance(services: Services, app: str) -> None:
    """Says that the app is in maintenance, if it is, to somebody who changes what is live."""
    record = services.ledger.maintenance(app)
    if record is not None:
        services.reporter.note(f"{app} is in maintenance and stays so: 'deployctl maintenance off' ends it")


def _at_rest(services: Services, app: str) -> MaintenanceRecord | None:
    """Recovers the app, without repairing its containers; returns its maintenance.

    What cannot be recovered now does not prevent a maintenance: it may be the reason for it.
    """
    try:
        recover(services, app, healing=False)
    except LedgerDamaged:
        raise
    except (OperationFailed, Degraded) as error:
        services.reporter.note(f"recovery failed: {error}; maintenance still works")
    if services.live(app) is None:
        raise UsageError(f"no version of {app} is live", hint="deployctl release")
    return services.ledger.maintenance(app)


def _change(
    services: Services,
    app: str,
    before: MaintenanceRecord | None,
    record: MaintenanceRecord | None,
    event: dict[str, Any],
) -> None:
    services.ledger.set_maintenance(app, record, {**event, "command": services.command})
    services.boundary("before", _STEP)
    try:
        with services.locks.proxy():
            services.edge.up(services.ledger.proxy_apps(), services.progress)
            services.traffic.maintain(app, record.maintenance if record is not None else None)
    except DeployctlError as error:
        undone = {**event, "what": f"the last change of the maintenance was undone: {error}"}
        services.ledger.set_maintenance(app, before, {**undone, "command": services.command})
        raise
    services.boundary("after", _STEP)
