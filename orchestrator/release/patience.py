"""How long the newer of two versions may take to begin an answer before the older one is asked."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.domain.rollout.observed import Observed
from orchestrator.domain.traffic.latencies import quantile
from orchestrator.ports.services import Services
from orchestrator.release.evidence import ENOUGH, traffic

_TIMES_SLOWER = 5.0


def patience(services: Services, config: Config, observed: Observed) -> float:
    """rollout.patience, or five times as long as 99 % of the live version's answers take, if that is longer.

    In seconds; never longer than proxy.timeout.
    """
    if observed.live is None:
        return config.patience()
    times = traffic(services, observed.app, observed.live)[0].times
    if sum(times.values()) < ENOUGH:
        return config.patience()
    return min(max(config.patience(), _TIMES_SLOWER * (quantile(times, 0.99) or 0.0)), config.proxy.timeout)
