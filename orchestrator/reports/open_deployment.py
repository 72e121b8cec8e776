"""The open deployment of an app, as `status` reports it."""

from __future__ import annotations

from orchestrator.domain.rollout.deployment import Kind
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services


@frozen
class LockHolder:
    """The command that holds the app's lock."""

    command: str
    pid: int | None
    since: str | None


@frozen
class OpenDeployment:
    """A deployment that runs, or that was interrupted. `step` is the last one that began."""

    id: int
    kind: Kind
    from_: str | None
    to: str
    started_at: str
    step: str | None
    running: bool
    holder: LockHolder | None


def open_deployment(services: Services, app: str, problems: list[str]) -> OpenDeployment | None:
    """The open deployment, if there is one; an interrupted one is added to the problems."""
    deployment = services.ledger.open_deployment(app)
    if deployment is None:
        return None
    steps = services.ledger.steps(deployment.id)
    holder = services.locks.holder(app)
    if holder is None:
        problems.append(f"the {deployment.kind} to {deployment.to_version} was interrupted: deployctl recover")
    return OpenDeployment(
        id=deployment.id,
        kind=deployment.kind,
        from_=deployment.from_version,
        to=deployment.to_version,
        started_at=deployment.started_at,
        step=steps[-1].name if steps else None,
        running=holder is not None,
        holder=None if holder is None else _holder(holder),
    )


def _holder(facts: dict[str, object]) -> LockHolder:
    # The lock's file may be read while its holder writes it: then the facts are missing.
    pid, since = facts.get("pid"), facts.get("since")
    return LockHolder(
        command=str(facts.get("command", "unknown")),
        pid=pid if isinstance(pid, int) else None,
        since=since if isinstance(since, str) else None,
    )
