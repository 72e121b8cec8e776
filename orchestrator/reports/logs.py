"""Which logs `deployctl logs` prints."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services
from orchestrator.reports.status import kept_log


@dataclass(frozen=True)
class Logs:
    """Where the logs of a version are: in its containers, else the lines kept when they were removed."""

    version: str
    containers: tuple[Container, ...] = ()
    kept: str | None = None


def find_logs(services: Services, app: str, version: str | None) -> Logs:
    """The logs of `version`, without one those of the live version.

    Raises:
        UsageError: nothing is live, or the version has neither containers nor kept lines.
    """
    observed = services.observe(app)
    live = observed.live
    wanted = version or (live.version if live else None)
    if wanted is None:
        raise UsageError(f"{app} has no live version", hint="name a version: deployctl logs v1")
    slot = live.slot if live and live.version == wanted else None
    containers = observed.of(wanted, slot)
    if containers:
        return Logs(wanted, tuple(containers))
    kept = kept_log(services, app, wanted)
    if kept is None:
        raise UsageError(f"{wanted} has no containers and no kept log", hint="deployctl tree")
    return Logs(wanted, kept=kept)
