"""The first and the last lines of containers' logs, for error messages and for the journal."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain.health.diagnosis import HEALTH_PATHS
from orchestrator.domain.health.log_lines import Excerpt, asks, excerpt
from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import OperationFailed
from orchestrator.ports.services import Services
from orchestrator.release.work import Work
from orchestrator.text import counted

# How many of the first and of the last lines an error message shows, and the journal keeps.
SHOWN_LINES = (10, 20)
KEPT_LINES = (50, 200)


def first_and_last_lines(work: Work, containers: Sequence[Container], count: tuple[int, int]) -> str:
    """The first and the last lines of each container's log, without those about probes; values of secrets are masked.

    The first lines often have the reason, the last ones what it led to.
    """
    parts: list[str] = []
    for container in containers:
        try:
            found = read(work, container, *count)
        except OperationFailed as error:
            parts += [f"the log of {container.name} cannot be read: {error}"]
            continue
        if found.left_out:
            parts += [f"first lines of {container.name}:", *(f"  {line}" for line in found.first)]
            parts += [f"  ({counted(found.left_out, 'line')} left out)"]
            parts += [f"last lines of {container.name}:", *(f"  {line}" for line in found.last)]
        elif found.lines:
            parts += [f"last lines of {container.name}:", *(f"  {line}" for line in found.lines)]
    return work.services.secrets.mask(work.app, "\n".join(parts))


def read(work: Work, container: Container, first: int, last: int) -> Excerpt:
    """The first and the last lines of a log as they are, without those about probes."""
    ours = asks({*work.config.probe_spec().paths, *HEALTH_PATHS})
    return excerpt(work.services.access.logs(container, tail=None), first=first, last=last, ours=ours)


def masked_lines(services: Services, app: str, lines: Sequence[str]) -> tuple[str, ...]:
    """The lines with the values of secrets masked."""
    return tuple(services.secrets.mask(app, "\n".join(lines)).split("\n")) if lines else ()
