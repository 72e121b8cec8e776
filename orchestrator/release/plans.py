"""The plans of releases and rollbacks: pure functions of the observed state and the request."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.domain.rollout.choice import Choice
from orchestrator.domain.rollout.deployment import Kind
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.plan import Plan, check
from orchestrator.domain.rollout.rollout import Rollout
from orchestrator.domain.rollout.stages import Stage
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.rollout.way_back import WayBack
from orchestrator.domain.traffic.slot import Slot, SlotState, other
from orchestrator.frozen import frozen
from orchestrator.release.steps import (
    Adopt,
    Build,
    Create,
    Drain,
    Halt,
    Hold,
    Inspect,
    Keep,
    Probe,
    Pull,
    Push,
    Rebuild,
    Register,
    Reroute,
    Retire,
    Settle,
    Shift,
    Start,
    Switch,
    Unshare,
    Unshield,
    Vacate,
)
from orchestrator.release.steps.retire import How
from orchestrator.supply.image import FoundImage


@frozen
class Terms:
    """The settings that a plan depends on. Times in seconds; `registry` is where images are pushed, None: nowhere.

    `patience` is how long the newer version may take to begin an answer, before the older one is asked. With `stages`
    the version gets the share of the first one, and with `preview` none: it becomes a candidate instead of going live.
    With `hold` only one version runs at a time: requests wait, for at most this long each, while the old one stops and
    the new one starts.
    `sticky`: sessions stay on the version that they began on, as long as it is warm.
    """

    replicas: int = 1
    keep_warm: float = 0.0
    bake: float = 0.0
    settle: float = 0.0
    shield: bool = False
    patience: float = 0.0
    registry: str | None = None
    stages: tuple[Stage, ...] = ()
    preview: bool = False
    hold: float = 0.0
    sticky: bool = False


def plan_release(
    observed: Observed,
    choice: Choice,
    terms: Terms,
    *,
    image: str,
    image_lost: bool = False,
    found: FoundImage | None = None,
) -> Plan:
    """The steps that start `choice.version` beside the live version and switch to it.

    While a version settles and bakes, its predecessor stays warm, and answers what it fails as long as it runs. The
    live version with another configuration does neither: there is no other version to go back to. `image_lost`: the
    version is reused, but the engine does not have its image any more. `found` is the image that a version is made of
    when it is not built here.
    """
    live, version = observed.live, choice.version
    slot: Slot = other(live.slot) if live else "blue"
    renewed = live is not None and live.version == version
    bake = max(terms.bake, terms.settle if live else 0.0) if not renewed else 0.0
    alone = live is not None and terms.hold > 0
    warm = live is not None and not renewed and not alone and (bake > 0 or terms.keep_warm > 0)
    shield, sessions = terms.shield and warm, terms.sticky and warm
    steps: list[Step] = [
        *_image(observed, choice, terms.registry, image, image_lost, found),
        *_unshield(observed, slot),
        Vacate(slot, version),
        Create(version, slot, terms.replicas),
        *_room(live, terms.hold),
        *_start(version, slot),
        Inspect(version, slot),
    ]
    candidate = live is not None and not renewed and (terms.preview or bool(terms.stages))
    if live is not None and candidate:
        steps.append(candidate_step(version, slot, live.slot, terms))
    else:
        patience = terms.patience if shield else 0.0
        steps.append(Switch(version, slot, bake, shield=shield, patience=patience, sessions=sessions))
    if live is not None and not candidate:
        how: How = "remove" if renewed else "keep warm" if warm else "stop"
        steps += [Reroute(), *_retire(live.version, live.slot, how, max(terms.keep_warm, bake), drained=alone)]
    plan = Plan(
        kind="release",
        app=observed.app,
        from_version=live.version if live else None,
        to_version=version,
        from_slot=live.slot if live else None,
        to_slot=slot,
        mode="create",
        before=observed.traffic,
        steps=(*steps, Settle()),
        notes=(choice.note,) if choice.note else (),
    )
    check(plan.before, plan.steps)
    return plan


def plan_rollback(
    observed: Observed,
    back: WayBack,
    *,
    replicas: int,
    kind: Kind = "rollback",
    warm_answers: bool = True,
    hold: float = 0.0,
) -> Plan:
    """The steps that switch back to `back.version` and stop the live version.

    `warm_answers`: whether the warm containers answer; if not, they are stopped and started again. `hold`: as in
    `Terms`, when the old version does not run.
    """
    live = observed.live
    assert live is not None, "a rollback needs a live version"
    if back.mode == "switch" and warm_answers:
        mode = "switch"
        opening: list[Step] = [Register(back.version, back.slot), Probe(back.version, back.slot, warm=True)]
    else:
        mode = "start" if back.kept else "create"
        opening = [
            *_restore_image(observed, back),
            *_unshield(observed, back.slot),
            Vacate(back.slot, back.version, keep=back.kept),
            *([] if back.kept else [Create(back.version, back.slot, replicas)]),
            *_room(live, hold),
            *_start(back.version, back.slot),
        ]
    plan = Plan(
        kind=kind,
        app=observed.app,
        from_version=live.version,
        to_version=back.version,
        from_slot=live.slot,
        to_slot=back.slot,
        mode=mode,
        before=observed.traffic,
        steps=(
            *opening,
            Inspect(back.version, back.slot),
            Switch(back.version, back.slot),
            Reroute(),
            *_retire(live.version, live.slot, "stop", 0.0, drained=mode != "switch" and hold > 0),
            Settle(),
        ),
    )
    check(plan.before, plan.steps)
    return plan


def candidate_step(version: str, slot: Slot, live: Slot, terms: Terms, stage: int = 0) -> Shift:
    """The step that gives a candidate the share of a stage, or shows it at its preview address."""
    if terms.preview:
        return Shift(version, slot, live, 0, preview=True)
    return Shift(version, slot, live, terms.stages[stage].share, stage, terms.shield, terms.patience)


def plan_promote(observed: Observed, rollout: Rollout, terms: Terms, *, full: bool = False) -> Plan:
    """Gives the candidate the share of its next stage; after the last one, or with `full`, all traffic."""
    live = observed.live
    assert live is not None, "a candidate runs beside a live version"
    version, slot = rollout.version, rollout.slot
    opening: list[Step] = [Inspect(version, slot)]
    if rollout.last or full:
        bake = max(terms.bake, terms.settle)
        closing = [
            Switch(version, slot, bake, shield=terms.shield, patience=terms.patience, sessions=terms.sticky),
            Reroute(),
            *_retire(live.version, live.slot, "keep warm", max(terms.keep_warm, bake)),
        ]
    else:
        closing = [candidate_step(version, slot, live.slot, terms, 0 if rollout.preview else rollout.stage + 1)]
    return _of_candidate("promote", observed, rollout, live, (*opening, *closing, Settle()))


def plan_abort(observed: Observed, rollout: Rollout, *, bad: bool = False) -> Plan:
    """The steps that give all traffic back to the live version, and stop the candidate. `bad`: it is marked as bad."""
    live = observed.live
    assert live is not None, "a candidate runs beside a live version"
    version, slot = rollout.version, rollout.slot
    steps = (Unshare(version, live.slot, bad), *_retire(version, slot, "stop", 0.0), Settle())
    return _of_candidate("abort", observed, rollout, live, steps)


def _of_candidate(kind: Kind, observed: Observed, rollout: Rollout, live: SlotState, steps: tuple[Step, ...]) -> Plan:
    plan = Plan(
        kind=kind,
        app=observed.app,
        from_version=live.version,
        to_version=rollout.version,
        from_slot=live.slot,
        to_slot=rollout.slot,
        mode="switch",
        before=observed.traffic,
        steps=steps,
    )
    check(plan.before, plan.steps)
    return plan


def _image(
    observed: Observed,
    choice: Choice,
    registry: str | None,
    image: str,
    image_lost: bool,
    found: FoundImage | None,
) -> Iterator[Step]:
    if choice.action == "build" and found is not None:
        yield Adopt.of(choice.version, image, found)
        if registry and found.pinned.partition("@")[0] == registry:
            return  # it is there already
    elif choice.action == "build":
        yield Build(choice.version, image)
    known = observed.versions.get(choice.version)
    reused = known if choice.action == "reuse" else None
    if reused is not None and image_lost:
        yield Pull.of(reused)
    elif registry and choice.action != "nothing" and not (reused and (reused.pushed or "").split("@")[0] == registry):
        yield Push(choice.version, image, f"{registry}:{choice.version}")


def _restore_image(observed: Observed, back: WayBack) -> Iterator[Step]:
    version = observed.versions[back.version]
    if back.mode == "pull":
        yield Pull.of(version)
    if back.mode == "rebuild":
        yield Rebuild(version.name, version.image, version.git_commit or "")


def _unshield(observed: Observed, slot: Slot) -> Iterator[Step]:
    if observed.traffic.live is not None and observed.traffic.older == slot:
        yield Unshield(observed.traffic.live)


def _room(live: SlotState | None, hold: float) -> list[Step]:
    """The steps that stop the live version before another one starts, if both do not fit at the same time."""
    if live is None or not hold:
        return []
    return [Hold(live.slot, hold), Drain(live.version, live.slot), Halt(live.version, live.slot)]


def _start(version: str, slot: Slot) -> list[Step]:
    return [Start(version, slot), Register(version, slot), Probe(version, slot), Keep(version, slot)]


def _retire(version: str, slot: Slot, how: How, keep_warm: float, *, drained: bool = False) -> list[Step]:
    # What is open on a warm version may go on until it is stopped.
    drain = [] if drained or how == "keep warm" else [Drain(version, slot)]
    return [*drain, Retire(version, slot, how, keep_warm)]
