"""The only place that knows every room: it wires the adapters to the use cases."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestrator.adapters.docker.client import connect
from orchestrator.adapters.docker.engine import DockerEngine
from orchestrator.adapters.docker.host_containers import DockerHostContainers
from orchestrator.adapters.haproxy.container import ProxyContainer
from orchestrator.adapters.haproxy.proxy import HAProxy
from orchestrator.adapters.old_sqlite.ledger import SqliteLedger
from orchestrator.adapters.posix.interrupts import ProcessInterrupts
from orchestrator.adapters.posix.locks import FileLocks
from orchestrator.domain.moments import iso
from orchestrator.domain.naming import DEFAULT_STATE_DIR, Names
from orchestrator.errors import UsageError
from orchestrator.loading import Late
from orchestrator.ports.interrupts import Interrupts
from orchestrator.ports.services import Reporter, Services

if TYPE_CHECKING:
    from docker import DockerClient

    from orchestrator.ports.old import Artifacts, Notifier, Prober, Scheduler, Secrets


def state_dir(given: Path | None) -> Path:
    """The state folder: as given, else /var/lib/deployctl for root, else the XDG state folder."""
    if given is not None:
        return given.expanduser().absolute()
    if os.geteuid() == 0:
        return Path(DEFAULT_STATE_DIR)
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "deployctl"


def take_signals() -> Interrupts:
    """Takes over SIGINT, SIGTERM and SIGHUP of the process: from now on they are raised at safe points only."""
    interrupts = ProcessInterrupts()
    interrupts.install()
    return interrupts


def _serves(folder: Path) -> bool:
    """Whether the proxy of this state folder has a route: then there must be a ledger."""
    try:
        return (folder / "proxy" / "routes.map").stat().st_size > 0
    except FileNotFoundError:
        return False


def _artifacts(folder: Path) -> Artifacts:
    from orchestrator.adapters.store.old_store import ArtifactStore

    return ArtifactStore(folder)


def _secrets(folder: Path) -> Secrets:
    from orchestrator.adapters.store.secrets import SecretStore

    return SecretStore(folder)


def _prober() -> Prober:
    from orchestrator.adapters.http.prober import HttpProber

    return HttpProber()


def _os_user() -> str:
    from orchestrator.adapters.posix.host import LocalHost

    return LocalHost().user()


def _notifier() -> Notifier:
    from orchestrator.adapters.apprise.notifier import AppriseNotifier

    return AppriseNotifier()


def _scheduler() -> Scheduler:
    from orchestrator.adapters.cron.cron import CronFile, Crontab
    from orchestrator.adapters.posix.host import LocalHost
    from orchestrator.adapters.systemd.timer import Timer
    from orchestrator.watch.places import SystemScheduler

    host = LocalHost()
    places = (CronFile(host), Crontab(host), Timer(host, own=False), Timer(host, own=True))
    return SystemScheduler(host, places)


def build(
    folder: Path,
    *,
    command: str,
    reporter: Reporter,
    interrupts: Interrupts | None = None,
    boundary: Callable[[str, str], None] | None = None,
    wall: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Services:
    """The services of one state folder. Nothing is connected yet; the folder exists when this returns.

    Raises:
        UsageError: the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = folder.resolve()
    except OSError as error:
        raise UsageError(
            f"the state folder {folder} cannot be made",
            why=str(error.strerror),
            hint="use --state-dir, or be root",
        ) from error
    names = Names.of(str(folder))

    @cache
    def client() -> DockerClient:
        return connect()

    def now() -> str:
        return iso(wall())

    services = Services(
        state_dir=folder,
        names=names,
        engine=DockerEngine(client, names, folder / "models", folder / "secrets"),
        proxy=HAProxy(folder / "proxy", ProxyContainer(DockerHostContainers(client, names), names, folder / "proxy")),
        prober=cast("Prober", Late(_prober)),
        ledger=SqliteLedger(folder / "ledger.db", now=now, lost=lambda: _serves(folder)),
        artifacts=cast("Artifacts", Late(lambda: _artifacts(folder))),
        secrets=cast("Secrets", Late(lambda: _secrets(folder / "secrets"))),
        locks=FileLocks(folder / "locks", command=command, now=now),
        notifier=cast("Notifier", Late(_notifier)),
        scheduler=cast("Scheduler", Late(_scheduler)),
        reporter=reporter,
        interrupts=interrupts or ProcessInterrupts(),
        command=command,
        wall=wall,
        clock=time.monotonic,
        sleep=time.sleep,
        os_user=_os_user,
    )
    if boundary is not None:
        services.boundary = boundary
    return services
