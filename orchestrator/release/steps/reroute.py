"""Reroute: updates the app's address, hosts, prefix and limits in the proxy from the configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Reroute(Action):
    """Updates the app's route in the proxy, if it has changed."""

    name: ClassVar[str] = "reroute"

    @property
    def words(self) -> str:
        return "update the route"

    def run(self, work: Work) -> Detail:
        services = work.services
        route = work.config.route()
        with services.locks.proxy():
            known = services.ledger.proxy_app(work.app)
            if known is None or known.route == route:
                return {}
            services.ledger.save_proxy_app(replace(known, route=route))
            services.edge.apply(services.ledger.proxy_apps(), services.progress)
        return {"listen": route.listen}
