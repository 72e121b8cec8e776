"""The logs of a version's containers, also of those that were removed when it failed. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import UsageError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.observe import observe

_RECENT = 50


@frozen
class LogsReport:
    """The log of a version: `logs` by the name of each container, or `lines` that were kept of removed containers."""

    version: str
    containers_removed: bool
    logs: Mapping[str, tuple[str, ...]] | None
    lines: tuple[str, ...] | None


@frozen
class LogSource:
    """Where a version's log is: in containers, or, when there are none, in the text that was kept of them."""

    version: str
    containers: tuple[Container, ...]
    kept: str = ""


def find_logs(services: Services, app: str, version: str | None) -> LogSource:
    """Finds the log of a version, or with None of the live one.

    Raises:
        UsageError: nothing is live, or the version has no containers and no log was kept.
    """
    observed = observe(services, app)
    live = observed.live
    name = version or (live.version if live else None)
    if name is None:
        raise UsageError(f"{app} has no live version", hint="name a version: deployctl logs v1")
    containers = observed.of(name, live.slot if live and live.version == name else None)
    if containers:
        return LogSource(name, containers)
    kept = _kept(services, app, name)
    if kept is None:
        raise UsageError(f"{name} has no containers, and no log of it was kept", hint="deployctl tree")
    return LogSource(name, (), kept)


def read(services: Services, source: LogSource, *, tail: int, follow: bool = False) -> Iterator[tuple[Container, str]]:
    """The last `tail` lines of each container, and with `follow` every new line."""
    for container in source.containers:
        for line in services.access.logs(container, tail=tail, follow=follow):
            yield container, line


def logs(services: Services, source: LogSource, *, tail: int) -> LogsReport:
    """A version's log as a report."""
    if not source.containers:
        return LogsReport(source.version, True, None, tuple(source.kept.splitlines()))
    collected: dict[str, list[str]] = {}
    for container, line in read(services, source, tail=tail):
        collected.setdefault(container.name, []).append(line)
    return LogsReport(source.version, False, {name: tuple(lines) for name, lines in collected.items()}, None)


def _kept(services: Services, app: str, version: str) -> str | None:
    for deployment in services.ledger.deployments(app, _RECENT):
        if deployment.to_version == version:
            for step in reversed(services.ledger.steps(deployment.id)):
                if step.detail.get("log"):
                    return str(step.detail["log"])
    return None
