"""What every use case works with, in one place; made by wiring.py, never global."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from orchestrator.domain.naming import Names, address, block_count
from orchestrator.domain.rollout.plan import Observed
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.errors import LedgerDamaged
from orchestrator.ports.interrupts import Interrupts
from orchestrator.ports.old import Artifacts, Engine, Ledger, Locks, Notifier, Prober, Proxy, Scheduler, Secrets

if TYPE_CHECKING:
    from orchestrator.config import Config
    from orchestrator.domain.version.version import GitState, Version
    from orchestrator.ports.source_control import SourceControl


class Reporter(Protocol):
    """Where progress goes: `step` for what begins, `detail` for what happens in it, `note` for what to know."""

    def step(self, text: str) -> None: ...
    def detail(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...


class _OldSourceControl:
    """The part of the old port `Artifacts` that is `SourceControl` now."""

    def __init__(self, artifacts: Artifacts) -> None:
        self._artifacts = artifacts

    def state(self, config: Config) -> GitState:
        return self._artifacts.git(config)

    def checkout(self, config: Config, version: Version, weights: Path | None) -> AbstractContextManager[Config]:
        return self._artifacts.checkout(config, version)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._artifacts, name)


@dataclass
class Services:
    """The outside, behind ports. `wall` is for people and for keep_warm, `clock` for durations."""

    state_dir: Path
    names: Names
    engine: Engine
    proxy: Proxy
    prober: Prober
    ledger: Ledger
    artifacts: Artifacts
    secrets: Secrets
    locks: Locks
    notifier: Notifier
    scheduler: Scheduler
    reporter: Reporter
    interrupts: Interrupts
    command: str
    wall: Callable[[], datetime]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    os_user: Callable[[], str]
    # Called before and after each journaled step: tests crash here.
    boundary: Callable[[str, str], None] = lambda when, step: None

    @property
    def source_control(self) -> SourceControl:
        """The new port over the old one."""
        return cast("SourceControl", _OldSourceControl(self.artifacts))

    def live(self, app: str) -> SlotState | None:
        """The slot that the ledger calls live; None when nothing is. Asks the engine nothing."""
        return next((slot for slot in self.ledger.slots(app).values() if slot.state == "live"), None)

    def observe(self, app: str) -> Observed:
        """What ledger and engine say of an app now."""
        versions = self.ledger.versions(app)
        return Observed(
            app=app,
            versions=versions,
            slots=self.ledger.slots(app),
            containers=self.engine.containers(app) if versions or self.ledger.open_deployment(app) else (),
            image_there=lambda image_id: self.engine.image_id(image_id) is not None,
        )

    def refuse_strangers(self, observed: Observed) -> None:
        """Containers of an app that the ledger has never heard of mean that it is not the ledger that made them.

        Raises:
            LedgerDamaged: there are some.
        """
        if observed.versions or observed.containers:
            return
        found = self.engine.containers(observed.app)
        if found:
            why = f"it knows nothing of {observed.app}, but {found[0].name} is there"
            raise LedgerDamaged(str(self.state_dir / "ledger.db"), why)

    def addresses(self, app: str, slot: Slot, count: int, subnet: str) -> tuple[str, ...]:
        """The fixed addresses of a slot's first `count` replicas."""
        block = self.ledger.app_block(app, block_count(subnet))
        return tuple(address(subnet, block, slot, index) for index in range(1, count + 1))

    def actor(self, folder: Path) -> str:
        """Who is doing this: Git's user, else the login name."""
        return self.artifacts.user(folder) or self.os_user()
