"""What is: for `status` and `history`. Reads only; each answer is ready for JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orchestrator.domain.rollout.deployment import Deployment, StepRecord
from orchestrator.domain.rollout.plan import Observed, WayBack, way_back
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.errors import DeployctlError
from orchestrator.ports.services import Services

SCHEMA = {"schema_version": 1}
# A rollback that was never measured: a switch takes well under a tenth of a second beyond the start of Python.
_SWITCH_SECONDS = 0.3
_START_SECONDS = 2.0
Json = dict[str, Any]


def status(services: Services, app: str, listen: str) -> Json:
    """The contract's `status`: what is live, what is behind it, what is wrong."""
    problems: list[str] = []
    proxy, servers = _proxy(services, app, listen, problems)
    observed = services.observe(app)
    live = observed.live
    deployment = _in_progress(services, app, problems)
    body = {
        **SCHEMA,
        "app": app,
        "state": "empty",
        "live": _live(services, observed, live, servers, problems) if live else None,
        "previous": _previous(services, observed),
        "bake": _bake(services, app, live) if live and live.baking else None,
        "deployment": deployment,
        "proxy": proxy,
        "problems": problems,
    }
    if live is not None and not deployment:
        problems += _astray(services, app, live.slot, proxy)
    if deployment is not None and deployment["running"]:
        body["state"] = "deploying"
    elif problems:
        body["state"] = "degraded"
    elif live is not None:
        body["state"] = "baking" if live.baking else "stable"
    return body


def _astray(services: Services, app: str, slot: Slot, proxy: Json) -> list[str]:
    """Where the proxy, or the file that it would start from, has another route than the ledger."""
    found = []
    if proxy["state"] == "running" and proxy["route"] != slot:
        found.append(f"the proxy sends requests to {proxy['route']}, the ledger says {slot}: deployctl recover")
    try:
        on_disk = services.proxy.route(app)
    except DeployctlError as error:
        return [*found, f"{error}: deployctl recover"]
    if on_disk != slot:
        found.append(f"routes.map says {on_disk}, the ledger says {slot}: deployctl recover")
    return found


def _proxy(services: Services, app: str, listen: str, problems: list[str]) -> tuple[Json, dict[str, str]]:
    known = services.ledger.proxy_app(app)
    body: Json = {"state": "missing", "listen": known.route.listen if known else listen, "route": None}
    body["state"] = services.proxy.state()
    if body["state"] != "running":
        if known is not None:
            problems.append(f"the proxy is {body['state']}: deployctl recover")
        return body, {}
    try:
        body["route"] = services.proxy.running_route(app)
        return body, services.proxy.servers(app, body["route"]) if body["route"] else {}
    except DeployctlError as error:
        problems.append(f"the proxy does not answer ({error}): deployctl recover")
        return body, {}


def _live(
    services: Services, observed: Observed, live: SlotState, servers: dict[str, str], problems: list[str]
) -> Json:
    version = observed.versions[live.version]
    rows = []
    for container in observed.of(live.version, live.slot):
        healthy = container.running and servers.get(f"s{container.index}", "").startswith("UP")
        if not healthy:
            problems.append(_complaint(container, servers))
        rows.append(
            {
                "id": container.id,
                "name": container.name,
                "state": container.state,
                "healthy": healthy,
                "restarts": container.restarts,
            }
        )
    wanted = services.ledger.settings(observed.app, live.version)["run"]["replicas"]
    if len(rows) < wanted:
        problems.append(f"{wanted - len(rows)} container(s) of {live.version} are gone: deployctl recover")
    return {
        "version": live.version,
        "slot": live.slot,
        "image": version.image,
        "image_id": version.image_id,
        "since": live.since,
        "containers": rows,
    }


def _bake(services: Services, app: str, live: SlotState) -> Json:
    """How the live version does while it bakes, beside the one before it."""
    from orchestrator.watch.look import traffic  # only here, so that status of what does not bake stays quick

    new, old = traffic(services, app, live)
    figures = [
        {"requests": found.requests, "errors": found.errors, "seconds": found.mean} if found else None
        for found in (new, old)
    ]
    return {"until": live.bake_until, "traffic": figures[0], "before": figures[1]}


def _complaint(container: Container, servers: dict[str, str]) -> str:
    if not container.running:
        return f"{container.name} is {container.state} (exit code {container.exit_code}): deployctl recover"
    verdict = servers.get(f"s{container.index}", "unknown")
    return f"{container.name} runs, but the proxy says {verdict}: deployctl logs"


def _previous(services: Services, observed: Observed) -> Json | None:
    back = way_back(observed)
    if back is None:
        return None
    until = observed.slots.get(back.slot)
    return {
        "version": back.version,
        "slot": back.slot,
        "rollback": {"mode": back.mode, "seconds": estimate(services, observed.app, back), "kept": back.kept},
        "warm_until": until.warm_until if until and until.version == back.version else None,
    }


def estimate(services: Services, app: str, back: WayBack) -> float | None:
    """How long a rollback should take, in seconds, from what the same thing took the last time."""
    wanted = ["join", "probe", "switch"]
    wanted += [] if back.mode == "switch" else ["start"]
    wanted += {"rebuild": ["build", "rebuild"], "pull": ["push", "pull"]}.get(back.mode, [])
    for deployment in services.ledger.deployments(app, 50):
        if deployment.outcome != "succeeded" or deployment.to_version != back.version:
            continue
        if back.mode == "switch" and deployment.mode != "switch":
            continue
        took = [_seconds(step) for step in services.ledger.steps(deployment.id) if step.name in wanted]
        return round(sum(took) + _SWITCH_SECONDS / 2, 2)
    return {"switch": _SWITCH_SECONDS, "start": _START_SECONDS}.get(back.mode)


def _in_progress(services: Services, app: str, problems: list[str]) -> Json | None:
    deployment = services.ledger.open_deployment(app)
    if deployment is None:
        return None
    steps = services.ledger.steps(deployment.id)
    holder = services.locks.holder(app)
    if holder is None:
        problems.append(f"the {deployment.kind} to {deployment.to_version} was interrupted: deployctl recover")
    return {
        "id": deployment.id,
        "kind": deployment.kind,
        "from": deployment.from_version,
        "to": deployment.to_version,
        "started_at": deployment.started_at,
        "step": steps[-1].name if steps else None,
        "running": holder is not None,
        "holder": holder,
    }


def history(services: Services, app: str, limit: int) -> Json:
    """Deployments, newest first."""
    rows = [deployment_row(services, found) for found in services.ledger.deployments(app, limit)]
    return {**SCHEMA, "app": app, "deployments": rows}


def deployment_row(services: Services, found: Deployment) -> Json:
    steps = [_step(step) for step in services.ledger.steps(found.id)]
    return {
        "id": found.id,
        "kind": found.kind,
        "from": found.from_version,
        "to": found.to_version,
        "actor": found.actor,
        "command": found.command,
        "started_at": found.started_at,
        "finished_at": found.finished_at,
        "outcome": found.outcome,
        "reason": found.reason,
        "git_commit": found.git_commit,
        "seconds": round(sum(step["seconds"] for step in steps), 3),
        "steps": steps,
    }


def _step(step: StepRecord) -> Json:
    return {
        "name": step.name,
        "undo": step.undo,
        "state": step.state,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "seconds": _seconds(step),
        "detail": {key: value for key, value in step.detail.items() if key != "log"},
    }


def _seconds(step: StepRecord) -> float:
    if step.seconds is not None:
        return step.seconds
    if step.finished_at is None:
        return 0.0
    # Journaled by a deployctl that kept no durations: the wall clock may have been set meanwhile.
    took = datetime.fromisoformat(step.finished_at) - datetime.fromisoformat(step.started_at)
    return max(0.0, round(took.total_seconds(), 3))


def kept_log(services: Services, app: str, version: str) -> str | None:
    """The last lines of a version's containers that were removed when it failed; None when there are none."""
    for deployment in services.ledger.deployments(app, 50):
        if deployment.to_version == version:
            for step in reversed(services.ledger.steps(deployment.id)):
                if step.detail.get("log"):
                    return str(step.detail["log"])
    return None
