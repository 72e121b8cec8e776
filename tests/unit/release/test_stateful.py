"""Random lives of one app: commands that succeed, fail and die anywhere, and people who meddle with what runs.

After every step the world is held to what the product promises, whatever came before. The cases are drawn anew from
nothing in every run, and are the same in every run.
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
    ProbeFailed,
    ProxyError,
    UsageError,
)
from orchestrator.release.recover import recover
from orchestrator.release.retention import prune
from tests.fakes.world import APP, Crash, Faults, World
from tests.unit.builders import REGISTRY
from tests.unit.stage import FOLDER, Stage

# Two machines of 500 lives each, which pytest-xdist runs side by side.
SETTINGS = settings(
    max_examples=500,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
DAY = 86400.0
# What each port raises when it fails; the artifacts are files, and no call of theirs comes after a change.
ERRORS: dict[str, type[DeployctlError]] = {
    "engine": EngineError,
    "proxy": ProxyError,
    "prober": ProbeFailed,
    "ledger": DeploymentFailed,
}


@dataclass(frozen=True)
class Trouble:
    """What happens in the middle of a command: at its call number `at`, or at a record of its journal."""

    kind: Literal["error", "crash", "crash at a record"]
    at: int
    after: bool = False


# A command makes some sixty calls and thirty records; a number beyond them means: no trouble.
troubles = st.one_of(
    st.none(),
    st.builds(Trouble, st.sampled_from(["error", "crash"]), st.integers(0, 80), st.booleans()),
    st.builds(Trouble, st.just("crash at a record"), st.integers(0, 36)),
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
    """Faults whose error is the one that the port itself would raise."""

    def around(self, name: str, call: Callable[[], Any]) -> Any:
        if isinstance(self.error, DeployctlError):
            kind = ERRORS.get(name.partition(".")[0])
            self.error = kind(f"{name} failed") if kind else None
            found = super().around(name, call)
            self.error = EngineError("armed")
            return found
        return super().around(name, call)


class Life(RuleBasedStateMachine):
    """One app, and what may happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(nothing)
        # What was ever seen to answer requests, and what of a version somebody may have taken away.
        self.has_served: set[str] = set()
        self.gone: set[str] = set()
        # During a command: the route and what ran behind it, and what was not kept.
        self.behind: tuple[Slot | None, set[str]] = (None, set())
        self.promised = False
        self.broken: list[str] = []
        self.records = 0
        self.crash_at: int | None = None

    def begin(self, before: Callable[[World], None]) -> None:
        """Starts in a world as `before` sets it up."""
        self.world = stage().world(before)
        self.world.faults = PortFaults()
        self.world.faults.watch = self.watch
        self.world.boundary = self.record
        # Its services count the calls with the faults that there were before.
        self.world.process()

    def teardown(self) -> None:
        stage().clear()

    # --- commands --------------------------------------------------------------------------------------------------

    @rule(trouble=troubles, flaw=st.sampled_from([None, None, None, "broken", "exits", "unready"]))
    def release_the_next(self, trouble: Trouble | None, flaw: str | None) -> None:
        self.release(next_version(list(self.versions())), trouble, flaw)

    @rule(name=names, trouble=troubles, flaw=st.sampled_from([None, None, "broken", "unready"]))
    def release_by_name(self, name: str, trouble: Trouble | None, flaw: str | None) -> None:
        self.release(name, trouble, flaw)

    @rule(name=names, trouble=troubles)
    def release_changed(self, name: str, trouble: Trouble | None) -> None:
        known = self.versions().get(name)
        done = self.command(lambda: self.world.release(name, context="sha256:changed"), trouble)
        if done is not None and known is not None and known.live_at:
            assert known.manifest == "sha256:changed", f"{name} was live, and was made anew from something else"

    @rule(trouble=troubles, unready=st.sampled_from([False, False, True]))
    def roll_back(self, trouble: Trouble | None, unready: bool) -> None:
        self.rollback(None, trouble, unready)

    @rule(name=names, trouble=troubles, unready=st.sampled_from([False, False, True]))
    def roll_back_to(self, name: str, trouble: Trouble | None, unready: bool) -> None:
        self.rollback(name, trouble, unready)

    @rule(limit=st.integers(1, 4), trouble=troubles)
    def prune_by_hand(self, limit: int, trouble: Trouble | None) -> None:
        def run() -> Any:
            services = self.world.process()
            with services.locks.app(APP):
                recover(services, APP)
                return prune(services, APP, limit)

        self.command(run, trouble)

    @rule()
    def recover_all(self) -> None:
        self.command(self.world.recover, None)

    @rule(trouble=troubles)
    def recover_in_trouble(self, trouble: Trouble | None) -> None:
        self.command(self.world.recover, trouble)

    @precondition(lambda self: APP in self.world.ledger.apps())
    @rule(trouble=troubles)
    def watch_it(self, trouble: Trouble | None) -> None:
        # A pass leaves time between two attempts to mend: then it says what it waits for.
        self.command(self.world.watch, trouble, resting=lambda passed: not passed.waiting and not passed.problems)

    # --- people, and time ------------------------------------------------------------------------------------------

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
        found = self.world.workloads.containers()
        container = found[which % len(found)]
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
        before = counted.get((APP, live[1]), Sample(0, 0, 0.01))
        counted[APP, live[1]] = Sample(before.requests + requests, before.errors + int(requests * share), 0.01)

    @rule()
    def lose_the_proxy(self) -> None:
        self.world.edge.down()

    @rule()
    def lose_the_routes(self) -> None:
        self.world.proxy.disk.clear()

    @rule(seconds=st.sampled_from([1.0, 121.0, 599.0, 601.0, DAY, -DAY]))
    def change_the_clock(self, seconds: float) -> None:
        self.world.time += seconds

    # --- what holds at every moment --------------------------------------------------------------------------------

    @invariant()
    def one_deployment_at_a_time(self) -> None:
        history = self.world.ledger.deployments(APP, -1)
        unfinished = [deployment.id for deployment in history if deployment.outcome is None]
        assert len(unfinished) <= 1
        assert unfinished in ([], [history[0].id] if history else []), "only the last one can be unfinished"

    @invariant()
    def the_route_points_at_what_was_found_good(self) -> None:
        self.world.live()
        slot = self.world.traffic.on_disk(APP).live
        if slot is None:
            return
        inside = self.world.ledger.slots(APP).get(slot)
        assert inside is not None, f"the route points at {slot}, where the ledger knows nothing"
        unfinished = self.world.ledger.open_deployment(APP)
        if inside.state != "ready":
            assert unfinished is not None, f"the route points at {inside}"
            assert slot in (unfinished.to_slot, unfinished.from_slot)
        assert inside.version in self.has_served, f"the route points at {inside}, which nobody was seen to serve"

    @invariant()
    def who_is_called_live_has_served(self) -> None:
        for version in self.versions().values():
            if version.live_at or version.stable_at:
                assert version.name in self.has_served, version

    @invariant()
    def the_ledger_knows_every_container(self) -> None:
        versions = self.versions()
        for container in self.world.workloads.containers():
            assert container.version in versions, container

    @invariant()
    def the_way_back_is_left_alone(self) -> None:
        live = self.world.live()
        back = rollback_target(self.versions(), live[0] if live else None)
        gone = self.incomplete()
        if back is not None:
            assert back.live_at, f"{back} was never live"
            assert back.name not in gone - self.gone, f"the way back to {back.name} was taken away"
        assert live is None or live[0] not in gone - self.gone, f"the image of {live} was taken away"
        self.gone = gone

    # --- inside ----------------------------------------------------------------------------------------------------

    def versions(self) -> Mapping[str, Version]:
        return self.world.ledger.versions(APP)

    def incomplete(self) -> set[str]:
        """The versions that lack their image or their copy of the model folder, or are said to."""
        return {
            version.name
            for version in self.versions().values()
            if version.pruned_at
            or self.world.images.find(version.image_id) is None
            or (APP, version.name) not in self.world.supply.kept
        }

    def release(self, name: str, trouble: Trouble | None, flaw: str | None) -> None:
        world, known = self.world, self.versions().get(name)
        if flaw == "exits" and name in self.has_served:
            flaw = "unready"
        flawed = {"broken": world.engine.broken_builds, "exits": world.engine.exits, "unready": world.prober.unready}
        if flaw:
            flawed[flaw].add(name)
        done = self.command(lambda: world.release(name), trouble, flawed=bool(flaw))
        for versions in flawed.values():
            versions.clear()
        if done is None:
            return
        assert (done.version, world.served()) == (name, name)
        if done.deployment is not None:
            assert flaw not in ("exits", "unready"), f"{name} went live without being ready"
            assert flaw != "broken" or (known is not None and known.live_at), f"{name} went live without being built"

    def rollback(self, name: str | None, trouble: Trouble | None, unready: bool) -> None:
        world, versions, served = self.world, self.versions(), set(self.has_served)
        live = world.live()
        rest = world.ledger.open_deployment(APP) is None
        wanted = name
        if name is None and (back := rollback_target(versions, live[0] if live else None)):
            wanted = back.name
        if unready and wanted:
            world.prober.unready.add(wanted)
        done = self.command(lambda: world.rollback(name), trouble, flawed=unready)
        world.prober.unready.clear()
        if done is not None:
            assert not (unready and done.version == wanted), f"{wanted} went live without being ready"
            assert done.version in served, f"{done.version} was never live, and was rolled back to"
            assert done.version == wanted or not rest
            assert world.served() == done.version

    def command(
        self,
        run: Callable[[], Any],
        trouble: Trouble | None,
        *,
        flawed: bool = False,
        resting: Callable[[Any], bool] = lambda done: True,
    ) -> Any:
        """Runs a command in a process of its own; returns what it returned, None when it failed or died.

        What it may not do in any case is checked here; when nothing went wrong, the app must be at rest after it.
        """
        world = self.world
        before = world.served()
        unfinished = world.ledger.open_deployment(APP)
        rest = unfinished is None
        switched = unfinished is not None and world.traffic.on_disk(APP).live == unfinished.to_slot
        # Who answers, by the file and by the running proxy, may not stop to do so. What somebody has torn apart
        # must be mended first.
        self.promised = before is not None and world.proxy.running == world.proxy.disk
        self.behind, self.broken = (None, set()), []
        self.watch("the beginning")
        self.arm(trouble)
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
            assert isinstance(failure, UsageError | DeploymentFailed | Degraded), repr(failure)
            assert fired or isinstance(failure, UsageError) or (flawed and failure.exit_code == 3), repr(failure)
            if failure.exit_code != 4 and self.promised:
                assert world.served() == before, f"{before} served before, {world.served()} does now: {failure!r}"
            left = world.ledger.open_deployment(APP)
            if failure.exit_code != 4 and rest and left is not None:
                # Its very first record was made, and its answer lost.
                assert not world.ledger.steps(left.id), f"{failure!r} left {left} behind"
        if not fired and (failure is not None or resting(done)):
            self.at_rest()
        if not fired and unfinished is not None and switched:
            settled = world.ledger.deployment(APP, unfinished.id)
            assert settled is not None and settled.outcome == "succeeded", f"{settled} was switched, and taken back"
        return done

    def at_rest(self) -> None:
        """Ledger, files, proxy and containers say the same, and a recovery finds nothing to do."""
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
            # Containers of the live version that somebody removed stay away until the next release.
            assert world.served() == (live[0] if any((c.version, c.slot) == live for c in containers) else None)
        baking = [slot for slot, inside in slots.items() if inside.baking]
        for inside in slots.values():
            version = versions[inside.version]
            assert not (inside.state == "ready" and not version.stable_at and not inside.baking), f"{inside} never ends"
        fallback = ledger.traffic(APP).fallback
        # No request goes to a slot in which nothing is warm.
        if fallback is not None:
            assert baking and slots[fallback].state == "warm", (fallback, slots)
        for container in containers:
            inside = slots.get(container.slot)
            ours = inside is not None and inside.version == container.version
            if live == (container.version, container.slot):
                assert (container.state, container.kept_running) == ("running", True), container
            assert not container.running or (ours and inside and inside.state in ("ready", "warm")), (container, slots)
            assert not versions[container.version].pruned_at, f"{container} was left behind by retention"
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
            assert not [c for c in containers if c.deployment in undone], "an undone deployment left something behind"
        facts = world.facts()
        again = world.recover()
        assert not again.anything, again
        assert world.facts() == facts

    def arm(self, trouble: Trouble | None) -> None:
        self.records, self.crash_at = 0, None
        self.world.faults.arm(None)
        if trouble is None:
            return
        if trouble.kind == "crash at a record":
            self.crash_at = trouble.at
        else:
            error = Crash() if trouble.kind == "crash" else EngineError("armed")
            self.world.faults.arm(trouble.at, error, after=trouble.after)

    def disarm(self) -> bool:
        """True: the trouble has come about."""
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
        """Looks at the world after each call: somebody serves, and nothing that serves is touched."""
        world = self.world
        served, slot = world.served(), world.traffic.on_disk(APP).live
        if served is not None:
            self.has_served.add(served)
        elif self.promised:
            self.broken.append(f"nobody served after {call}")
        behind = {c.id for c in world.workloads.containers(APP) if c.running and c.slot == slot}
        if slot is not None and slot == self.behind[0] and not self.behind[1] <= behind:
            self.broken.append(f"{call} touched {slot}, which the route points at")
        self.behind = (slot, behind)


class FromNothing(Life):
    """Lives that begin with an empty state folder."""


class WithHistory(Life):
    """Lives that begin with a lineage of four versions, one of them warm: more can be rolled back and pruned."""

    @initialize(replicas=st.integers(1, 2), keep_warm=st.sampled_from(["0s", "10m"]))
    def four_releases(self, replicas: int, keep_warm: str) -> None:
        self.begin(four_versions(replicas, keep_warm))
        self.has_served = {"v1", "v2", "v3", "v4"}


TestFromNothing = FromNothing.TestCase
TestFromNothing.settings = SETTINGS
TestWithHistory = WithHistory.TestCase
TestWithHistory.settings = SETTINGS
