"""The first and the last lines of containers' logs, for error messages and for the journal."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.config import Config
from orchestrator.domain.health.diagnosis import HEALTH_PATHS
from orchestrator.domain.health.log_lines import Excerpt, asks, excerpt
from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import OperationFailed
from orchestrator.ports.services import Services
from orchestrator.text import counted

# How many of the first and of the last lines an error message shows, and the journal keeps.
_SHOWN_LINES = (10, 20)
KEPT_LINES = (50, 200)


def first_and_last_lines(
    services: Services, config: Config, containers: Sequence[Container], count: tuple[int, int]
) -> str:
    """The first and the last lines of each container's log, without those about probes; values of secrets are masked.

    The first lines often have the reason, the last ones what it led to.
    """
    parts: list[str] = []
    for container in containers:
        try:
            found = read(services, config, container, *count)
        except OperationFailed as error:
            parts += [f"the log of {container.name} cannot be read: {error}"]
            continue
        if found.left_out:
            parts += [f"first lines of {container.name}:", *(f"  {line}" for line in found.first)]
            parts += [f"  ({counted(found.left_out, 'line')} left out)"]
            parts += [f"last lines of {container.name}:", *(f"  {line}" for line in found.last)]
        elif found.lines:
            parts += [f"last lines of {container.name}:", *(f"  {line}" for line in found.lines)]
    return services.secrets.mask(config.app.name, "\n".join(parts))


def read(services: Services, config: Config, container: Container, first: int, last: int) -> Excerpt:
    """The first and the last lines of a log as they are, without those about probes."""
    ours = asks({*config.probe_spec().paths, *HEALTH_PATHS})
    return excerpt(services.access.logs(container, tail=None), first=first, last=last, ours=ours)


def shown_lines(services: Services, config: Config, containers: Sequence[Container]) -> str:
    """The first and the last lines of containers, as an error message shows them."""
    return first_and_last_lines(services, config, containers, _SHOWN_LINES) or "(its log is empty)"


def lines_of(services: Services, config: Config, version: str) -> str:
    """The same of all containers of a version."""
    try:
        containers = [each for each in services.workloads.containers(config.app.name) if each.version == version]
    except OperationFailed as error:
        return f"the log of {version} cannot be read: {error}"
    return shown_lines(services, config, containers)


def masked_lines(services: Services, app: str, lines: Sequence[str]) -> tuple[str, ...]:
    """The lines with the values of secrets masked."""
    return tuple(services.secrets.mask(app, "\n".join(lines)).split("\n")) if lines else ()
