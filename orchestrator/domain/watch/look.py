"""What one look at a live version has observed, and the rules by which it is judged. Pure.

Times are seconds since the epoch: they pass from one process to the next.
"""

from __future__ import annotations

from dataclasses import field

from orchestrator.domain.traffic.judge import Assessment
from orchestrator.frozen import frozen


@frozen
class Rules:
    """The settings of the configuration that decide. Times in seconds."""

    busy: float = 600.0
    restarts: int = 5
    window: float = 600.0
    backoff: float = 10.0
    auto_rollback: bool = True
    settle: float = 0.0


@frozen
class Replica:
    """One replica of the live version, as the watchdog observed it.

    `fault` says why it must be repaired, empty when it need not be. `probe_failure` says why it is not ready although
    it runs, `missed` for how many seconds it had failed its probes when the look ended. `answers`: its process lives,
    because it answers something. `restarting`: it has ended, and the engine is about to start it again.
    `open_requests` and `answered` are the requests that are open on it at the proxy, and those that it has answered
    there since some moment; None when that was not read.

    `exits` is how often the engine has restarted it after it ended by itself, `exits_before` how many of them were
    before the version went live. `recently_started`: it was started after the version went live, at `started_at`, and
    still has time to become ready.
    """

    index: int
    name: str
    fault: str = ""
    probe_failure: str = ""
    answers: bool = False
    missed: float = 0.0
    restarting: bool = False
    open_requests: int = 0
    answered: int | None = None
    exits: int = 0
    exits_before: int = 0
    recently_started: bool = False
    started_at: float = 0.0

    @property
    def healthy(self) -> bool:
        return not self.fault and not self.probe_failure and not self.restarting


@frozen
class Look:
    """What one look observed of an app at rest. `since` is when the version went live."""

    now: float
    version: str
    replicas: tuple[Replica, ...]
    since: float = 0.0
    # Why the proxy does not pass requests on to healthy containers; empty when it does.
    unreachable: str = ""
    traffic: Assessment = field(default_factory=lambda: Assessment("inconclusive"))
    # How many requests it failed or has open, if it has answered none well since it went live.
    unanswered: int = 0
    bake_until: float | None = None
    # While the version bakes: whether its predecessor, which runs beside it, is ready.
    predecessor_ready: bool = False
    target: str | None = None
    cooling_until: float = 0.0

    @property
    def baking(self) -> bool:
        return self.bake_until is not None
