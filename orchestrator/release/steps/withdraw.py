"""Withdraw: undoes the registration of an app that was not served before."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.traffic.state import TrafficState
from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Withdraw(Action):
    """Removes the app from the proxy; if it was the only app, removes the proxy."""

    name: ClassVar[str] = "withdraw"

    @property
    def words(self) -> str:
        return "remove the app from the proxy"

    @property
    def leads_to(self) -> TrafficState:
        return TrafficState()

    def run(self, work: Work) -> Detail:
        services = work.services
        with services.locks.proxy():
            services.ledger.remove_proxy_app(work.app)
            others = services.ledger.proxy_apps()
            services.traffic.forget(work.app)
            if not others:
                services.edge.down()
            elif services.edge.state() == "running":
                services.edge.apply(others, services.progress)
        return {}
