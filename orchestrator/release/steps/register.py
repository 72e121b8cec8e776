"""Register: registers a version's containers with the proxy."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.traffic.route import ProxyApp, SlotEndpoints
from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen
from orchestrator.release.probes import probe_of
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.unregister import Unregister
from orchestrator.release.steps.withdraw import Withdraw
from orchestrator.release.work import Detail, Work


@frozen
class Register(Action):
    """Registers the containers of a version with the proxy. It moves no traffic.

    The proxy begins to check the containers when they are ready (see `Probe`), and those of a warm version at once.
    """

    name: ClassVar[str] = "register"
    version: str
    slot: Slot

    @property
    def words(self) -> str:
        return f"register {self.slot} with the proxy"

    def undo(self, plan: Plan) -> Step | None:
        if plan.from_slot is None:
            return Withdraw()
        # A warm version was registered before and stays registered.
        return None if plan.mode == "switch" else Unregister(self.slot)

    def run(self, work: Work) -> Detail:
        services = work.services
        containers = work.containers(self.version, self.slot)
        if not all(container.address for container in containers):
            work.reconnect(containers)
            containers = work.containers(self.version, self.slot)
        addresses = tuple(container.address for container in containers)
        warm = work.plan.mode == "switch"
        with services.locks.proxy():
            known = services.ledger.proxy_app(work.app) or ProxyApp(work.app, work.config.route(), {})
            endpoints = SlotEndpoints(
                self.version,
                addresses,
                self._probe(work, known, warm=warm),
                # While a version starts, only the probes ask it, so that it is not asked more often than configured.
                active=warm,
                port=work.config.port,
                # As the other version does: a difference would need a reload of the proxy.
                closing=all(slot.closing for slot in known.slots.values()),
            )
            services.ledger.save_proxy_app(replace(known, slots={**known.slots, self.slot: endpoints}))
            reloaded = services.edge.apply(services.ledger.proxy_apps(), services.progress)
            if warm:
                services.endpoints.register(work.app, self.slot, endpoints)
            else:
                services.endpoints.park(work.app, self.slot)
        return {"addresses": list(addresses), "reloaded": reloaded}

    def _probe(self, work: Work, known: ProxyApp, *, warm: bool) -> ProbeSpec:
        """How the proxy checks the containers. Before it begins to, `Probe` finds out at which path they answer."""
        if warm:
            return probe_of(work.services, work.app, self.slot, self.version, work.config)
        spec = work.config.probe_spec()
        others = [endpoints.probe.path for slot, endpoints in known.slots.items() if slot != self.slot]
        # Most likely where the other version does, and then nothing needs a reload.
        return spec.at(next((path for path in others if path in spec.paths), spec.path))
