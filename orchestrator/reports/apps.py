"""The apps of a state folder, from the ledger alone. Reads only, and does not ask the engine."""

from __future__ import annotations

from pathlib import Path

from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version.version import Version
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services


@frozen
class AppRow:
    """An app. `listen`, `hosts` and `path_prefix` are its route; `listen` is None while the proxy does not serve it.

    `file` is the path of the newest version's deploy.toml. `deploying`: a deployment is open, running or interrupted;
    `removing`: its removal is.
    """

    app: str
    live: str | None
    slot: Slot | None
    since: str | None
    listen: str | None
    hosts: tuple[str, ...]
    path_prefix: str
    versions: int
    deploying: bool
    file: str | None
    removing: bool = False


@frozen
class AppsReport:
    """All apps of a state folder, sorted by name."""

    state_dir: str
    apps: tuple[AppRow, ...]


def apps(services: Services) -> AppsReport:
    """The apps that the ledger records."""
    return AppsReport(str(services.state_dir), tuple(_row(services, app) for app in services.ledger.apps()))


def _row(services: Services, app: str) -> AppRow:
    live = services.live(app)
    known = services.ledger.proxy_app(app)
    versions = services.ledger.versions(app)
    newest = list(versions.values())[-1] if versions else None
    return AppRow(
        app=app,
        live=live.version if live else None,
        slot=live.slot if live else None,
        since=live.since if live else None,
        listen=known.route.listen if known else None,
        hosts=known.route.hosts if known else (),
        path_prefix=known.route.path_prefix if known else "",
        versions=len(versions),
        deploying=services.ledger.open_deployment(app) is not None,
        file=_file(newest),
        removing=services.ledger.removal(app) is not None,
    )


def _file(newest: Version | None) -> str | None:
    settings = newest.settings if newest else {}
    if not settings.get("source"):
        return None
    # The source is relative to where the command ran, the base is absolute.
    return str(Path(str(settings.get("base", "")), Path(str(settings["source"])).name))
