"""Which container `deployctl exec` runs a program in."""

from __future__ import annotations

from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import UsageError
from orchestrator.ports.services import Services
from orchestrator.release.observe import observe


def serving_container(services: Services, app: str) -> Container:
    """The first running container of the live version.

    Raises:
        UsageError: nothing is live, or no container of it runs.
    """
    observed = observe(services, app)
    live = observed.live
    if live is None:
        raise UsageError(f"{app} has no live version", hint="deployctl status")
    for container in observed.of(live.version, live.slot):
        if container.running:
            return container
    raise UsageError(f"no container of {live.version} is running", hint="deployctl recover")
