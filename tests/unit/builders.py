"""Functions that create domain objects for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from orchestrator.config import Config
from orchestrator.config.notify import Notify
from orchestrator.config.watchdog import OBSOLETE
from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.rollout.choice import Choice
from orchestrator.domain.rollout.deployment import StepRecord
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.rollout.plan import Plan
from orchestrator.domain.rollout.step import Step
from orchestrator.domain.rollout.way_back import way_back
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.domain.traffic.slot import Slot, SlotPhase, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.domain.version.version import Version
from orchestrator.release.plans import Terms, plan_release, plan_rollback
from orchestrator.supply.image import FoundImage

APP = "mymodel"
REGISTRY = "registry.example.com:5000/mymodel"
HERE = FoundImage("ci:7", image_id="sha256:7")
THERE = FoundImage("ci.example.com/m:8", "ci.example.com/m@sha256:8")


def kept(config: Config) -> Config:
    """The part of a configuration that a snapshot contains: no URLs of notifications, no keys without effect."""
    watchdog = config.watchdog.model_copy(update={"heartbeat": None, **dict.fromkeys(OBSOLETE)})
    return config.model_copy(update={"notify": Notify(), "watchdog": watchdog})


def version(name: str, parent: str | None = None, *, stable: bool = True, live: bool = True, **more: Any) -> Version:
    number = int(name[1:])
    at = f"2031-01-{number % 28 + 1:02d}T00:00:00.000Z"
    facts: dict[str, Any] = {
        "app": APP,
        "name": name,
        "image": f"{APP}:{name}",
        "image_id": f"sha256:{name}",
        "manifest": f"manifest of {name}",
        "parent": parent,
        "author": "somebody",
        "created_at": at,
        "live_at": at if live else None,
        "stable_at": at if live and stable else None,
    }
    return Version(**{**facts, **more})


def chain(count: int) -> dict[str, Version]:
    """v1 ← v2 ← v3 …, all of them stable."""
    return {f"v{n}": version(f"v{n}", f"v{n - 1}" if n > 1 else None) for n in range(1, count + 1)}


def container(name: str, slot: Slot, *, state: str = "running", index: int = 1, deployment: int = 1) -> Container:
    return Container(
        id=f"{name}-{slot}-{index}",
        name=f"{APP}-{name}-{slot}-{index}",
        app=APP,
        version=name,
        slot=slot,
        deployment=deployment,
        index=index,
        image_id=f"sha256:{name}",
        state=state,
    )


def slot_state(name: str, slot: Slot, state: SlotPhase) -> SlotState:
    return SlotState(APP, slot, name, 1, state, "2031-01-01T00:00:00.000Z")


def observed(
    versions: dict[str, Version],
    slots: Iterable[SlotState] = (),
    containers: Iterable[Container] = (),
    *,
    images: bool = True,
    shield: bool = False,
) -> Observed:
    by_slot: dict[Slot, SlotState] = {state.slot: state for state in slots}
    live = next((slot for slot, state in by_slot.items() if state.state == "ready"), None)
    traffic = TrafficState(live=live, shield=shield)
    return Observed(APP, versions, by_slot, traffic, tuple(containers), lambda image_id: images)


def nothing_live() -> Observed:
    return observed({})


def v1_live() -> Observed:
    return observed(chain(1), [slot_state("v1", "blue", "ready")], [container("v1", "blue")])


def v2_live(previous: Literal["warm", "cold", "gone"], *, shield: bool = False) -> Observed:
    """v2 live in green, v1 `warm`, `cold` or `gone` in blue."""
    slots = [slot_state("v2", "green", "ready")]
    containers = [container("v2", "green")]
    if previous != "gone":
        slots.append(slot_state("v1", "blue", previous))
        containers.append(container("v1", "blue", state="running" if previous == "warm" else "exited"))
    return observed(chain(2), slots, containers, shield=shield)


def v1_lost() -> Observed:
    """v2 live in green; v1 exists only in the registry."""
    versions = {"v1": version("v1", pushed=f"{REGISTRY}@sha256:1"), "v2": version("v2", "v1")}
    return observed(versions, [slot_state("v2", "green", "ready")], [container("v2", "green")], images=False)


def release_plan(
    observed_app: Observed,
    choice: Choice,
    *,
    keep_warm: float = 600,
    bake: float = 0,
    settle: float = 0,
    registry: str | None = None,
    image_lost: bool = False,
    found: FoundImage | None = None,
) -> Plan:
    terms = Terms(1, keep_warm, bake, settle, shield=True, patience=30.0, registry=registry)
    return plan_release(
        observed_app, choice, terms, image=f"{APP}:{choice.version}", image_lost=image_lost, found=found
    )


def rollback_plan(observed_app: Observed, *, warm_answers: bool = True) -> Plan:
    back = way_back(observed_app)
    assert back is not None
    return plan_rollback(observed_app, back, replicas=1, warm_answers=warm_answers)


def plans() -> dict[str, Plan]:
    """Every kind of plan, by name."""
    return {
        "first release": release_plan(nothing_live(), Choice("v1", "build")),
        "second release": release_plan(v1_live(), Choice("v2", "build")),
        "release with a bake": release_plan(v1_live(), Choice("v2", "build"), bake=60),
        "release while one bakes": release_plan(v2_live("warm", shield=True), Choice("v3", "build")),
        "nothing kept warm": release_plan(v1_live(), Choice("v2", "build"), keep_warm=0),
        "same version again": release_plan(v1_live(), Choice("v1", "reuse")),
        "old version again": release_plan(v2_live("cold"), Choice("v1", "reuse")),
        "warm rollback": rollback_plan(v2_live("warm")),
        "warm rollback, no answer": rollback_plan(v2_live("warm"), warm_answers=False),
        "rollback of one that bakes": rollback_plan(v2_live("warm", shield=True)),
        "rollback of one that bakes, no answer": rollback_plan(v2_live("warm", shield=True), warm_answers=False),
        "cold rollback": rollback_plan(v2_live("cold")),
        "rollback from the image": rollback_plan(v2_live("gone")),
        "release of an image": release_plan(v1_live(), Choice("v2", "build"), found=HERE),
        "release of an image in a registry": release_plan(v1_live(), Choice("v2", "build"), found=THERE),
        "release with a registry": release_plan(v1_live(), Choice("v2", "build"), registry=REGISTRY),
        "old version, never pushed": release_plan(v2_live("cold"), Choice("v1", "reuse"), registry=REGISTRY),
        "old version from the registry": release_plan(v1_lost(), Choice("v1", "reuse"), image_lost=True),
        "rollback from the registry": rollback_plan(v1_lost()),
    }


def record(number: int, step: Step, state: str, *, undo: bool = False) -> StepRecord:
    finished = None if state == "started" else "2031-01-01T00:00:01.000Z"
    return StepRecord(
        id=number,
        deployment=1,
        seq=number,
        name=step.name,
        args=step.args,
        undo=undo,
        state=state,  # type: ignore[arg-type]
        started_at="2031-01-01T00:00:00.000Z",
        finished_at=finished,
        detail={},
    )


def journal(steps: Iterable[Step], last: str) -> list[StepRecord]:
    """The records of `steps`: all are done except the last one, which is in the state `last`."""
    rows = list(steps)
    return [record(n, step, "done" if n < len(rows) else last) for n, step in enumerate(rows, 1)]


def backend(name: str, *addresses: str, active: bool = True, **probe: Any) -> SlotEndpoints:
    spec = ProbeSpec(**{"path": "/healthz", "port": 8080, **probe})
    return SlotEndpoints(name, addresses, spec, active)


def proxy_app(name: str, route: Route, blue: SlotEndpoints, green: SlotEndpoints) -> ProxyApp:
    return ProxyApp(name, route, {"blue": blue, "green": green})
