"""What a release or a rollback will do, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.domain.rollout.plan import (
    DESTRUCTIVE,
    WORDS,
    Choice,
    Observed,
    Plan,
    Step,
    WayBack,
    check,
    choose_release,
    plan_rollback,
    undo,
    way_back,
)
from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import UsageError
from tests.unit.builders import (
    REGISTRY,
    chain,
    container,
    journal,
    nothing_live,
    observed,
    plans,
    record,
    release_plan,
    rollback_plan,
    slot_state,
    v1_live,
    v1_lost,
    v2_live,
    version,
)

SAME = {"settings": "s", "live_settings": "s"}


def steps(plan: Plan) -> list[tuple[str, dict[str, object]]]:
    return [(step.name, step.args) for step in plan.steps]


def where(name: str, slot: Slot) -> dict[str, object]:
    return {"version": name, "slot": slot}


# --- what a release comes down to --------------------------------------------------------------------------------


def test_a_new_version_is_built() -> None:
    assert choose_release(v1_live(), "v7", context="c", **SAME) == Choice("v7", "build")


@pytest.mark.parametrize(
    ("seen", "expected"), [(nothing_live(), "v1"), (v1_live(), "v2"), (observed(chain(11)), "v12")]
)
def test_without_a_name_it_is_the_next_version(seen: Observed, expected: str) -> None:
    assert choose_release(seen, None, context="c", **SAME) == Choice(expected, "build")


def test_a_version_that_was_never_live_is_built_anew() -> None:
    versions = {**chain(1), "v2": version("v2", "v1", live=False)}
    seen = observed(versions, [slot_state("v1", "blue", "live")], [container("v1", "blue")])
    found = choose_release(seen, "v2", context="anything", **SAME)
    assert found == Choice("v2", "build", "v2 was built before but never live: it is built anew")


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_a_version_that_was_live_cannot_change(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} has been live and cannot change") as caught:
        choose_release(v2_live("cold"), name, context="another context", **SAME)
    assert caught.value.hint == "release the change as a new version: deployctl release v3"


def test_the_live_version_with_the_same_settings_is_nothing_to_do() -> None:
    found = choose_release(v1_live(), "v1", context="context of v1", **SAME)
    assert found == Choice("v1", "nothing", "v1 is live already, built from this very context")


@pytest.mark.parametrize("live_settings", ["other", "", None])
def test_the_live_version_with_other_settings_is_started_anew(live_settings: str | None) -> None:
    found = choose_release(v1_live(), "v1", context="context of v1", settings="s", live_settings=live_settings)
    assert found == Choice("v1", "reuse", "v1 is live already: its image is started with the new configuration")


def test_the_live_version_without_containers_is_started_anew() -> None:
    seen = observed(chain(1), [slot_state("v1", "blue", "live")], [container("v1", "green")])
    assert choose_release(seen, "v1", context="context of v1", **SAME).action == "reuse"


def test_an_old_version_is_used_again() -> None:
    found = choose_release(v2_live("cold"), "v1", context="context of v1", **SAME)
    assert found == Choice("v1", "reuse", "v1 was live before: its image is used again")


# --- the plans, exactly ------------------------------------------------------------------------------------------


def test_first_release() -> None:
    plan = release_plan(nothing_live(), Choice("v1", "build"))
    blue = where("v1", "blue")
    assert (plan.kind, plan.mode, plan.from_version, plan.from_slot) == ("release", "create", None, None)
    assert (plan.to_version, plan.to_slot) == ("v1", "blue")
    assert steps(plan) == [
        ("build", {"version": "v1", "image": "mymodel:v1"}),
        ("vacate", blue),
        ("create", {**blue, "replicas": 1}),
        ("start", blue),
        ("join", blue),
        ("probe", blue),
        ("keep", blue),
        ("switch", blue),
        ("settle", {}),
    ]


def test_second_release() -> None:
    plan = release_plan(v1_live(), Choice("v2", "build"))
    blue, green = where("v1", "blue"), where("v2", "green")
    assert (plan.from_version, plan.from_slot, plan.to_version, plan.to_slot) == ("v1", "blue", "v2", "green")
    assert steps(plan) == [
        ("build", {"version": "v2", "image": "mymodel:v2"}),
        ("vacate", green),
        ("create", {**green, "replicas": 1}),
        ("start", green),
        ("join", green),
        ("probe", green),
        ("keep", green),
        ("switch", green),
        ("reroute", {}),
        ("drain", blue),
        ("retire", {**blue, "how": "keep warm", "keep_warm": 600}),
        ("settle", {}),
    ]


def test_with_nothing_kept_warm_the_old_version_is_stopped() -> None:
    plan = release_plan(v1_live(), Choice("v2", "build"), keep_warm=0)
    assert steps(plan)[-2] == ("retire", {**where("v1", "blue"), "how": "stop", "keep_warm": 0})


def test_the_same_version_anew_replaces_its_own_containers() -> None:
    plan = release_plan(v1_live(), Choice("v1", "reuse", "why"))
    assert plan.notes == ("why",)
    assert steps(plan)[0][0] == "vacate"
    assert plan.to_slot == "green"
    assert steps(plan)[-2] == ("retire", {**where("v1", "blue"), "how": "remove", "keep_warm": 600})


def test_warm_rollback() -> None:
    plan = rollback_plan(v2_live("warm"))
    blue, green = where("v1", "blue"), where("v2", "green")
    assert (plan.kind, plan.mode) == ("rollback", "switch")
    assert steps(plan) == [
        ("join", blue),
        ("probe", {**blue, "warm": True}),
        ("switch", blue),
        ("reroute", {}),
        ("drain", green),
        ("retire", {**green, "how": "stop", "keep_warm": 0}),
        ("settle", {}),
    ]


@pytest.mark.parametrize(("previous", "warm_ok"), [("warm", False), ("cold", True), ("cold", False)])
def test_rollback_to_kept_containers(previous: str, warm_ok: bool) -> None:
    plan = rollback_plan(v2_live(previous), warm_ok=warm_ok)
    blue = where("v1", "blue")
    assert plan.mode == "start"
    assert steps(plan)[:6] == [
        ("vacate", {**blue, "spare": True}),
        ("start", blue),
        ("join", blue),
        ("probe", blue),
        ("keep", blue),
        ("switch", blue),
    ]
    assert [name for name, _ in steps(plan)[6:]] == ["reroute", "drain", "retire", "settle"]


def test_rollback_from_the_image() -> None:
    plan = rollback_plan(v2_live("gone"))
    blue = where("v1", "blue")
    assert plan.mode == "create"
    assert steps(plan)[:3] == [
        ("vacate", {**blue, "spare": False}),
        ("create", {**blue, "replicas": 1}),
        ("start", blue),
    ]


PUSH = {"version": "v2", "image": "mymodel:v2", "reference": f"{REGISTRY}:v2"}
PULL = {"version": "v1", "image": "mymodel:v1", "registry": REGISTRY, "reference": f"{REGISTRY}@sha256:1"}


def test_with_a_registry_what_is_built_is_pushed_before_anything_is_started() -> None:
    plan = plans()["release with a registry"]
    assert steps(plan)[:3] == [
        ("build", {"version": "v2", "image": "mymodel:v2"}),
        ("push", PUSH),
        ("vacate", where("v2", "green")),
    ]


@pytest.mark.parametrize(
    ("pushed", "expected"),
    [
        (None, ["push", "vacate"]),
        ("registry.example.com:5000/another@sha256:1", ["push", "vacate"]),
        (f"{REGISTRY}@sha256:1", ["vacate", "create"]),
    ],
)
def test_what_is_used_again_is_pushed_where_it_is_not_yet(pushed: str | None, expected: list[str]) -> None:
    seen = v2_live("cold")
    seen = replace(seen, versions={**seen.versions, "v1": version("v1", pushed=pushed)})
    plan = release_plan(seen, Choice("v1", "reuse"), registry=REGISTRY)
    assert [name for name, _ in steps(plan)][:2] == expected


def test_what_is_live_already_is_not_pushed() -> None:
    plan = release_plan(v1_live(), Choice("v1", "nothing"), registry=REGISTRY)
    assert "push" not in dict(steps(plan))


def test_an_old_version_whose_image_is_gone_is_pulled() -> None:
    plan = plans()["old version from the registry"]
    assert steps(plan)[:3] == [
        ("pull", PULL),
        ("vacate", where("v1", "blue")),
        ("create", {**where("v1", "blue"), "replicas": 1}),
    ]


def test_a_rollback_from_the_registry() -> None:
    back = way_back(v1_lost())
    assert back == WayBack("v1", "blue", "pull", False)
    plan = plan_rollback(v1_lost(), back, replicas=2)
    assert plan.mode == "create"
    assert steps(plan)[:3] == [
        ("pull", PULL),
        ("vacate", {**where("v1", "blue"), "spare": False}),
        ("create", {**where("v1", "blue"), "replicas": 2}),
    ]


def test_a_pruned_version_that_was_pushed_can_be_gone_back_to_by_name() -> None:
    seen = v1_lost()
    pruned = replace(seen.versions["v1"], pruned_at="2031-01-03T00:00:00.000Z")
    seen = replace(seen, versions={**seen.versions, "v1": pruned})
    assert way_back(seen) is None
    assert way_back(seen, "v1") == WayBack("v1", "blue", "pull", False)


def test_an_image_that_is_there_is_not_pulled() -> None:
    seen = replace(v1_lost(), image_there=lambda image_id: True)
    assert way_back(seen) == WayBack("v1", "blue", "start", False)


@pytest.mark.parametrize("name", plans())
def test_every_plan_says_its_steps_in_words(name: str) -> None:
    for step in plans()[name].steps:
        words = step.words()
        assert "{" not in words
        assert words


def test_a_step_in_words() -> None:
    args = {**where("v1", "blue"), "how": "keep warm", "keep_warm": 600}
    assert Step("retire", args).words() == "keep warm v1 (blue)"
    assert Step("create", {**where("v2", "green"), "replicas": 3}).words() == "create 3 container(s) of v2 in green"
    assert Step("push", PUSH).words() == f"push mymodel:v2 as {REGISTRY}:v2"
    assert Step("pull", PULL).words() == f"pull the image mymodel:v1 from {REGISTRY}, by its digest"


# --- the way back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("previous", "expected"),
    [
        ("warm", WayBack("v1", "blue", "switch", True)),
        ("cold", WayBack("v1", "blue", "start", True)),
        ("gone", WayBack("v1", "blue", "start", False)),
    ],
)
def test_the_way_back(previous: str, expected: WayBack) -> None:
    assert way_back(v2_live(previous)) == expected


def test_without_containers_and_image_it_is_a_rebuild() -> None:
    seen = replace(v2_live("gone"), image_there=lambda image_id: False)
    back = way_back(seen)
    assert back == WayBack("v1", "blue", "rebuild", False)
    plan = plan_rollback(seen, back, replicas=1)
    assert [step.name for step in plan.steps[:4]] == ["rebuild", "vacate", "create", "start"]
    assert plan.steps[0].args == {"version": "v1", "image": "mymodel:v1", "commit": None}


def test_one_replica_of_two_that_is_not_running_makes_it_cold() -> None:
    seen = v2_live("warm")
    seen = replace(seen, containers=(*seen.containers, container("v1", "blue", state="exited", index=2)))
    assert way_back(seen) == WayBack("v1", "blue", "start", True)


def test_containers_that_run_and_are_not_known_as_warm_are_started_anew() -> None:
    seen = v2_live("warm")
    seen = replace(seen, slots={"green": seen.slots["green"]})
    assert way_back(seen) == WayBack("v1", "blue", "start", True)


def test_containers_in_the_slot_that_serves_are_no_way_back() -> None:
    slots = [slot_state("v2", "green", "live")]
    seen = observed(chain(2), slots, [container("v2", "green"), container("v1", "green", state="exited")])
    assert way_back(seen) == WayBack("v1", "blue", "start", False)


def test_no_way_back() -> None:
    assert way_back(nothing_live()) is None
    assert way_back(v1_live()) is None


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("v9", "there is no version v9: the versions are: v1, v2"),
        ("v2", "v2 is live already"),
    ],
)
def test_a_way_back_that_is_none(to: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        way_back(v2_live("warm"), to)
    assert str(caught.value) == message


def test_a_version_that_was_never_stable_is_no_way_back() -> None:
    versions = {**chain(2), "v3": version("v3", "v2", stable=False)}
    seen = replace(v2_live("warm"), versions=versions)
    with pytest.raises(UsageError, match="v3 was never stable"):
        way_back(seen, "v3")


# --- the invariant -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plans())
def test_every_plan_keeps_the_invariant(name: str) -> None:
    check(plans()[name])


@pytest.mark.parametrize("name", [name for name, plan in plans().items() if plan.from_slot is not None])
@pytest.mark.parametrize("bad", sorted(DESTRUCTIVE))
def test_a_plan_that_touches_what_serves_is_refused(name: str, bad: str) -> None:
    plan = plans()[name]
    switch = [step.name for step in plan.steps].index("switch")
    for at in range(len(plan.steps) + 1):
        serving, idle = (plan.from_slot, plan.to_slot) if at <= switch else (plan.to_slot, plan.from_slot)
        for slot, refused in ((serving, True), (idle, False)):
            changed = (*plan.steps[:at], Step(bad, {"slot": slot, "version": "v1"}), *plan.steps[at:])
            if refused:
                with pytest.raises(ValueError, match=f"{bad} would touch {slot}, which serves"):
                    check(replace(plan, steps=changed))
            else:
                check(replace(plan, steps=changed))


def test_every_step_that_takes_something_away_is_known_as_such() -> None:
    assert set(WORDS) >= DESTRUCTIVE
    assert set(WORDS) - DESTRUCTIVE == {
        "build",
        "rebuild",
        "push",
        "pull",
        "untag",
        "create",
        "start",
        "join",
        "probe",
        "keep",
        "switch",
        "reroute",
        "drain",
        "unswitch",
        "withdraw",
        "settle",
    }


# --- taking it back ----------------------------------------------------------------------------------------------

NEW, SETTLE = where("v2", "green"), ("settle", {})
LEAVE, REMOVE, STOP = ("leave", NEW), ("remove", NEW), ("stop", where("v1", "blue"))
UNSWITCH_RELEASE = ("unswitch", {"slot": "blue", "version": "v1"})
UNSWITCH_ROLLBACK = ("unswitch", {"slot": "green", "version": "v2"})
OLD = where("v1", "blue")
UNTAG_PUSH = ("untag", {"reference": f"{REGISTRY}:v2"})
UNTAG_PULL = ("untag", {"reference": f"{REGISTRY}@sha256:1"})

UNDOS = [
    # plan, the step it was interrupted at (None: before the first), what undoes it
    ("first release", None, []),
    ("first release", "build", []),
    ("first release", "vacate", [("remove", OLD)]),
    ("first release", "create", [("remove", OLD)]),
    ("first release", "start", [("remove", OLD)]),
    ("first release", "join", [("withdraw", OLD), ("remove", OLD)]),
    ("first release", "probe", [("withdraw", OLD), ("remove", OLD)]),
    ("first release", "keep", [("withdraw", OLD), ("remove", OLD)]),
    ("first release", "switch", [("withdraw", OLD), ("remove", OLD)]),
    ("second release", None, []),
    ("second release", "build", []),
    ("second release", "vacate", [REMOVE]),
    ("second release", "create", [REMOVE]),
    ("second release", "start", [REMOVE]),
    ("second release", "join", [LEAVE, REMOVE]),
    ("second release", "probe", [LEAVE, REMOVE]),
    ("second release", "keep", [LEAVE, REMOVE]),
    ("second release", "switch", [UNSWITCH_RELEASE, LEAVE, REMOVE]),
    ("cold rollback", None, []),
    ("cold rollback", "vacate", [STOP]),
    ("cold rollback", "start", [STOP]),
    ("cold rollback", "join", [("leave", OLD), STOP]),
    ("cold rollback", "probe", [("leave", OLD), STOP]),
    ("cold rollback", "keep", [("leave", OLD), STOP]),
    ("cold rollback", "switch", [UNSWITCH_ROLLBACK, ("leave", OLD), STOP]),
    ("warm rollback", None, []),
    ("warm rollback", "join", []),
    ("warm rollback", "probe", []),
    ("warm rollback", "switch", [UNSWITCH_ROLLBACK]),
    ("rollback from the image", "vacate", [("remove", OLD)]),
    ("rollback from the image", "create", [("remove", OLD)]),
    ("rollback from the image", "switch", [UNSWITCH_ROLLBACK, ("leave", OLD), ("remove", OLD)]),
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
def test_undo(name: str, interrupted: str | None, expected: list[tuple[str, dict[str, object]]], state: str) -> None:
    plan = plans()[name]
    names = [step.name for step in plan.steps]
    begun = plan.steps[: names.index(interrupted) + 1] if interrupted else ()
    found = undo(plan, journal(begun, state))
    assert [(step.name, step.args) for step in found] == [*expected, SETTLE]


def test_what_an_undo_has_done_does_not_change_what_is_undone() -> None:
    plan = plans()["second release"]
    forward = journal(plan.steps[:5], "failed")
    first = undo(plan, forward)
    done = [record(100 + n, step, "done", undo=True) for n, step in enumerate(first)]
    assert undo(plan, [*forward, *done]) == first
