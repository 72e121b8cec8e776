"""Random sequences of commands that succeed, fail or crash at any point, and of changes by users.

The promises of deployctl are checked after every step. Every run tests the same generated cases.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.domain.naming import next_version
from orchestrator.domain.traffic.sample import Sample
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version.lineage import rollback_target
from orchestrator.domain.version.version import Version
from orchestrator.errors import (
    Degraded,
    DeployctlError,
    DeploymentFailed,
    EngineError,
    OperationFailed,
    ProbeFailed,
    ProxyError,
    UsageError,
)
from orchestrator.release.recover import recover
from orchestrator.release.retention import prune
from tests.chaos import FULL
from tests.fakes.world import APP, Crash, Faults, World
from tests.unit.builders import REGISTRY
from tests.unit.stage import FOLDER, Stage

# Two state machines, which pytest-xdist runs in parallel. `scripts/chaos FILE` runs more examples.
EXAMPLES = 500 if FULL else 50
SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
DAY = 86400.0
# The error that each port raises when it fails.
ERRORS: dict[str, type[DeployctlError]] = {
    "workloads": EngineError,
    "access": EngineError,
    "images": EngineError,
    "edge": ProxyError,
    "traffic": ProxyError,
    "endpoints": ProxyError,
    "prober": ProbeFailed,
    "ledger": DeploymentFailed,
}


@dataclass(frozen=True)
class Failure:
    """A failure during a command: at call number `at`, or at record number `at` of its journal."""

    kind: Literal["error", "crash", "crash at a record"]
    at: int
    after: bool = False


# A command makes about sixty calls and thirty records; with a larger number nothing happens.
failures = st.one_of(
    st.none(),
    st.builds(Failure, st.sampled_from(["error", "crash"]), st.integers(0, 80), st.booleans()),
    st.builds(Failure, st.just("crash at a record"), st.integers(0, 36)),
)
names = st.integers(1, 6).map(lambda number: f"v{number}")


def nothing(world: World) -> None:
    world.versions = 3


@functools.cache
def four_versions(replicas: int, keep_warm: str) -> Callable[[World], None]:
    def before(world: World) -> None:
        nothing(world)
        world.replicas, world.keep_warm = replicas, keep_warm
        for number in range(1, 5):
            world.release(f"v{number}")
            assert world.served() == f"v{number}"

    return before


@functools.cache
def stage() -> Stage:
    folder = TemporaryDirectory(dir=FOLDER)
    atexit.register(folder.cleanup)
    return Stage(Path(folder.name))


class PortFaults(Faults):
    """Faults that raise the error that the port itself would raise."""

    def raised(self, name: str) -> BaseException | None:
        if not isinstance(self.error, DeployctlError):
            return self.error
        kind = ERRORS.get(name.partition(".")[0])
        return kind(f"{name} failed") if kind else None


class AppMachine(RuleBasedStateMachine):
    """One app, the commands on it, and the changes that users make."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(nothing)
        # The versions that have answered requests, and those whose image or model files a user has removed.
        self.has_served: set[str] = set()
        self.gone: set[str] = set()
        # During a command: the live slot with its running containers, and the broken promises.
        self.running: tuple[Slot | None, set[str]] = (None, set())
        self.promised = False
        self.broken: list[str] = []
        self.records = 0
        self.crash_at: int | None = None

    def begin(self, before: Callable[[World], None]) -> None:
        """Starts with a world that `before` has set up."""
        self.world = stage().world(before)
        self.world.faults = PortFaults()
        self.world.faults.watch = self.watch
        self.world.boundary = self.record
        # The current services still use the previous faults.
        self.world.process()

    def teardown(self) -> None:
        stage().clear()

    # --- commands --------------------------------------------------------------------------------------------------

    @rule(failure_at=failures, flaw=st.sampled_from([None, None, None, "broken", "exits", "unready"]))
    def release_the_next(self, failure_at: Failure | None, flaw: str | None) -> None:
        self.release(next_version(list(self.versions())), failure_at, flaw)

    @rule(name=names, failure_at=failures, flaw=st.sampled_from([None, None, "broken", "unready"]))
    def release_by_name(self, name: str, failure_at: Failure | None, flaw: str | None) -> None:
        self.release(name, failure_at, flaw)

    @rule(name=names, failure_at=failures)
    def release_changed(self, name: str, failure_at: Failure | None) -> None:
        known = self.versions().get(name)
        done = self.command(lambda: self.world.release(name, context="sha256:changed"), failure_at)
        if done is not None and known is not None and known.live_at:
            assert known.manifest == "sha256:changed", f"{name} was live, and was built again from other files"

    @rule(failure_at=failures, unready=st.sampled_from([False, False, True]))
    def roll_back(self, failure_at: Failure | None, unready: bool) -> None:
        self.rollback(None, failure_at, unready)

    @rule(name=names, failure_at=failures, unready=st.sampled_from([False, False, True]))
    def roll_back_to(self, name: str, failure_at: Failure | None, unready: bool) -> None:
        self.rollback(name, failure_at, unready)

    @rule(limit=st.integers(1, 4), failure_at=failures)
    def prune_by_hand(self, limit: int, failure_at: Failure | None) -> None:
        def run() -> Any:
            services = self.world.process()
            with services.locks.app(APP):
                recover(services, APP)
                return prune(services, APP, limit)

        self.command(run, failure_at)

    @rule()
    def recover_all(self) -> None:
        self.command(self.world.recover, None)

    @rule(failure_at=failures)
    def recover_with_a_failure(self, failure_at: Failure | None) -> None:
        self.command(self.world.recover, failure_at)

    @precondition(lambda self: APP in self.world.ledger.apps())
    @rule(failure_at=failures)
    def watch_it(self, failure_at: Failure | None) -> None:
        # A pass waits between two repairs; then `waiting` says so.
        self.command(self.world.watch, failure_at, resting=lambda passed: not passed.waiting and not passed.problems)

    # --- changes by users, and time --------------------------------------------------------------------------------

    @rule(
        replicas=st.integers(1, 3),
        keep_warm=st.sampled_from(["0s", "10m"]),
        versions=st.integers(2, 4),
        bake=st.sampled_from(["0s", "2m"]),
        level=st.sampled_from(["info", "debug"]),
        port=st.sampled_from([8000, 8000, 8999]),
        registry=st.booleans(),
    )
    def configure(
        self, replicas: int, keep_warm: str, versions: int, bake: str, level: str, port: int, registry: bool
    ) -> None:
        self.world.replicas, self.world.keep_warm, self.world.versions = replicas, keep_warm, versions
        self.world.bake = bake
        self.world.more = f'[registry]\npush = "{REGISTRY}"\n' if registry else ""
        self.world.env, self.world.listen = f'LEVEL = "{level}"', f"127.0.0.1:{port}"

    @precondition(lambda self: self.world.workloads.containers())
    @rule(which=st.integers(0, 11), removed=st.booleans())
    def lose_a_container(self, which: int, removed: bool) -> None:
        containers = self.world.workloads.containers()
        container = containers[which % len(containers)]
        if removed:
            self.world.workloads.remove(container)
        elif container.running:
            self.world.engine.change(container, state="exited", exit_code=137)

    @precondition(lambda self: self.world.engine.images)
    @rule(which=st.integers(0, 5))
    def lose_an_image(self, which: int) -> None:
        images = sorted(self.world.engine.images)
        del self.world.engine.images[images[which % len(images)]]
        self.gone = self.incomplete()

    @precondition(lambda self: self.world.live() is not None)
    @rule(requests=st.sampled_from([10, 1000]), share=st.sampled_from([0.0, 0.0, 0.5]))
    def answer_requests(self, requests: int, share: float) -> None:
        live = self.world.live()
        assert live is not None
        counted = self.world.proxy.counted
        before = counted.get((APP, live[1]), Sample(0, 0, 0, {}))
        counted[APP, live[1]] = Sample(before.requests + requests, before.failures + int(requests * share), 0, {})

    @rule()
    def lose_the_proxy(self) -> None:
        self.world.edge.down()

    @rule()
    def lose_the_routes(self) -> None:
        self.world.proxy.disk.clear()

    @rule(seconds=st.sampled_from([1.0, 121.0, 599.0, 601.0, DAY, -DAY]))
    def change_the_clock(self, seconds: float) -> None:
        self.world.time += seconds

    # --- invariants ------------------------------------------------------------------------------------------------

    @invariant()
    def one_deployment_at_a_time(self) -> None:
        history = self.world.ledger.deployments(APP, -1)
        unfinished = [deployment.id for deployment in history if deployment.outcome is None]
        assert len(unfinished) <= 1
        assert unfinished in ([], [history[0].id] if history else []), "only the last deployment can be unfinished"

    @invariant()
    def the_route_points_at_a_version_that_has_served(self) -> None:
        self.world.live()
        slot = self.world.traffic.on_disk(APP).live
        if slot is None:
            return
        inside = self.world.ledger.slots(APP).get(slot)
        assert inside is not None, f"the route points at {slot}, which is empty in the ledger"
        unfinished = self.world.ledger.open_deployment(APP)
        if inside.state != "ready":
            assert unfinished is not None, f"the route points at {inside}"
            assert slot in (unfinished.to_slot, unfinished.from_slot)
        assert inside.version in self.has_served, f"the route points at {inside}, which never served"

    @invariant()
    def every_version_recorded_as_live_has_served(self) -> None:
        for version in self.versions().values():
            if version.live_at or version.stable_at:
                assert version.name in self.has_served, version

    @invariant()
    def the_ledger_knows_every_container(self) -> None:
        versions = self.versions()
        for container in self.world.workloads.containers():
            assert container.version in versions, container

    @invariant()
    def the_rollback_target_is_kept(self) -> None:
        live = self.world.live()
        back = rollback_target(self.versions(), live[0] if live else None)
        gone = self.incomplete()
        if back is not None:
            assert back.live_at, f"{back} was never live"
            assert back.name not in gone - self.gone, f"the rollback target {back.name} was removed"
        assert live is None or live[0] not in gone - self.gone, f"the image of {live} was removed"
        self.gone = gone

    # --- inside ----------------------------------------------------------------------------------------------------

    def versions(self) -> Mapping[str, Version]:
        return self.world.ledger.versions(APP)

    def incomplete(self) -> set[str]:
        """The versions that lack their image or their model files, or are recorded as pruned."""
        return {
            version.name
            for version in self.versions().values()
            if version.pruned_at
            or self.world.images.find(version.image_id) is None
            or (APP, version.name) not in self.world.supply.kept
        }

    def release(self, name: str, failure_at: Failure | None, flaw: str | None) -> None:
        world, known = self.world, self.versions().get(name)
        if flaw == "exits" and name in self.has_served:
            flaw = "unready"
        flawed = {"broken": world.engine.broken_builds, "exits": world.engine.exits, "unready": world.prober.unready}
        if flaw:
            flawed[flaw].add(name)
        done = self.command(lambda: world.release(name), failure_at, flawed=bool(flaw))
        for versions in flawed.values():
            versions.clear()
        if done is None:
            return
        assert (done.version, world.served()) == (name, name)
        if done.deployment is not None:
            assert flaw not in ("exits", "unready"), f"{name} went live without being ready"
            assert flaw != "broken" or (known is not None and known.live_at), f"{name} went live without being built"

    def rollback(self, name: str | None, failure_at: Failure | None, unready: bool) -> None:
        world, versions, served = self.world, self.versions(), set(self.has_served)
        live = world.live()
        rest = world.ledger.open_deployment(APP) is None
        target = name
        if name is None and (back := rollback_target(versions, live[0] if live else None)):
            target = back.name
        if unready and target:
            world.prober.unready.add(target)
        done = self.command(lambda: world.rollback(name), failure_at, flawed=unready)
        world.prober.unready.clear()
        if done is not None:
            assert not (unready and done.version == target), f"{target} went live without being ready"
            assert done.version in served, f"{done.version} was never live, but was the target of a rollback"
            assert done.version == target or not rest
            assert world.served() == done.version

    def command(
        self,
        run: Callable[[], Any],
        failure_at: Failure | None,
        *,
        flawed: bool = False,
        resting: Callable[[Any], bool] = lambda done: True,
    ) -> Any:
        """Runs a command in a new process; returns its result, None when it failed or crashed.

        Checks what a command must never do; without a failure the app must be at rest afterwards.
        """
        world = self.world
        before = world.served()
        unfinished = world.ledger.open_deployment(APP)
        rest = unfinished is None
        switched = unfinished is not None and world.traffic.on_disk(APP).live == unfinished.to_slot
        # A version that serves must continue to serve, if the file and the running proxy agree. Otherwise they must
        # be repaired first.
        self.promised = before is not None and world.proxy.running == world.proxy.disk
        self.running, self.broken = (None, set()), []
        self.watch("the start")
        self.arm(failure_at)
        done = failure = None
        try:
            done = run()
        except Crash:
            return None
        except DeployctlError as error:
            failure = error
        finally:
            fired = self.disarm()
            assert not self.broken, self.broken
        if failure is not None:
            assert isinstance(failure, UsageError | OperationFailed | Degraded), repr(failure)
            assert fired or isinstance(failure, UsageError) or (flawed and failure.exit_code == 3), repr(failure)
            if failure.exit_code != 4 and self.promised:
                assert world.served() == before, f"{before} served before, {world.served()} does now: {failure!r}"
            left = world.ledger.open_deployment(APP)
            if failure.exit_code != 4 and rest and left is not None:
                # Its first record was written, but the call failed afterwards.
                assert not world.ledger.steps(left.id), f"{failure!r} did not end {left}"
        if not fired and (failure is not None or resting(done)):
            self.at_rest()
        if not fired and unfinished is not None and switched:
            settled = world.ledger.deployment(APP, unfinished.id)
            assert settled is not None and settled.outcome == "succeeded", f"{settled} was switched, and then undone"
        return done

    def at_rest(self) -> None:
        """Ledger, files, proxy and containers agree, and a recovery has nothing to do."""
        world, ledger = self.world, self.world.ledger
        assert ledger.open_deployment(APP) is None
        live, slots, versions = world.live(), ledger.slots(APP), self.versions()
        containers = world.workloads.containers()
        assert world.proxy.disk == ({APP: ledger.traffic(APP)} if live else {})
        if live is None:
            assert not world.proxy.running
            assert ledger.proxy_apps() == []
        else:
            assert world.proxy.running == world.proxy.disk
            (entry,) = ledger.proxy_apps()
            assert (entry.slots[live[1]].version, entry.slots[live[1]].active) == (live[0], True)
            # Removed containers of the live version are not recreated before the next release.
            assert world.served() == (live[0] if any((c.version, c.slot) == live for c in containers) else None)
        for inside in slots.values():
            version = versions[inside.version]
            assert not (inside.state == "ready" and not version.stable_at and not inside.baking), f"{inside} never ends"
        fallback = ledger.traffic(APP).fallback
        # The fallback is always a warm version.
        if fallback is not None:
            assert slots[fallback].state == "warm", (fallback, slots)
        for container in containers:
            inside = slots.get(container.slot)
            ours = inside is not None and inside.version == container.version
            if live == (container.version, container.slot):
                assert (container.state, container.kept_running) == ("running", True), container
            assert not container.running or (ours and inside and inside.state in ("ready", "warm")), (container, slots)
            assert not versions[container.version].pruned_at, f"{container} was not removed by retention"
        for slot, inside in slots.items():
            assert inside.state in ("ready", "warm", "cold"), inside
            if inside.state == "warm":
                assert any(c.running and (c.version, c.slot) == (inside.version, slot) for c in containers), inside
        history = ledger.deployments(APP, -1)
        if history:
            last = history[0]
            made = (
                (last.to_version, last.to_slot) if last.outcome == "succeeded" else (last.from_version, last.from_slot)
            )
            assert (live or (None, None)) == made, f"{live} is live after {last}"
            undone = {d.id for d in history if d.outcome != "succeeded"}
            assert not [c for c in containers if c.deployment in undone], "an undone deployment left containers"
        facts = world.facts()
        again = world.recover()
        assert not again.anything, again
        assert world.facts() == facts

    def arm(self, failure_at: Failure | None) -> None:
        self.records, self.crash_at = 0, None
        self.world.faults.arm(None)
        if failure_at is None:
            return
        if failure_at.kind == "crash at a record":
            self.crash_at = failure_at.at
        else:
            error = Crash() if failure_at.kind == "crash" else EngineError("armed")
            self.world.faults.arm(failure_at.at, error, after=failure_at.after)

    def disarm(self) -> bool:
        """True: the failure has happened."""
        faults = self.world.faults
        fired = faults.at is not None and len(faults.calls) > faults.at
        fired = fired or (self.crash_at is not None and self.records > self.crash_at)
        faults.arm(None)
        self.crash_at = None
        self.promised = self.promised and not self.broken
        return fired

    def record(self, when: str, step: str) -> None:
        self.records += 1
        if self.crash_at == self.records - 1:
            raise Crash

    def watch(self, call: str) -> None:
        """Checks after each call that a version serves and that its containers are not stopped."""
        world = self.world
        served, slot = world.served(), world.traffic.on_disk(APP).live
        if served is not None:
            self.has_served.add(served)
        elif self.promised:
            self.broken.append(f"no version served after {call}")
        running = {c.id for c in world.workloads.containers(APP) if c.running and c.slot == slot}
        if slot is not None and slot == self.running[0] and not self.running[1] <= running:
            self.broken.append(f"{call} stopped a container in {slot}, which the route points at")
        self.running = (slot, running)


class FromNothing(AppMachine):
    """Sequences that begin with an empty state folder."""


class WithHistory(AppMachine):
    """Sequences that begin with four versions, one of them warm, so that more can be rolled back and pruned."""

    @initialize(replicas=st.integers(1, 2), keep_warm=st.sampled_from(["0s", "10m"]))
    def four_releases(self, replicas: int, keep_warm: str) -> None:
        self.begin(four_versions(replicas, keep_warm))
        self.has_served = {"v1", "v2", "v3", "v4"}


TestFromNothing = FromNothing.TestCase
TestFromNothing.settings = SETTINGS
TestWithHistory = WithHistory.TestCase
TestWithHistory.settings = SETTINGS
