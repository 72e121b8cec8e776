"""Creates the adapters and connects them to the ports. The only module that imports adapters."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from orchestrator.adapters.posix.host import LocalHost
from orchestrator.adapters.posix.interrupts import ProcessInterrupts
from orchestrator.adapters.posix.locks import FileLocks
from orchestrator.adapters.posix.ownership import prepare_state_folder
from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.domain.moments import iso
from orchestrator.domain.naming import DEFAULT_STATE_DIR, Names
from orchestrator.errors import DeployctlError
from orchestrator.loading import Late
from orchestrator.ports.interrupts import Interrupts
from orchestrator.ports.progress import Reporter
from orchestrator.ports.services import Services

if TYPE_CHECKING:
    from docker import DockerClient

    from orchestrator.adapters.store.objects import Objects
    from orchestrator.domain.engine import Engine
    from orchestrator.ports.container_access import ContainerAccess
    from orchestrator.ports.edge import Edge
    from orchestrator.ports.endpoints import Endpoints
    from orchestrator.ports.images import Images
    from orchestrator.ports.leftovers import Leftovers
    from orchestrator.ports.manifests import Manifests
    from orchestrator.ports.model_files import ModelFiles
    from orchestrator.ports.notifier import Notifier
    from orchestrator.ports.prober import Prober
    from orchestrator.ports.registry import Registry
    from orchestrator.ports.scheduler import Scheduler
    from orchestrator.ports.secrets import Secrets
    from orchestrator.ports.source_control import SourceControl
    from orchestrator.ports.tensors import TensorComparison
    from orchestrator.ports.traffic import Traffic
    from orchestrator.ports.workloads import Workloads


def state_dir(given: Path | None) -> Path:
    """The state folder: `given`, else /var/lib/deployctl for root, else below the XDG state folder."""
    if given is not None:
        return given.expanduser().absolute()
    if os.geteuid() == 0:
        return Path(DEFAULT_STATE_DIR)
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(home) / "deployctl"


def take_signals() -> Interrupts:
    """Handles SIGINT, SIGTERM and SIGHUP of the process: from now on they are raised at safe points only."""
    interrupts = ProcessInterrupts()
    interrupts.install()
    return interrupts


def _has_routes(folder: Path) -> bool:
    """Whether the proxy of this state folder has a route; if so, there must be a ledger."""
    try:
        return (folder / "proxy" / "routes.map").stat().st_size > 0
    except FileNotFoundError:
        return False


# An adapter that not every command uses is imported at its first use: see `Late`.


def _docker(ledger: SqliteLedger) -> DockerClient:
    from orchestrator.adapters.docker.client import connect

    def recorded() -> Engine | None:
        try:
            return ledger.engine()
        except DeployctlError:
            return None  # whoever needs the ledger reports it

    return connect(recorded)


def _workloads(client: Callable[[], DockerClient], names: Names) -> Workloads:
    from orchestrator.adapters.docker.workloads import DockerWorkloads

    return DockerWorkloads(client, names)


def _access(client: Callable[[], DockerClient], names: Names) -> ContainerAccess:
    from orchestrator.adapters.docker.container_access import DockerContainerAccess

    return DockerContainerAccess(client, names)


def _images(client: Callable[[], DockerClient]) -> Images:
    from orchestrator.adapters.docker.images import DockerImages

    return DockerImages(client)


def _leftovers(client: Callable[[], DockerClient], names: Names) -> Leftovers:
    from orchestrator.adapters.docker.leftovers import DockerLeftovers

    return DockerLeftovers(client, names)


def _proxy(client: Callable[[], DockerClient], names: Names, folder: Path) -> tuple[Edge, Traffic, Endpoints]:
    from orchestrator.adapters.docker.host_containers import DockerHostContainers
    from orchestrator.adapters.docker.host_images import DockerHostImages
    from orchestrator.adapters.haproxy.container import ProxyContainer
    from orchestrator.adapters.haproxy.edge import HAProxyEdge
    from orchestrator.adapters.haproxy.endpoints import HAProxyEndpoints
    from orchestrator.adapters.haproxy.files import ProxyFiles
    from orchestrator.adapters.haproxy.runtime import Runtime
    from orchestrator.adapters.haproxy.traffic import HAProxyTraffic

    files, runtime = ProxyFiles(folder), Runtime(folder)
    traffic = HAProxyTraffic(files, runtime)
    container = ProxyContainer(DockerHostContainers(client, names), DockerHostImages(client), names, folder)
    return HAProxyEdge(files, runtime, container, traffic), traffic, HAProxyEndpoints(runtime)


def _prober() -> Prober:
    from orchestrator.adapters.http.prober import HttpProber

    return HttpProber()


def _registry(client: Callable[[], DockerClient]) -> Registry:
    from orchestrator.adapters.docker.registry import DockerRegistry

    return DockerRegistry(client)


def _objects(folder: Path) -> Objects:
    from orchestrator.adapters.store.objects import Objects

    return Objects(folder / "store", folder / "models")


def _manifests(folder: Path, objects: Objects) -> Manifests:
    from orchestrator.adapters.store.manifests import StoreManifests

    return StoreManifests(folder, objects, checkouts=folder / "checkouts")


def _models(folder: Path, objects: Objects) -> ModelFiles:
    from orchestrator.adapters.store.model_files import StoreModelFiles

    return StoreModelFiles(folder, objects)


def _tensors(objects: Objects) -> TensorComparison:
    from orchestrator.adapters.store.comparison import StoreTensorComparison

    return StoreTensorComparison(objects)


def _source_control(folder: Path) -> SourceControl:
    from orchestrator.adapters.git.source_control import GitSourceControl

    return GitSourceControl(folder / "checkouts")


def _secrets(folder: Path) -> Secrets:
    from orchestrator.adapters.store.secrets import SecretStore

    return SecretStore(folder / "secrets")


def _notifier() -> Notifier:
    from orchestrator.adapters.apprise.notifier import AppriseNotifier

    return AppriseNotifier()


def _scheduler(host: LocalHost) -> Scheduler:
    from orchestrator.adapters.cron.cron import CronFile, Crontab
    from orchestrator.adapters.systemd.timer import Timer
    from orchestrator.watch.places import SystemScheduler

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
    """The services of one state folder. Creates the folder, but connects to nothing yet.

    Raises:
        UsageError: the folder cannot be created, or is not a folder for deployctl alone.
    """
    folder = prepare_state_folder(folder)
    names = Names.of(str(folder))

    def now() -> str:
        return iso(wall())

    ledger = SqliteLedger(folder / "ledger.db", now=now, lost=lambda: _has_routes(folder))
    client = cache(lambda: _docker(ledger))
    proxy = cache(lambda: _proxy(client, names, folder / "proxy"))

    @cache
    def objects() -> Objects:
        return _objects(folder)

    host = LocalHost()
    services = Services(
        state_dir=folder,
        names=names,
        workloads=cast("Workloads", Late(lambda: _workloads(client, names))),
        access=cast("ContainerAccess", Late(lambda: _access(client, names))),
        images=cast("Images", Late(lambda: _images(client))),
        leftovers=cast("Leftovers", Late(lambda: _leftovers(client, names))),
        registry=cast("Registry", Late(lambda: _registry(client))),
        edge=cast("Edge", Late(lambda: proxy()[0])),
        traffic=cast("Traffic", Late(lambda: proxy()[1])),
        endpoints=cast("Endpoints", Late(lambda: proxy()[2])),
        prober=cast("Prober", Late(_prober)),
        ledger=ledger,
        manifests=cast("Manifests", Late(lambda: _manifests(folder, objects()))),
        models=cast("ModelFiles", Late(lambda: _models(folder, objects()))),
        source_control=cast("SourceControl", Late(lambda: _source_control(folder))),
        tensors=cast("TensorComparison", Late(lambda: _tensors(objects()))),
        secrets=cast("Secrets", Late(lambda: _secrets(folder))),
        locks=FileLocks(folder / "locks", command=command, now=now),
        notifier=cast("Notifier", Late(_notifier)),
        scheduler=cast("Scheduler", Late(lambda: _scheduler(host))),
        host=host,
        reporter=reporter,
        interrupts=interrupts or ProcessInterrupts(),
        command=command,
        wall=wall,
        clock=time.monotonic,
        sleep=time.sleep,
    )
    if boundary is not None:
        services.boundary = boundary
    return services
