"""What the use cases ask about an app's slots, and the one rule that guards the one in use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestrator.domain.rollout.plan import Observed
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import Degraded, DeploymentFailed, OperationFailed, ProxyError
from orchestrator.ports.services import Services


class Slots:
    """The slots of one app, as the engine, the proxy and the ledger see them now."""

    def __init__(self, services: Services, app: str) -> None:
        self.s, self.app = services, app
        # Seen a moment ago, and changed by nothing since: each question costs three round trips to the engine.
        self.seen: tuple[Container, ...] | None = None

    def within(self, slot: Slot) -> list[Container]:
        """All containers in a slot, whatever their version."""
        found = self.s.engine.containers(self.app) if self.seen is None else self.seen
        return [container for container in found if container.slot == slot]

    def of(self, args: dict[str, Any]) -> list[Container]:
        """The containers of a step's version and slot, in order; DeploymentFailed when there are none."""
        found = [c for c in self.within(args["slot"]) if c.version == args["version"]]
        if not found:
            raise DeploymentFailed(
                f"the containers of {args['version']} in {args['slot']} are gone",
                why="somebody removed them meanwhile",
                hint=f"deployctl release {args['version']}",
            )
        return sorted(found, key=lambda container: container.index)

    def spare(self, slot: Slot) -> None:
        """Refuses to go on when the route on disk points at the slot."""
        if self.s.proxy.route(self.app) == slot:
            raise Degraded(
                f"refused to touch {slot} of {self.app}: the route points at it",
                hint="nothing was taken away; run 'deployctl doctor'",
            )

    def last_lines(self, containers: list[Container], count: int) -> str:
        """The end of each container's log, for people."""
        parts = []
        for container in containers:
            try:
                lines = list(self.s.engine.logs(container, tail=count))
            except OperationFailed as error:
                lines = [f"(its log cannot be read: {error})"]
            parts += [f"last lines of {container.name}:", *(f"  {line}" for line in lines)] if lines else []
        # What the model says of itself goes to a terminal and into the ledger: its secrets do not.
        return self.s.secrets.mask(self.app, "\n".join(parts))


def note_cold(services: Services, app: str, observed: Observed | None = None) -> bool:
    """Records a warm version as cold when none of its containers runs any more. True: there was one.

    Without a warm version the engine is not asked: it may be what a deployment failed of.
    """
    found = False
    for slot, state in services.ledger.slots(app).items():
        if state.state != "warm":
            continue
        observed = observed or services.observe(app)
        if not any(container.running for container in observed.of(state.version, slot)):
            services.ledger.set_slot(app, slot, state.version, state.deployment, "cold")
            found = True
    return found


def set_spare(services: Services, app: str, slot: Slot | None) -> None:
    """Names the slot that the proxy turns to by itself (None: none), in the ledger, its file and the running proxy.

    The caller holds the proxy's lock.
    """
    known = services.ledger.proxy_app(app)
    if known is None or known.spare == slot:
        return
    services.ledger.save_proxy_app(replace(known, spare=slot))
    services.proxy.set_spare(app, slot, services.ledger.proxy_apps())


def park(services: Services, app: str, slot: Slot) -> None:
    """Marks a slot as not in use, in the ledger, in the proxy's file and in the running proxy."""
    with services.locks.proxy():
        known = services.ledger.proxy_app(app)
        if known is None or slot not in known.slots:
            return
        spare = None if known.spare == slot else known.spare
        if known.slots[slot].active or spare != known.spare:
            slots = {**known.slots, slot: replace(known.slots[slot], active=False)}
            services.ledger.save_proxy_app(replace(known, slots=slots, spare=spare))
        if services.proxy.state() != "running":
            # What is not running has nothing to forget; it reads the ledger's word when it starts.
            return
        try:
            apps = services.ledger.proxy_apps()
            services.proxy.apply(apps, services.reporter.detail)
            if spare != known.spare:
                services.proxy.set_spare(app, spare, apps)
            services.proxy.park(app, slot)
        except ProxyError as error:
            services.reporter.note(f"the proxy could not park {slot}: {error}")
