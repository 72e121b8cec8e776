"""The last lines of containers' logs, for error messages and for the journal."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain.rollout.workload import Container
from orchestrator.errors import OperationFailed
from orchestrator.ports.services import Services

SHOWN_LINES = 20
KEPT_LINES = 200


def last_lines(services: Services, app: str, containers: Sequence[Container], count: int) -> str:
    """The last `count` lines of each container's log, with the values of secrets masked."""
    parts: list[str] = []
    for container in containers:
        try:
            lines = list(services.access.logs(container, tail=count))
        except OperationFailed as error:
            lines = [f"(its log cannot be read: {error})"]
        if lines:
            parts += [f"last lines of {container.name}:", *(f"  {line}" for line in lines)]
    return services.secrets.mask(app, "\n".join(parts))
