"""Whether a model is ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.health.cause import Cause
    from orchestrator.domain.health.diagnosis import Protocol as Spoken
    from orchestrator.domain.health.probe import ProbeSpec, Ready, Reply, Target
    from orchestrator.domain.health.tally import Tally
    from orchestrator.ports.progress import Progress


def unknown(target: Target, tally: Tally) -> Cause | None:
    """A `diagnose` that finds nothing."""


class Prober(Protocol):
    """Probes models over HTTP. All methods may be repeated: a probe changes nothing."""

    def probe(self, address: str, spec: ProbeSpec) -> Reply:
        """Sends one probe to `spec.path`, which takes at most `spec.timeout` seconds.

        Never raises: errors are part of the reply.
        """

    def protocol(self, address: str, port: int, timeout: float) -> Spoken:
        """What a server that gives no HTTP answer speaks: TLS, HTTP/2 without TLS, or something unknown (empty).

        Takes at most about twice `timeout` seconds. Never raises.
        """

    def wait_ready(
        self,
        targets: Sequence[Target],
        spec: ProbeSpec,
        *,
        alive: Callable[[Target], str | None],
        progress: Progress,
        diagnose: Callable[[Target, Tally], Cause | None] = unknown,
    ) -> Ready:
        """Waits until every target has given `spec.successes` good replies in a row at one of `spec.paths`.

        Returns that path (of the first target), and whether all targets closed the connection after their last reply,
        as a probe asks them to.

        `alive` returns why a target has ended, or None while it runs. `diagnose` says why a target is not ready yet; it
        is called about once a second, beside the probes. A cause that stays the same for its `patience` ends the wait.
        Both are called from several threads.

        Raises:
            ProbeFailed: a target did not become ready within `spec.deadline` seconds, never will, or has ended. It
                names the cause that `diagnose` has found last.
            Interrupted: `progress.check` raised it.
            Whatever `alive` raises.
        """
