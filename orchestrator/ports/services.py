"""All ports in one object, which wiring.py creates. It is never global."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.domain.naming import Names
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.frozen import frozen

if TYPE_CHECKING:
    # Types alone: 24 small files that no command needs to read.
    from orchestrator.ports.container_access import ContainerAccess
    from orchestrator.ports.edge import Edge
    from orchestrator.ports.endpoints import Endpoints
    from orchestrator.ports.host import Host
    from orchestrator.ports.images import Images
    from orchestrator.ports.interrupts import Interrupts
    from orchestrator.ports.ledger import Ledger
    from orchestrator.ports.leftovers import Leftovers
    from orchestrator.ports.locks import Locks
    from orchestrator.ports.manifests import Manifests
    from orchestrator.ports.model_files import ModelFiles
    from orchestrator.ports.notifier import Notifier
    from orchestrator.ports.prober import Prober
    from orchestrator.ports.progress import Progress, Reporter
    from orchestrator.ports.registry import Registry
    from orchestrator.ports.scheduler import Scheduler
    from orchestrator.ports.secrets import Secrets
    from orchestrator.ports.source_control import SourceControl
    from orchestrator.ports.tensors import TensorComparison
    from orchestrator.ports.traffic import Traffic
    from orchestrator.ports.workloads import Workloads


@dataclass
class Services:
    """The ports that use cases work with. `wall` is the time of day, `clock` a monotonic clock in seconds."""

    state_dir: Path
    names: Names
    workloads: Workloads
    access: ContainerAccess
    images: Images
    leftovers: Leftovers
    registry: Registry
    edge: Edge
    traffic: Traffic
    endpoints: Endpoints
    prober: Prober
    ledger: Ledger
    manifests: Manifests
    models: ModelFiles
    source_control: SourceControl
    tensors: TensorComparison
    secrets: Secrets
    locks: Locks
    notifier: Notifier
    scheduler: Scheduler
    host: Host
    reporter: Reporter
    interrupts: Interrupts
    command: str
    wall: Callable[[], datetime]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    # Called before and after each journaled step: tests crash here.
    boundary: Callable[[str, str], None] = field(default=lambda when, step: None)

    @property
    def progress(self) -> Progress:
        """What long work in an adapter reports to, and how it learns that it must stop."""
        return _Progress(self.reporter, self.interrupts)

    def live(self, app: str) -> SlotState | None:
        """The slot whose version is live according to the ledger; None without one. Does not ask the engine."""
        slot = self.ledger.traffic(app).live
        return self.ledger.slots(app).get(slot) if slot is not None else None

    def actor(self, folder: Path) -> str:
        """Who runs this command: Git's user, else the login name."""
        return self.source_control.user(folder) or self.host.user()


@frozen
class _Progress:
    reporter: Reporter
    interrupts: Interrupts

    def detail(self, text: str) -> None:
        self.reporter.detail(text)

    def update(self, text: str) -> None:
        self.reporter.update(text)

    def check(self) -> None:
        self.interrupts.check()
