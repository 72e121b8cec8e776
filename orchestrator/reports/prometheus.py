"""The metrics for Prometheus: which there are, and their text format. Pure.

Every sample has the label `app`, also those about the whole machine: each app may have a file of its own, and two files
of one folder must not contain the same sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Literal, get_args

from orchestrator.domain.rollout.deployment import DeploymentCount, Kind, Outcome
from orchestrator.domain.traffic.program import Refusals
from orchestrator.domain.traffic.slot import SlotState
from orchestrator.domain.watch.passes import Pass
from orchestrator.frozen import frozen

Type = Literal["gauge", "counter"]
STATES = ("empty", "deploying", "preview", "canary", "held", "baking", "stable", "degraded", "maintenance")
MARKS = ("live", "stable", "not stable", "rolled back", "bad", "pruned", "never live")
_PASS = "pass:"
# Those that are 0 before they happen: an increase is visible only after a number.
_OUTCOMES = ("healthy", "acted", "degraded", "failed", "skipped")

FAMILIES: Mapping[str, tuple[Type, str]] = {
    "deployctl_build_info": ("gauge", "The version of deployctl; always 1."),
    "deployctl_engine_up": ("gauge", "Whether the Docker engine answered."),
    "deployctl_app_live_info": ("gauge", "Which version is live, and in which slot; always 1."),
    "deployctl_app_live_since_timestamp_seconds": ("gauge", "When the live version became live."),
    "deployctl_app_state": ("gauge", "1 for the state of the app, 0 for the others."),
    "deployctl_app_problems": ("gauge", "How many problems status finds."),
    "deployctl_app_containers": ("gauge", "Containers of the live version: running, and others."),
    "deployctl_app_container_restarts": (
        "gauge",
        "Restarts of the live version's containers by the engine since their creation.",
    ),
    "deployctl_app_rollback_possible": ("gauge", "Whether a rollback is possible."),
    "deployctl_shield_rescued_total": ("counter", "Failures of a version that the older one answered, by version."),
    "deployctl_shield_lost_total": ("counter", "Failures of a shielded version that reached clients, by version."),
    "deployctl_proxy_refused_total": (
        "counter",
        "What the proxy refused at the app's address since its workers started, by kind.",
    ),
    "deployctl_versions": ("gauge", "Versions by their mark."),
    "deployctl_deployments_total": ("counter", "Finished deployments, by kind and outcome."),
    "deployctl_deployment_last_timestamp_seconds": (
        "gauge",
        "When the last deployment of this kind and outcome ended.",
    ),
    "deployctl_watchdog_passes_total": ("counter", "Passes of the watchdog, by outcome."),
    "deployctl_watchdog_healed_total": ("counter", "Containers that the watchdog repaired."),
    "deployctl_watchdog_auto_rollbacks_total": ("counter", "Rollbacks that the watchdog started."),
    "deployctl_watchdog_last_pass_timestamp_seconds": ("gauge", "When the last pass was."),
    "deployctl_watchdog_last_success_timestamp_seconds": (
        "gauge",
        "When the last pass that left the app healthy was; 0 when there was none.",
    ),
    "deployctl_watchdog_pass_duration_seconds": ("gauge", "How long the last pass took."),
    "deployctl_notifications_total": ("counter", "Notifications, by outcome."),
}


@frozen
class Sample:
    """One value of a metric."""

    labels: Mapping[str, str]
    value: float


@frozen
class Metric:
    """A metric with its current samples."""

    name: str
    type: Type
    help: str
    samples: tuple[Sample, ...]


@frozen
class Seen:
    """What only engine and proxy know of an app. `refused` is None when the proxy does not answer.

    `shields` are the failures of each version that another one answered, and did not, while it was shielded.
    """

    state: str
    running: int
    others: int
    restarts: int
    problems: int
    rollback: bool
    refused: Refusals | None = None
    shields: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@frozen
class Facts:
    """Everything about one app. `seen` is None when the engine did not answer; `program` is deployctl's version."""

    app: str
    program: str
    engine_up: bool
    live: SlotState | None = None
    seen: Seen | None = None
    marks: Mapping[str, int] | None = None
    deployments: Sequence[DeploymentCount] = ()
    counts: Mapping[str, int] | None = None
    last: Pass | None = None
    good: Pass | None = None


def metrics(apps: Sequence[Facts]) -> list[Metric]:
    """The metrics of these apps, in a fixed order. Those without a value are left out."""
    samples_by_name: dict[str, list[Sample]] = {name: [] for name in FAMILIES}
    for facts in apps:
        for name, labels, value in (*_of_app(facts), *_of_record(facts), *_of_watchdog(facts)):
            samples_by_name[name].append(Sample({"app": facts.app, **labels}, value))
    return [Metric(name, *FAMILIES[name], tuple(samples)) for name, samples in samples_by_name.items() if samples]


def text(families: Sequence[Metric]) -> str:
    """The metrics in Prometheus' text format."""
    lines = []
    for metric in families:
        lines.append(f"# HELP {metric.name} {_escaped(metric.help)}")
        lines.append(f"# TYPE {metric.name} {metric.type}")
        for sample in metric.samples:
            labels = ",".join(f'{name}="{_quoted(value)}"' for name, value in sample.labels.items())
            lines.append(f"{metric.name}{{{labels}}} {_number(sample.value)}")
    return "".join(f"{line}\n" for line in lines)


_Row = tuple[str, dict[str, str], float]


def _of_app(facts: Facts) -> Iterator[_Row]:
    yield "deployctl_build_info", {"version": facts.program}, 1
    yield "deployctl_engine_up", {}, int(facts.engine_up)
    if facts.live is not None:
        yield "deployctl_app_live_info", {"version": facts.live.version, "slot": facts.live.slot}, 1
        yield "deployctl_app_live_since_timestamp_seconds", {}, _seconds(facts.live.since)
    seen = facts.seen
    if seen is None:
        # An old value may be wrong by now: a metric that is missing says so.
        return
    for state in dict.fromkeys((*STATES, seen.state)):
        yield "deployctl_app_state", {"state": state}, int(state == seen.state)
    yield "deployctl_app_problems", {}, seen.problems
    yield "deployctl_app_containers", {"state": "running"}, seen.running
    yield "deployctl_app_containers", {"state": "other"}, seen.others
    yield "deployctl_app_container_restarts", {}, seen.restarts
    yield "deployctl_app_rollback_possible", {}, int(seen.rollback)
    for version, (rescued, lost) in seen.shields.items():
        yield "deployctl_shield_rescued_total", {"version": version}, rescued
        yield "deployctl_shield_lost_total", {"version": version}, lost
    if seen.refused is not None:
        for what in ("denied", "unreadable", "answers"):
            yield "deployctl_proxy_refused_total", {"what": what}, getattr(seen.refused, what)


def _of_record(facts: Facts) -> Iterator[_Row]:
    marks = facts.marks or {}
    for mark in dict.fromkeys((*MARKS, *marks)):
        yield "deployctl_versions", {"mark": mark}, marks.get(mark, 0)
    ended = {(row.kind, row.outcome): row for row in facts.deployments}
    for kind in get_args(Kind):
        for outcome in get_args(Outcome):
            row = ended.get((kind, outcome))
            labels = {"kind": kind, "outcome": outcome}
            yield "deployctl_deployments_total", labels, row.count if row else 0
            if row is not None:
                yield "deployctl_deployment_last_timestamp_seconds", labels, _seconds(row.last)


def _of_watchdog(facts: Facts) -> Iterator[_Row]:
    counts = facts.counts or {}
    passes = {name.removeprefix(_PASS): value for name, value in counts.items() if name.startswith(_PASS)}
    passes["skipped"] = counts.get("skipped", 0)
    for outcome in dict.fromkeys((*_OUTCOMES, *sorted(passes))):
        yield "deployctl_watchdog_passes_total", {"outcome": outcome}, passes.get(outcome, 0)
    yield "deployctl_watchdog_healed_total", {}, counts.get("healed", 0)
    yield "deployctl_watchdog_auto_rollbacks_total", {}, counts.get("auto-rollback", 0)
    yield "deployctl_notifications_total", {"outcome": "sent"}, counts.get("notification", 0)
    yield "deployctl_notifications_total", {"outcome": "failed"}, counts.get("notification-failed", 0)
    if facts.last is not None:
        yield "deployctl_watchdog_last_pass_timestamp_seconds", {}, _seconds(facts.last.at)
        yield "deployctl_watchdog_pass_duration_seconds", {}, facts.last.seconds
        good = 0.0 if facts.good is None else _seconds(facts.good.at)
        yield "deployctl_watchdog_last_success_timestamp_seconds", {}, good


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(words: str) -> str:
    return _escaped(words).replace('"', '\\"')
