"""The plans of releases and rollbacks, step by step, and the steps that undo them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest

from orchestrator.domain.rollout.choice import Choice
from orchestrator.domain.rollout.plan import Plan, check, undo
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.rollout.way_back import WayBack, way_back
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.release.plans import plan_rollback
from orchestrator.release.steps import (
    STEPS,
    Create,
    Halt,
    Pull,
    Push,
    Remove,
    Retire,
    Stop,
    Unregister,
    Vacate,
    restored,
)
from orchestrator.supply.image import FoundImage
from tests.unit.builders import (
    HERE,
    REGISTRY,
    THERE,
    journal,
    nothing_live,
    plans,
    record,
    release_plan,
    rollback_plan,
    v1_live,
    v1_lost,
    v2_live,
    version,
)

ALONE = {"bake": 0.0, "shield": False, "patience": 0.0, "sessions": False}
SETTLE = ("settle", {"outcome": "succeeded", "reason": ""})


def steps(plan: Plan) -> list[tuple[str, dict[str, object]]]:
    return [(step.name, step.args) for step in plan.steps]


def target(name: str, slot: Slot) -> dict[str, object]:
    return {"version": name, "slot": slot}


# --- the plans, exactly ------------------------------------------------------------------------------------------


def test_first_release() -> None:
    plan = release_plan(nothing_live(), Choice("v1", "build"))
    blue = target("v1", "blue")
    assert (plan.kind, plan.mode, plan.from_version, plan.from_slot) == ("release", "create", None, None)
    assert (plan.to_version, plan.to_slot) == ("v1", "blue")
    assert steps(plan) == [
        ("build", {"version": "v1", "image": "mymodel:v1"}),
        ("vacate", {**blue, "keep": False}),
        ("create", {**blue, "replicas": 1}),
        ("start", blue),
        ("register", blue),
        ("probe", {**blue, "warm": False}),
        ("keep", blue),
        ("inspect", blue),
        ("switch", {**blue, **ALONE}),
        SETTLE,
    ]


def test_a_version_settles_at_least_although_it_does_not_bake() -> None:
    for keep_warm, bake in ((0, 0), (0, 60), (600, 0)):
        plan = release_plan(v1_live(), Choice("v2", "build"), keep_warm=keep_warm, bake=bake, settle=3)
        found = dict(steps(plan))
        assert found["switch"]["bake"] == max(3, bake)
        assert found["switch"]["shield"]
        assert (found["retire"]["how"], found["retire"]["keep_warm"]) == ("keep warm", max(keep_warm, bake, 3))
    # There is nothing to go back to.
    assert dict(steps(release_plan(nothing_live(), Choice("v1", "build"), settle=3)))["switch"]["bake"] == 0
    assert dict(steps(release_plan(v1_live(), Choice("v1", "reuse"), settle=3)))["switch"]["bake"] == 0


def test_second_release() -> None:
    plan = release_plan(v1_live(), Choice("v2", "build"))
    blue, green = target("v1", "blue"), target("v2", "green")
    assert (plan.from_version, plan.from_slot, plan.to_version, plan.to_slot) == ("v1", "blue", "v2", "green")
    assert steps(plan) == [
        ("build", {"version": "v2", "image": "mymodel:v2"}),
        ("vacate", {**green, "keep": False}),
        ("create", {**green, "replicas": 1}),
        ("start", green),
        ("register", green),
        ("probe", {**green, "warm": False}),
        ("keep", green),
        ("inspect", green),
        ("switch", {**green, "bake": 0.0, "shield": True, "patience": 30.0, "sessions": False}),
        ("reroute", {}),
        ("retire", {**blue, "how": "keep warm", "keep_warm": 600}),
        SETTLE,
    ]


def test_with_nothing_kept_warm_the_old_version_is_stopped() -> None:
    plan = release_plan(v1_live(), Choice("v2", "build"), keep_warm=0)
    assert steps(plan)[-2] == ("retire", {**target("v1", "blue"), "how": "stop", "keep_warm": 0})


def test_releasing_the_live_version_replaces_its_containers() -> None:
    plan = release_plan(v1_live(), Choice("v1", "reuse", "why"))
    assert plan.notes == ("why",)
    assert steps(plan)[0][0] == "vacate"
    assert plan.to_slot == "green"
    assert steps(plan)[-2] == ("retire", {**target("v1", "blue"), "how": "remove", "keep_warm": 600})


def test_warm_rollback() -> None:
    plan = rollback_plan(v2_live("warm"))
    blue, green = target("v1", "blue"), target("v2", "green")
    assert (plan.kind, plan.mode) == ("rollback", "switch")
    assert steps(plan) == [
        ("register", blue),
        ("probe", {**blue, "warm": True}),
        ("inspect", blue),
        ("switch", {**blue, **ALONE}),
        ("reroute", {}),
        ("drain", green),
        ("retire", {**green, "how": "stop", "keep_warm": 0}),
        SETTLE,
    ]


@pytest.mark.parametrize(("previous", "warm_answers"), [("warm", False), ("cold", True), ("cold", False)])
def test_rollback_to_kept_containers(previous: Literal["warm", "cold", "gone"], warm_answers: bool) -> None:
    plan = rollback_plan(v2_live(previous), warm_answers=warm_answers)
    blue = target("v1", "blue")
    assert plan.mode == "start"
    assert steps(plan)[:7] == [
        ("vacate", {**blue, "keep": True}),
        ("start", blue),
        ("register", blue),
        ("probe", {**blue, "warm": False}),
        ("keep", blue),
        ("inspect", blue),
        ("switch", {**blue, **ALONE}),
    ]
    assert [name for name, _ in steps(plan)[7:]] == ["reroute", "drain", "retire", "settle"]


def test_rollback_from_the_image() -> None:
    plan = rollback_plan(v2_live("gone"))
    blue = target("v1", "blue")
    assert plan.mode == "create"
    assert steps(plan)[:3] == [
        ("vacate", {**blue, "keep": False}),
        ("create", {**blue, "replicas": 1}),
        ("start", blue),
    ]


PUSH = {"version": "v2", "image": "mymodel:v2", "reference": f"{REGISTRY}:v2"}
PULL = {"version": "v1", "image": "mymodel:v1", "registry": REGISTRY, "reference": f"{REGISTRY}@sha256:1"}


def test_an_image_is_pushed_before_containers_are_started() -> None:
    plan = plans()["release with a registry"]
    assert steps(plan)[:3] == [
        ("build", {"version": "v2", "image": "mymodel:v2"}),
        ("push", PUSH),
        ("vacate", {**target("v2", "green"), "keep": False}),
    ]


@pytest.mark.parametrize(
    ("pushed", "expected"),
    [
        (None, ["push", "vacate"]),
        ("registry.example.com:5000/another@sha256:1", ["push", "vacate"]),
        (f"{REGISTRY}@sha256:1", ["vacate", "create"]),
    ],
)
def test_a_reused_image_is_pushed_when_the_registry_does_not_have_it(pushed: str | None, expected: list[str]) -> None:
    observed_app = v2_live("cold")
    observed_app = replace(observed_app, versions={**observed_app.versions, "v1": version("v1", pushed=pushed)})
    plan = release_plan(observed_app, Choice("v1", "reuse"), registry=REGISTRY)
    assert [name for name, _ in steps(plan)][:2] == expected


ADOPT_HERE = {"version": "v2", "image": "mymodel:v2", "reference": "ci:7", "pinned": "", "image_id": "sha256:7"}
ADOPT_THERE = {
    "version": "v2",
    "image": "mymodel:v2",
    "reference": "ci.example.com/m:8",
    "pinned": "ci.example.com/m@sha256:8",
    "image_id": "",
}


@pytest.mark.parametrize(
    ("found", "expected", "words"),
    [
        (HERE, ADOPT_HERE, "tag the image ci:7 as mymodel:v2"),
        (THERE, ADOPT_THERE, "pull the image ci.example.com/m:8, and tag it as mymodel:v2"),
    ],
)
def test_nothing_is_built_of_an_image(found: FoundImage, expected: dict[str, object], words: str) -> None:
    plan = release_plan(v1_live(), Choice("v2", "build"), found=found)
    assert steps(plan)[:2] == [("adopt", expected), ("vacate", {**target("v2", "green"), "keep": False})]
    assert plan.steps[0].words == words
    assert "build" not in dict(steps(plan))
    assert steps(plan)[1:] == steps(plans()["second release"])[1:]


@pytest.mark.parametrize(
    ("pinned", "expected"),
    [
        ("", ["adopt", "push"]),
        ("ci.example.com/m@sha256:8", ["adopt", "push"]),
        (f"{REGISTRY}@sha256:8", ["adopt", "vacate"]),
    ],
)
def test_an_image_is_pushed_unless_it_is_from_that_repository(pinned: str, expected: list[str]) -> None:
    found = replace(HERE, pinned=pinned)
    plan = release_plan(v1_live(), Choice("v2", "build"), registry=REGISTRY, found=found)
    assert [step.name for step in plan.steps[:2]] == expected


def test_a_version_that_was_live_is_reused_whatever_it_was_made_of() -> None:
    plan = release_plan(v2_live("cold"), Choice("v1", "reuse"), found=THERE)
    assert [step.name for step in plan.steps[:2]] == ["vacate", "create"]


def test_nothing_is_pushed_when_there_is_nothing_to_do() -> None:
    plan = release_plan(v1_live(), Choice("v1", "nothing"), registry=REGISTRY)
    assert "push" not in dict(steps(plan))


def test_an_old_version_whose_image_is_gone_is_pulled() -> None:
    plan = plans()["old version from the registry"]
    assert steps(plan)[:3] == [
        ("pull", PULL),
        ("vacate", {**target("v1", "blue"), "keep": False}),
        ("create", {**target("v1", "blue"), "replicas": 1}),
    ]


def test_a_rollback_from_the_registry() -> None:
    back = way_back(v1_lost())
    assert back == WayBack("v1", "blue", "pull", False)
    plan = plan_rollback(v1_lost(), back, replicas=2)
    assert plan.mode == "create"
    assert steps(plan)[:3] == [
        ("pull", PULL),
        ("vacate", {**target("v1", "blue"), "keep": False}),
        ("create", {**target("v1", "blue"), "replicas": 2}),
    ]


@pytest.mark.parametrize("name", plans())
def test_every_step_has_a_description(name: str) -> None:
    for step in plans()[name].steps:
        words = step.words
        assert "{" not in words
        assert words


def test_the_descriptions_of_steps() -> None:
    assert Retire("v1", "blue", "keep warm", 600).words == "keep v1 running in blue, ready for a rollback"
    assert Create("v2", "green", 3).words == "create 3 containers of v2 in green"
    assert Push(**PUSH).words == f"push mymodel:v2 as {REGISTRY}:v2"
    assert Pull(**PULL).words == f"pull the image mymodel:v1 from {REGISTRY} by digest"


def test_a_rebuild_is_planned_from_the_commit() -> None:
    observed_app = replace(v2_live("gone"), image_exists=lambda image_id: False)
    lost = replace(observed_app.versions["v1"], git_commit="c0ffee")
    observed_app = replace(observed_app, versions={**observed_app.versions, "v1": lost})
    back = way_back(observed_app)
    assert back is not None
    plan = plan_rollback(observed_app, back, replicas=1)
    assert [step.name for step in plan.steps[:4]] == ["rebuild", "vacate", "create", "start"]
    assert plan.steps[0].args == {"version": "v1", "image": "mymodel:v1", "commit": "c0ffee"}


def test_with_a_bake_the_predecessor_is_the_fallback() -> None:
    plan = plans()["release with a bake"]
    assert plan.after == TrafficState(live="green", shield=True, patience=30.0)
    assert plan.after.fallback == "blue"
    assert dict(steps(plan))["retire"] == {**target("v1", "blue"), "how": "keep warm", "keep_warm": 600}


@pytest.mark.parametrize("name", ["release while one bakes", "rollback of one that bakes, no answer"])
def test_the_shield_ends_before_the_slot_of_the_fallback_is_used(name: str) -> None:
    names = [step.name for step in plans()[name].steps]
    assert names.index("unshield") == names.index("vacate") - 1


def test_a_warm_rollback_needs_its_fallback_until_the_switch() -> None:
    plan = plans()["rollback of one that bakes"]
    assert "unshield" not in [step.name for step in plan.steps]
    assert plan.after == TrafficState(live="blue")


def test_a_stored_plan_is_restored() -> None:
    for plan in plans().values():
        stored = json.loads(json.dumps(plan.record().steps))
        again = restored(replace(plan.record(), steps=tuple((name, args) for name, args in stored)))
        assert again == replace(plan, notes=())


# --- the invariant -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plans())
def test_every_plan_keeps_the_invariant(name: str) -> None:
    check(plans()[name].before, plans()[name].steps)


STOPPING: list[Callable[[Slot], Step]] = [
    lambda slot: Vacate(slot, "v1"),
    lambda slot: Retire("v1", slot, "stop"),
    lambda slot: Retire("v1", slot, "remove"),
    lambda slot: Unregister(slot),
    lambda slot: Remove("v1", slot),
    lambda slot: Stop("v1", slot),
    lambda slot: Halt("v1", slot),
]


@pytest.mark.parametrize("name", [name for name, plan in plans().items() if plan.from_slot is not None])
@pytest.mark.parametrize("bad", STOPPING, ids=lambda make: make("blue").words)
def test_a_plan_that_changes_a_needed_slot_is_refused(name: str, bad: Callable[[Slot], Step]) -> None:
    plan = plans()[name]
    for at in range(len(plan.steps) + 1):
        state = plan.before
        for step in plan.steps[:at]:
            state = step.leads_to or state
        for slot in SLOTS:
            changed = (*plan.steps[:at], bad(slot), *plan.steps[at:])
            if state.needs(slot):
                with pytest.raises(ValueError, match=f"{bad(slot).name} would change {slot}, which the traffic needs"):
                    check(plan.before, changed)
            else:
                check(plan.before, changed)


def test_every_step_that_stops_or_removes_declares_its_slot() -> None:
    stopping = {bad("blue").name for bad in STOPPING}
    assert stopping == {"vacate", "retire", "unregister", "remove", "stop", "halt"}
    assert set(STEPS) - stopping == {
        "build",
        "adopt",
        "rebuild",
        "push",
        "pull",
        "untag",
        "create",
        "start",
        "register",
        "probe",
        "keep",
        "inspect",
        "preview",
        "unpreview",
        "drilled",
        "shift",
        "switch",
        "unshare",
        "hold",
        "unhold",
        "revive",
        "unshield",
        "reroute",
        "drain",
        "unswitch",
        "withdraw",
        "settle",
    }
    assert Retire("v1", "blue", "keep warm").takes is None


def test_one_step_commits_and_one_concludes() -> None:
    assert {name for name, step in STEPS.items() if step.commits} == {"switch", "shift", "unshare", "drilled"}
    assert [name for name, step in STEPS.items() if step.concludes] == ["settle"]
    for plan in plans().values():
        assert [step.name for step in plan.steps if step.commits] == ["switch"]
        assert plan.steps[-1].concludes


# --- undoing ------------------------------------------------------------------------------------------------------

NEW = target("v2", "green")
LEAVE, REMOVE, STOP = ("unregister", {"slot": "green"}), ("remove", NEW), ("stop", target("v1", "blue"))
BEFORE = {
    "candidate": None,
    "share": 0,
    "shield": False,
    "preview": False,
    "patience": 0.0,
    "held": 0.0,
    "sessions": False,
}
UNSWITCH_RELEASE = ("unswitch", {"slot": "blue", "version": "v1", **BEFORE})
UNSWITCH_ROLLBACK = ("unswitch", {"slot": "green", "version": "v2", **BEFORE})
OLD = target("v1", "blue")
UNTAG_PUSH = ("untag", {"reference": f"{REGISTRY}:v2"})
UNTAG_PULL = ("untag", {"reference": f"{REGISTRY}@sha256:1"})

UNDOS = [
    # plan, the step at which it was interrupted (None: before the first one), the steps that undo it
    ("first release", None, []),
    ("first release", "build", []),
    ("first release", "vacate", [("remove", OLD)]),
    ("first release", "create", [("remove", OLD)]),
    ("first release", "start", [("remove", OLD)]),
    ("first release", "register", [("withdraw", {}), ("remove", OLD)]),
    ("first release", "probe", [("withdraw", {}), ("remove", OLD)]),
    ("first release", "keep", [("withdraw", {}), ("remove", OLD)]),
    ("first release", "switch", [("withdraw", {}), ("remove", OLD)]),
    ("second release", None, []),
    ("second release", "build", []),
    ("second release", "vacate", [REMOVE]),
    ("second release", "create", [REMOVE]),
    ("second release", "start", [REMOVE]),
    ("second release", "register", [LEAVE, REMOVE]),
    ("second release", "probe", [LEAVE, REMOVE]),
    ("second release", "keep", [LEAVE, REMOVE]),
    ("second release", "switch", [UNSWITCH_RELEASE, LEAVE, REMOVE]),
    ("release while one bakes", "unshield", []),
    ("release while one bakes", "vacate", [("remove", target("v3", "blue"))]),
    ("cold rollback", None, []),
    ("cold rollback", "vacate", [STOP]),
    ("cold rollback", "start", [STOP]),
    ("cold rollback", "register", [("unregister", {"slot": "blue"}), STOP]),
    ("cold rollback", "probe", [("unregister", {"slot": "blue"}), STOP]),
    ("cold rollback", "keep", [("unregister", {"slot": "blue"}), STOP]),
    ("cold rollback", "switch", [UNSWITCH_ROLLBACK, ("unregister", {"slot": "blue"}), STOP]),
    ("warm rollback", None, []),
    ("warm rollback", "register", []),
    ("warm rollback", "probe", []),
    ("warm rollback", "switch", [UNSWITCH_ROLLBACK]),
    ("rollback from the image", "vacate", [("remove", OLD)]),
    ("rollback from the image", "create", [("remove", OLD)]),
    ("rollback from the image", "switch", [UNSWITCH_ROLLBACK, ("unregister", {"slot": "blue"}), ("remove", OLD)]),
    ("release of an image", "adopt", []),
    ("release of an image in a registry", "adopt", [("untag", {"reference": "ci.example.com/m@sha256:8"})]),
    ("release of an image", "switch", [UNSWITCH_RELEASE, LEAVE, REMOVE]),
    ("release with a registry", "build", []),
    ("release with a registry", "push", [UNTAG_PUSH]),
    ("release with a registry", "vacate", [REMOVE, UNTAG_PUSH]),
    ("release with a registry", "switch", [UNSWITCH_RELEASE, LEAVE, REMOVE, UNTAG_PUSH]),
    ("old version, never pushed", "push", [("untag", {"reference": f"{REGISTRY}:v1"})]),
    ("old version from the registry", "pull", [UNTAG_PULL]),
    ("rollback from the registry", "pull", [UNTAG_PULL]),
    ("rollback from the registry", "create", [("remove", OLD), UNTAG_PULL]),
]


@pytest.mark.parametrize(("name", "interrupted", "expected"), UNDOS)
@pytest.mark.parametrize("state", ["started", "done", "failed"])
def test_the_steps_that_undo_an_interrupted_plan(
    name: str, interrupted: str | None, expected: list[tuple[str, dict[str, object]]], state: str
) -> None:
    plan = plans()[name]
    names = [step.name for step in plan.steps]
    begun = plan.steps[: names.index(interrupted) + 1] if interrupted else ()
    undone = undo(plan, journal(begun, state))
    assert [(step.name, step.args) for step in undone] == expected


def test_an_undo_that_was_begun_does_not_change_the_undo() -> None:
    plan = plans()["second release"]
    forward = journal(plan.steps[:5], "failed")
    first = undo(plan, forward)
    done = [record(100 + n, step, "done", undo=True) for n, step in enumerate(first)]
    assert undo(plan, [*forward, *done]) == first
