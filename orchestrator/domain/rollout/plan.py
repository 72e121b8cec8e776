"""Plans: what a deployment will do, as data. Made by pure functions of what was observed and what is wanted.

Invariant: until `switch` is done, no step touches the slot that the route points at; after it, no step
touches the slot that it points at now. So at every step, and after a crash at any of them, a version that
passed its probes serves. `check` holds every plan to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.domain.naming import next_version, version_number
from orchestrator.domain.rollout.deployment import Kind, StepRecord
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import Slot, SlotState, other
from orchestrator.domain.version.lineage import rollback_target
from orchestrator.domain.version.version import Version
from orchestrator.errors import UsageError

# What each step does, in the words of `plan` and of the progress on the terminal.
WORDS: Mapping[str, str] = {
    "build": "build the image {image}",
    "rebuild": "build the image {image} again, from commit {commit}",
    "push": "push {image} as {reference}",
    "pull": "pull the image {image} from {registry}, by its digest",
    "vacate": "clear the {slot} slot",
    "create": "create {replicas} container(s) of {version} in {slot}",
    "start": "start {version} in {slot}",
    "join": "make {slot} known to the proxy",
    "probe": "wait until {version} is ready",
    "keep": "let the engine restart {version} by itself",
    "switch": "switch traffic to {version} ({slot})",
    "reroute": "bring the proxy's route to the configuration",
    "drain": "let requests on {slot} finish",
    "retire": "{how} {version} ({slot})",
    "unswitch": "switch traffic back to {slot}",
    "leave": "take {slot} out of the proxy",
    "withdraw": "take the app out of the proxy",
    "remove": "remove the containers of {version} in {slot}",
    "stop": "stop {version} in {slot}",
    "untag": "take the name {reference} off the image",
    "settle": "record the outcome",
}
# Steps that take something away from a slot; none may touch the slot that serves.
DESTRUCTIVE = frozenset({"vacate", "retire", "leave", "remove", "stop"})


@dataclass(frozen=True)
class Step:
    """One action. `args` is JSON-able: the journal keeps it, and recovery acts on what the journal says."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)

    def words(self) -> str:
        """The step as a person reads it."""
        return WORDS[self.name].format_map({"how": "retire", **self.args})


@dataclass(frozen=True)
class Observed:
    """What the ledger and the engine said about an app at one instant."""

    app: str
    versions: Mapping[str, Version]
    slots: Mapping[Slot, SlotState]
    containers: tuple[Container, ...] = ()
    # Asked only when it matters: an answer costs a round trip to the engine.
    image_there: Callable[[str], bool] = lambda image_id: True

    @property
    def live(self) -> SlotState | None:
        return next((slot for slot in self.slots.values() if slot.state == "live"), None)

    def of(self, version: str, slot: Slot | None = None) -> tuple[Container, ...]:
        """The containers of a version (in a slot), in order of their index."""
        found = [c for c in self.containers if c.version == version and slot in (None, c.slot)]
        return tuple(sorted(found, key=lambda container: (container.slot, container.index)))


@dataclass(frozen=True)
class Plan:
    """A deployment before it begins. `mode`: `create`, `start` (kept containers) or `switch` (warm ones)."""

    kind: Kind
    app: str
    from_version: str | None
    to_version: str
    from_slot: Slot | None
    to_slot: Slot
    mode: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """What a release of a version comes down to: `build`, `reuse` its image, or `nothing` to do."""

    version: str
    action: str
    note: str = ""


def choose_release(
    observed: Observed,
    wanted: str | None,
    *,
    context: str,
    settings: str,
    live_settings: str | None,
    force: bool = False,
) -> Choice:
    """Decides what releasing `wanted` (None: the next version) means.

    `context` is the digest of what would be built, `settings` that of the run-time configuration.

    Raises:
        UsageError: the version was live and what it was built from has changed since; or it went bad when it was
            live, and nobody insists (`force`).
    """
    name = wanted or next_version(list(observed.versions))
    known = observed.versions.get(name)
    live = observed.live
    if known is None:
        return Choice(name, "build")
    if known.bad_at is not None and not force:
        raise UsageError(
            f"{name} went bad when it was live, and was rolled back",
            why=known.bad_why,
            hint=f"mend it and release it as {next_version(list(observed.versions))},"
            f" or insist: deployctl release {name} --force",
        )
    if known.live_at is None:
        return Choice(name, "build", f"{name} was built before but never live: it is built anew")
    if known.manifest != context:
        raise UsageError(
            f"{name} has been live and cannot change",
            why="what it was built from is not what is in the build context now",
            hint=f"release the change as a new version: deployctl release {next_version(list(observed.versions))}",
        )
    if live is not None and live.version == name:
        if live_settings == settings and observed.of(name, live.slot):
            return Choice(name, "nothing", f"{name} is live already, built from this very context")
        return Choice(name, "reuse", f"{name} is live already: its image is started with the new configuration")
    return Choice(name, "reuse", f"{name} was live before: its image is used again")


def plan_release(
    observed: Observed,
    choice: Choice,
    *,
    image: str,
    replicas: int,
    keep_warm: float,
    bake: float = 0.0,
    registry: str | None = None,
    gone: bool = False,
) -> Plan:
    """The steps that make `choice.version` live beside what is live now. Times in seconds.

    A version that bakes has its predecessor warm beside it. The same version, configured anew, does not bake.
    `registry` is the repository that versions are pushed to; `gone` says that the engine has lost the image.
    """
    live = observed.live
    slot: Slot = other(live.slot) if live else "blue"
    where = {"version": choice.version, "slot": slot}
    bakes = bake > 0 and not (live is not None and live.version == choice.version)
    steps: list[Step] = []
    if choice.action == "build":
        steps.append(Step("build", {"version": choice.version, "image": image}))
    if choice.action == "reuse" and gone:
        steps.append(_pull(observed.versions[choice.version]))
    elif registry and choice.action != "nothing" and not _is_in(registry, observed, choice):
        pushed = {"version": choice.version, "image": image, "reference": f"{registry}:{choice.version}"}
        steps.append(Step("push", pushed))
    steps += [
        Step("vacate", {"slot": slot, "version": choice.version}),
        Step("create", {**where, "replicas": replicas}),
        Step("start", where),
        Step("join", where),
        Step("probe", where),
        Step("keep", where),
        Step("switch", {**where, "bake": bake} if bakes else where),
    ]
    if live is not None:
        steps.append(Step("reroute"))
        if live.version == choice.version:
            how = "remove"
        else:
            how = "keep warm" if keep_warm > 0 or bakes else "stop"
        steps += _put_away(live.version, live.slot, how, max(keep_warm, bake) if bakes else keep_warm)
    steps.append(Step("settle"))
    plan = Plan(
        kind="release",
        app=observed.app,
        from_version=live.version if live else None,
        to_version=choice.version,
        from_slot=live.slot if live else None,
        to_slot=slot,
        mode="create",
        steps=tuple(steps),
        notes=(choice.note,) if choice.note else (),
    )
    check(plan)
    return plan


def _is_in(registry: str, observed: Observed, choice: Choice) -> bool:
    known = observed.versions.get(choice.version)
    return choice.action == "reuse" and known is not None and (known.pushed or "").split("@")[0] == registry


def _pull(version: Version) -> Step:
    assert version.pushed is not None, "only what was pushed is pulled"
    registry = version.pushed.split("@")[0]
    return Step(
        "pull",
        {"version": version.name, "image": version.image, "registry": registry, "reference": version.pushed},
    )


@dataclass(frozen=True)
class WayBack:
    """How a rollback would go.

    `mode`: `switch` (warm), `start` (kept containers, or new ones from its image), or the image is gone too:
    `pull` (from where it was pushed) or `rebuild` (it is built again from the version's commit).
    """

    version: str
    slot: Slot
    mode: str
    kept: bool


def way_back(observed: Observed, to: str | None = None) -> WayBack | None:
    """The rollback that is possible now: to `to`, or to the last stable version up the lineage.

    Raises:
        UsageError: `to` is unknown, was never stable, or is live already.
    """
    live = observed.live
    if live is None:
        return None
    target = rollback_target(observed.versions, live.version)
    if to is not None:
        target = observed.versions.get(to)
        if target is None:
            known = ", ".join(sorted(observed.versions, key=version_number)) or "none yet"
            raise UsageError(f"there is no version {to}", why=f"the versions are: {known}")
        if to == live.version:
            raise UsageError(f"{to} is live already", hint="deployctl status")
        if target.bad_at is not None:
            hint = f"deployctl release {to} --force"
            raise UsageError(f"{to} went bad, so it is no rollback target", why=target.bad_why, hint=hint)
        if target.stable_at is None:
            raise UsageError(f"{to} was never stable, so it is no rollback target", hint=f"deployctl release {to}")
    if target is None:
        return None
    for slot in (other(live.slot), live.slot):
        kept = observed.of(target.name, slot)
        if kept and slot != live.slot and len(kept) == _replicas(target, len(kept)):
            running = all(container.running for container in kept)
            warm = observed.slots.get(slot)
            is_warm = running and warm is not None and warm.version == target.name and warm.state == "warm"
            return WayBack(target.name, slot, "switch" if is_warm else "start", True)
    mode = "start" if observed.image_there(target.image_id) else "pull" if target.pushed else "rebuild"
    return WayBack(target.name, other(live.slot), mode, False)


def _replicas(version: Version, otherwise: int) -> int:
    """How many containers a version ran in last; a set that has lost one is no set to go back to."""
    return int(version.settings.get("run", {}).get("replicas", otherwise))


def plan_rollback(
    observed: Observed, back: WayBack, *, replicas: int, kind: Kind = "rollback", warm_ok: bool = True
) -> Plan:
    """The steps that bring `back.version` back and stop what is live now.

    `warm_ok` is False when the warm containers do not answer: then they are stopped and started again.
    """
    live = observed.live
    assert live is not None, "way_back() finds nothing when nothing is live"
    where = {"version": back.version, "slot": back.slot}
    mode = back.mode if back.kept else "create"
    if mode == "switch" and not warm_ok:
        mode = "start"
    if mode == "switch":
        opening = [Step("join", where), Step("probe", {**where, "warm": True})]
    else:
        opening = []
        if back.mode == "pull":
            opening.append(_pull(observed.versions[back.version]))
        if back.mode == "rebuild":
            lost = observed.versions[back.version]
            opening.append(Step("rebuild", {"version": lost.name, "image": lost.image, "commit": lost.git_commit}))
        opening.append(Step("vacate", {"slot": back.slot, "version": back.version, "spare": back.kept}))
        if mode == "create":
            opening.append(Step("create", {**where, "replicas": replicas}))
        opening += [Step("start", where), Step("join", where), Step("probe", where), Step("keep", where)]
    plan = Plan(
        kind=kind,
        app=observed.app,
        from_version=live.version,
        to_version=back.version,
        from_slot=live.slot,
        to_slot=back.slot,
        mode=mode,
        steps=(
            *opening,
            Step("switch", where),
            Step("reroute"),
            *_put_away(live.version, live.slot, "stop", 0),
            Step("settle"),
        ),
    )
    check(plan)
    return plan


def _put_away(version: str, slot: Slot, how: str, keep_warm: float) -> list[Step]:
    return [
        Step("drain", {"slot": slot, "version": version}),
        Step("retire", {"slot": slot, "version": version, "how": how, "keep_warm": keep_warm}),
    ]


def undo(plan: Plan, journal: Iterable[StepRecord]) -> tuple[Step, ...]:
    """The steps that take back what a deployment did before its switch. Each can be done twice."""
    begun = {record.name for record in journal if not record.undo}
    where = {"version": plan.to_version, "slot": plan.to_slot}
    steps: list[Step] = []
    if "switch" in begun and plan.from_slot is not None:
        steps.append(Step("unswitch", {"slot": plan.from_slot, "version": plan.from_version}))
    if "join" in begun or "switch" in begun:
        if plan.from_slot is None:
            steps.append(Step("withdraw", where))
        elif plan.mode != "switch":
            steps.append(Step("leave", where))
    if plan.mode == "create" and begun & {"vacate", "create", "start"}:
        steps.append(Step("remove", where))
    elif plan.mode == "start" and begun & {"vacate", "start"}:
        steps.append(Step("stop", where))
    # A push or a pull that was killed leaves the image with a name that only it had a use for.
    named = [step for step in plan.steps if step.name in ("push", "pull") and step.name in begun]
    steps += [Step("untag", {"reference": step.args["reference"]}) for step in named]
    steps.append(Step("settle"))
    return tuple(steps)


def check(plan: Plan) -> None:
    """Holds a plan to the invariant of this module.

    Raises:
        ValueError: a step would touch the slot that serves at that moment.
    """
    serving = plan.from_slot
    for step in plan.steps:
        if step.name == "switch":
            serving = plan.to_slot
        elif step.name in DESTRUCTIVE and step.args.get("slot") == serving:
            raise ValueError(f"{step.name} would touch {serving}, which serves: {plan}")
