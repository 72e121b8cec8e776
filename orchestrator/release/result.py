"""How a deployment ended, for the command that carried it out."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.domain.rollout.deployment import Deployment
from orchestrator.frozen import frozen


@frozen
class Result:
    """How a deployment ended. `deployment` is None when there was nothing to do.

    `seconds` is how long the command took; `config` is what was released, None for a rollback.
    """

    version: str
    previous: str | None
    deployment: Deployment | None
    seconds: float
    notes: tuple[str, ...] = ()
    config: Config | None = None
