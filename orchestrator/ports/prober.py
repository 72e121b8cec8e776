"""Whether a model is ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.health.probe import ProbeSpec, Reply, Target
    from orchestrator.ports.progress import Progress


class Prober(Protocol):
    """Probes models over HTTP. All methods may be repeated: a probe changes nothing."""

    def probe(self, address: str, spec: ProbeSpec) -> Reply:
        """Sends one probe, which takes at most `spec.timeout` seconds. Never raises: errors are part of the reply."""

    def wait_ready(
        self,
        targets: Sequence[Target],
        spec: ProbeSpec,
        *,
        alive: Callable[[Target], str | None],
        progress: Progress,
    ) -> None:
        """Waits until every target has given `spec.successes` good replies in a row.

        `alive` returns why a target has ended, or None while it runs; it is called from several threads.

        Raises:
            ProbeFailed: a target did not become ready within `spec.deadline` seconds, never will, or has ended.
            Interrupted: `progress.check` raised it.
            Whatever `alive` raises.
        """
