"""The output of `status` for people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from orchestrator.cli.render.history import shielded
from orchestrator.cli.render.maintenance import maintenance
from orchestrator.cli.render.text import joined, when
from orchestrator.reports.drill import LastDrill
from orchestrator.reports.live import LiveVersion
from orchestrator.reports.open_deployment import OpenDeployment
from orchestrator.reports.previous import PreviousVersion
from orchestrator.reports.rollout import RequestCounts, RolloutStatus
from orchestrator.reports.status import BakeStatus, StatusReport, TrafficFigures
from orchestrator.text import counted

_HOW = {
    "switch": "by a switch: its containers still run",
    "start": "by starting it",
    "pull": "by a pull from the registry (its image is not on the engine any more)",
    "gone": "not possible: its containers and its image are gone, and it is in no registry and no commit",
    "rebuild": "by a build from its commit (its image is not on the engine any more)",
}
_HEALTH = {True: "healthy", False: "NOT healthy", None: "health unknown"}
Row = tuple[str, str]


def status(report: StatusReport) -> str:
    """A few aligned lines."""
    rows = list(_rows(report))
    width = max(11, *(len(name) + 1 for name, _ in rows))
    return joined(f"{name:{width}}{text}" for name, text in rows)


def _rows(report: StatusReport) -> Iterator[Row]:
    yield "app", f"{report.app}: {report.state}"
    if report.maintenance:
        yield "maintenance", maintenance(report.maintenance)
    if report.live:
        yield from _live(report.live)
    else:
        yield "live", "no version yet: deployctl release"
    if report.bake:
        yield from _bake(report.bake)
    if report.shield:
        shield = report.shield
        yield "shield", shielded(shield.rescued, shield.by, shield.lost)
    if report.rollout:
        yield from _rollout(report.rollout)
    if report.previous:
        yield "rollback", _rollback(report.previous)
        if report.previous.rollback.drill:
            yield "", _drill(report.previous.rollback.drill)
    elif report.rollout and report.live:
        yield "rollback", f"aborts {report.rollout.version}: {report.live.version} has all requests again"
    elif report.live:
        yield "rollback", "no earlier stable version"
    if report.deployment:
        yield "deployment", _deployment(report.deployment)
    yield "proxy", f"{report.proxy.state}, {report.proxy.listen} → {report.proxy.route or 'no slot'}"
    for problem in report.problems:
        yield "problem", problem


def _live(live: LiveVersion) -> Iterator[Row]:
    yield "live", f"{live.version} in {live.slot} since {when(live.since)} ({live.image})"
    for container in live.containers:
        health, restarts = _HEALTH[container.healthy], counted(container.restarts, "restart")
        yield "", f"{container.name} {container.state}, {health}, {restarts}"


def _rollout(rollout: RolloutStatus) -> Iterator[Row]:
    if not rollout.stage:
        yield "rollout", f"{rollout.version} is previewed, without traffic; next: deployctl promote"
        return
    text = f"{rollout.version} gets {rollout.share:g} %, stage {rollout.stage} of {len(rollout.stages)}"
    if rollout.held:
        text += f", held by {rollout.held}"
    if rollout.approve and not rollout.held:
        text += "; each stage waits for 'deployctl promote'"
    yield "rollout", text + (f", {_until(rollout.next_at)}" if rollout.next_at else "")
    yield "", f"{rollout.version}: {_failed(rollout.candidate)}; the live version: {_failed(rollout.live)}"
    if rollout.shield.on:
        shield = rollout.shield
        yield "", f"shield: {shielded(shield.rescued, 'the old version', shield.lost)}"
    for row in rollout.evidence:
        yield "", f"{row.test}: {row.verdict} (log E {row.log_e:.1f}, bad from {row.bad_at:.1f} on)"


def _until(moment: str) -> str:
    """The end of a time that a command, or a pass of the watchdog, ends."""
    over = datetime.fromisoformat(moment) < datetime.now(UTC)
    return f"until {when(moment)}" + (" (over: the next pass decides, or 'deployctl watchdog run')" if over else "")


def _failed(counts: RequestCounts) -> str:
    if not counts.requests:
        return "no requests"
    return f"{counts.failures / counts.requests:.1%} of {counted(counts.requests, 'request')} failed"


def _bake(bake: BakeStatus) -> Iterator[Row]:
    until = f"{_until(bake.until)}: " if bake.until else ""
    yield "bake", until + _figures(bake.traffic)
    if bake.before:
        yield "", f"before the switch: {_figures(bake.before)}"


def _figures(figures: TrafficFigures) -> str:
    if not figures.requests:
        return "no requests"
    text = f"{counted(figures.requests, 'request')}, {figures.errors / figures.requests:.1%} failed"
    return text if figures.seconds is None else f"{text}, {figures.seconds * 1000:.0f} ms on average"


def _rollback(previous: PreviousVersion) -> str:
    way = previous.rollback
    how = _HOW[way.mode]
    if way.seconds is not None:
        how += f", about {way.seconds:g} s"
    if way.mode == "start":
        how += " (its containers are kept)" if way.containers_kept else " (new containers from its image)"
    return f"to {previous.version} in {previous.slot}: {how}"


def _drill(drill: LastDrill) -> str:
    if drill.outcome != "succeeded":
        return f"its last drill, {when(drill.at)}: {drill.outcome} (deployctl events --kind drilled)"
    return f"its last drill, {when(drill.at)}: ready after {drill.seconds:g} s, by a {drill.mode}"


def _deployment(deployment: OpenDeployment) -> str:
    progress = "in progress" if deployment.running else "INTERRUPTED"
    at = f", at step {deployment.step}" if deployment.step else ""
    return f"{deployment.kind} to {deployment.to} {progress}{at}"
