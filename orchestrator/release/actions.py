"""What each step does to the world. Every action may be done twice: recovery repeats what it cannot be sure of.

No action takes anything away from the slot that the route on disk points at (`Slots.spare`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.domain.health.probe import Target
from orchestrator.domain.moments import iso
from orchestrator.domain.traffic.route import ProxyApp, SlotEndpoints
from orchestrator.domain.traffic.slot import SLOTS, Slot, other
from orchestrator.errors import ProbeFailed, ProxyError
from orchestrator.ports.old import Order
from orchestrator.release.making import Detail, Making
from orchestrator.release.slots import note_cold, park, set_spare
from orchestrator.supply.tagging import tag

SHOWN_LOG_LINES = 20
KEPT_LOG_LINES = 200
# The proxy's checks begin when the containers start; by the time our probes pass, it needs a moment at most.
_PROXY_PATIENCE = 10.0
_WARM_DEADLINE = 5.0
# After a signal, what is open on the old version gets this long: most requests end by themselves, streams do not.
_HURRY = 1.0


class Actions(Making):
    """The steps of one deployment that touch containers and traffic; those before them are inherited."""

    # Before the switch

    def _vacate(self, args: dict[str, Any]) -> Detail:
        slot: Slot = args["slot"]
        self.slots.spare(slot)
        removed, stopped = [], []
        for container in self.slots.within(slot):
            if container.version == args["version"] and not args.get("spare"):
                self.s.engine.remove(container)
                removed.append(container.name)
            elif container.state in ("running", "paused", "restarting"):
                park(self.s, self.app, slot)
                self.s.engine.stop(container)
                stopped.append(container.name)
        self.s.ledger.clear_slot(self.app, slot)
        return {"removed": removed, "stopped": stopped}

    def _create(self, args: dict[str, Any]) -> Detail:
        slot: Slot = args["slot"]
        version = self._version(args["version"])
        # A release says what the values are to be; a way back also goes by what the version had.
        order: Order = ("source",) if self.plan.kind == "release" else ("source", "copy")
        self.s.secrets.store(self.config, version.name, self.deployment.id, order=order)
        names = []
        self.s.artifacts.restore_snapshot(self.config, version)
        # The engine takes two networks of one name, and then finds neither; and one that nobody is in yet may be
        # removed by another app's undo. The proxy's lock is what all apps of the folder share.
        with self.s.locks.proxy():
            subnet = self.s.engine.ensure_network()
            addresses = self.s.addresses(self.app, slot, args["replicas"], subnet)
            self.s.ledger.set_slot(self.app, slot, version.name, self.deployment.id, "starting")
            for index, address in enumerate(addresses, 1):
                container = self.s.engine.create(
                    self.config,
                    version,
                    slot,
                    index,
                    deployment=self.deployment.id,
                    address=address,
                    settings=self.settings,
                )
                names.append(container.name)
        return {"containers": names}

    def _start(self, args: dict[str, Any]) -> Detail:
        slot: Slot = args["slot"]
        containers = self.slots.of(args)
        self.s.artifacts.restore_snapshot(self.config, self._version(args["version"]))
        self.s.ledger.set_slot(self.app, slot, args["version"], self.deployment.id, "starting")
        for container in containers:
            self.s.engine.start(container)
        return {"containers": [container.name for container in containers]}

    def _join(self, args: dict[str, Any]) -> Detail:
        slot: Slot = args["slot"]
        containers = self.slots.of(args)
        route = self.config.route()
        probe = self.config.probe_spec()
        with self.s.locks.proxy():
            known = self.s.ledger.proxy_app(self.app)
            addresses = tuple(container.address for container in containers)
            backend = SlotEndpoints(args["version"], addresses, probe, active=True)
            if known is None:
                # Both slots from the beginning: the next release finds its servers there and needs no reload.
                away = other(slot)
                subnet = self.s.engine.ensure_network()
                spare = SlotEndpoints("none", self.s.addresses(self.app, away, len(addresses), subnet), probe)
                entry = ProxyApp(self.app, route, {slot: backend, away: spare})
            else:
                entry = replace(known, slots={**known.slots, slot: backend})
            self.s.ledger.save_proxy_app(entry)
            reloaded = self.s.proxy.apply(self.s.ledger.proxy_apps(), self.s.reporter.detail)
            self.s.proxy.activate(self.app, slot, backend)
        return {"addresses": list(addresses), "reloaded": reloaded}

    def _probe(self, args: dict[str, Any]) -> Detail:
        slot: Slot = args["slot"]
        containers = self.slots.of(args)
        spec = self.config.probe_spec()
        if args.get("warm"):
            # The proxy has been asking these containers all the time: one answer of our own is enough.
            spec = replace(spec, successes=1, deadline=min(spec.deadline, _WARM_DEADLINE))
        by_name = {container.name: container for container in containers}
        started = self.s.clock()
        restarts = {container.name: container.restarts for container in containers}

        def alive(target: Target) -> str | None:
            found = self.s.engine.inspect(by_name[target.name].id)
            if found is None:
                return "it was removed"
            if found.restarts > restarts[target.name]:
                return f"it ended with exit code {found.exit_code} and was started again"
            return None if found.running else f"it ended with exit code {found.exit_code}"

        try:
            with self.s.interrupts.interruptible():
                self.s.prober.wait_ready(
                    [Target(container.name, container.address) for container in containers],
                    spec,
                    alive=alive,
                    progress=self.s.reporter.detail,
                    cancelled=self.s.interrupts.check,
                )
                self.s.proxy.wait_up(
                    self.app,
                    slot,
                    len(containers),
                    timeout=_PROXY_PATIENCE,
                    cancelled=self.s.interrupts.check,
                )
        except ProbeFailed as error:
            error.details = self.slots.last_lines(containers, SHOWN_LOG_LINES) or "(its log is empty)"
            error.hint = (
                error.hint or f"mend it and release it again; more of its log: deployctl logs {args['version']}"
            )
            raise
        return {"seconds": round(self.s.clock() - started, 3)}

    def _keep(self, args: dict[str, Any]) -> Detail:
        for container in self.slots.of(args):
            self.s.engine.set_restart(container, "always")
        return {}

    # The switch, and what follows it

    def _switch(self, args: dict[str, Any]) -> Detail:
        slot: Slot = args["slot"]
        bake: float = args.get("bake", 0)
        self.slots.seen = None
        with self.s.locks.proxy():
            self.s.proxy.up(self.s.ledger.proxy_apps(), self.s.reporter.detail)
            if bake:
                set_spare(self.s, self.app, self.plan.from_slot)
            before = self._counters()
            # If the route is there already, a crash came between the switch and its record.
            since = self._switched_before() if self.s.proxy.route(self.app) == slot else None
            self.s.proxy.switch(self.app, slot)
            since = since or iso(self.s.wall())
            if not bake:
                # Only now: until the switch it may be the spare slot that answers.
                set_spare(self.s, self.app, None)
        until = iso(self.s.wall() + timedelta(seconds=bake)) if bake else None
        self.s.ledger.set_slot(
            self.app, slot, args["version"], self.deployment.id, "live", since=since, bake_until=until
        )
        self.s.ledger.mark_live(self.app, args["version"], stable=not bake)
        if self.plan.kind == "auto-rollback" and self.plan.from_version is not None:
            self.s.ledger.mark_bad(self.app, self.plan.from_version, self.deployment.reason)
        self.s.interrupts.disarm()
        return {"counters": before, **({"bake_until": until} if until else {})}

    def _switched_before(self) -> str | None:
        """When an earlier try of this deployment's switch moved the route: as its file says, not before the step."""
        steps = self.s.ledger.steps(self.deployment.id)
        begun = next((step.started_at for step in steps if step.name == "switch"), None)
        written = self.s.proxy.switched_at(self.app)
        if begun is None or written is None:
            return begun
        return max(begun, iso(datetime.fromtimestamp(written, UTC)))

    def _counters(self) -> dict[str, dict[str, list[float]]]:
        """What the proxy has counted for both slots until now: what comes later is the new version's own."""
        try:
            return {
                slot: {
                    worker: [found.requests, found.errors, found.mean]
                    for worker, found in self.s.proxy.samples(self.app, slot).items()
                }
                for slot in SLOTS
            }
        except ProxyError as error:
            # Only a bake goes by it; a switch must not fail of it.
            self.s.reporter.detail(f"the proxy's counters cannot be read: {error}")
            return {}

    def _reroute(self, args: dict[str, Any]) -> Detail:
        route = self.config.route()
        with self.s.locks.proxy():
            for known in self.s.ledger.proxy_apps():
                if known.name == self.app and known.route != route:
                    self.s.ledger.save_proxy_app(replace(known, route=route))
                    self.s.proxy.apply(self.s.ledger.proxy_apps(), self.s.reporter.detail)
                    return {"listen": route.listen}
        return {}

    def _drain(self, args: dict[str, Any]) -> Detail:
        slot: Slot = args["slot"]
        self.slots.spare(slot)
        limit = self.config.proxy.drain
        # A wait that was cut short leaves what is open to the containers, unless these are to be stopped next.
        stays = any(step.name == "retire" and step.args["how"] == "keep warm" for step in self.plan.steps)
        started, told = self.s.clock(), 0.0
        while open_sessions := self.s.proxy.sessions(self.app, slot):
            waited = self.s.clock() - started
            if self.s.interrupts.pending:
                limit = min(limit, 0.0 if stays else waited + _HURRY)
            if waited >= limit:
                break
            if waited >= told + 1:
                told = waited
                self.s.reporter.detail(
                    f"{open_sessions} request(s) still open on {args['version']}, {limit - waited:.0f} s left"
                )
            self.s.sleep(0.02)
        cut = 0
        if open_sessions and not (self.s.interrupts.pending and stays):
            cut = self.s.proxy.cut(self.app, slot)
            when = "when the wait was cut short" if self.s.interrupts.pending else f"at the drain limit of {limit:g} s"
            self.s.reporter.note(f"{cut} request(s) on {args['version']} were cut {when}")
        return {
            "seconds": round(self.s.clock() - started, 3),
            "cut": cut,
            "left": open_sessions - cut if open_sessions else 0,
        }

    def _retire(self, args: dict[str, Any]) -> Detail:
        slot: Slot = args["slot"]
        self.slots.spare(slot)
        if args["how"] == "keep warm":
            until = iso(self.s.wall() + timedelta(seconds=args["keep_warm"]))
            self.s.ledger.set_slot(
                self.app, slot, args["version"], self._slot_deployment(slot), "warm", warm_until=until
            )
            return {"warm_until": until}
        park(self.s, self.app, slot)
        if args["how"] == "remove":
            for container in self.slots.within(slot):
                if container.version == args["version"]:
                    self.s.engine.remove(container)
            self.s.ledger.clear_slot(self.app, slot)
        else:
            self._stop(args)
        return {}

    def _settle(self, args: dict[str, Any]) -> Detail:
        if self.deployment.reason and self.outcome == "succeeded":
            self.reason = self.deployment.reason
        if self.outcome == "succeeded" and self.plan.kind == "release":
            self.s.ledger.record_settings(self.app, self.plan.to_version, self.config.snapshot())
            version = self._version(self.plan.to_version)
            if version.stable_at is not None:  # else it bakes
                tag(self.s, self.config, version.name, version.stable_at)
        if self.plan.to_version not in self.s.ledger.versions(self.app):
            # Its build did not come to an end: no other command would know whose copy of the model folder this is.
            self.s.artifacts.drop_snapshot(self.app, self.plan.to_version)
            self.s.artifacts.collect()
        if self.outcome != "succeeded":
            # Its containers are gone; the copies of earlier deployments stay.
            self.s.secrets.drop(self.app, self.plan.to_version, self.deployment.id)
        note_cold(self.s, self.app)
        self.s.ledger.finish(self.deployment.id, self.outcome, self.reason)
        return {}

    # Undoing

    def _unswitch(self, args: dict[str, Any]) -> Detail:
        with self.s.locks.proxy():
            self.s.proxy.up(self.s.ledger.proxy_apps(), self.s.reporter.detail)
            self.s.proxy.switch(self.app, args["slot"])
            since = iso(self.s.wall())
            set_spare(self.s, self.app, None)
        slot = self.s.ledger.slots(self.app).get(args["slot"])
        if slot is not None and slot.state != "live":
            bake = slot.bake_until  # it was baking itself
            self.s.ledger.set_slot(
                self.app, args["slot"], args["version"], slot.deployment, "live", since=since, bake_until=bake
            )
        return {}

    def _leave(self, args: dict[str, Any]) -> Detail:
        self.slots.spare(args["slot"])
        park(self.s, self.app, args["slot"])
        return {}

    def _withdraw(self, args: dict[str, Any]) -> Detail:
        with self.s.locks.proxy():
            self.s.ledger.remove_proxy_app(self.app)
            apps = self.s.ledger.proxy_apps()
            self.s.proxy.forget(self.app)
            if apps and self.s.proxy.state() == "running":
                self.s.proxy.apply(apps, self.s.reporter.detail)
            elif not apps:
                self.s.proxy.down()
        return {}

    def _remove(self, args: dict[str, Any]) -> Detail:
        self.slots.spare(args["slot"])
        removed = []
        for container in self.slots.within(args["slot"]):
            if container.deployment == self.deployment.id:
                self.s.engine.remove(container)
                removed.append(container.name)
        slot = self.s.ledger.slots(self.app).get(args["slot"])
        if slot is not None and slot.deployment == self.deployment.id:
            self.s.ledger.clear_slot(self.app, args["slot"])
        with self.s.locks.proxy():
            self.s.engine.remove_network_if_unused()
        return {"removed": removed}

    def _stop(self, args: dict[str, Any]) -> Detail:
        self.slots.spare(args["slot"])
        for container in self.slots.within(args["slot"]):
            if container.version == args["version"]:
                self.s.engine.stop(container)
        self.s.ledger.set_slot(self.app, args["slot"], args["version"], self._slot_deployment(args["slot"]), "cold")
        return {}

    def _slot_deployment(self, slot: Slot) -> int:
        found = self.s.ledger.slots(self.app).get(slot)
        return found.deployment if found is not None else self.deployment.id

    def keep_logs(self) -> str:
        """The new containers' last lines, for the ledger: they outlive the containers."""
        found = [c for c in self.slots.within(self.plan.to_slot) if c.deployment == self.deployment.id]
        return self.slots.last_lines(found, KEPT_LOG_LINES)
