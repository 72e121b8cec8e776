"""Whether a model is ready."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.health.probe import ProbeSpec, Reply, Target
    from orchestrator.ports.progress import Progress


class Prober(Protocol):
    """Asks models over HTTP. All may be repeated: a probe changes nothing."""

    def probe(self, address: str, spec: ProbeSpec) -> Reply:
        """Asks once, within `spec.timeout` seconds in all. Whatever the server does becomes a Reply; never raises."""

    def wait_ready(
        self,
        targets: Sequence[Target],
        spec: ProbeSpec,
        *,
        alive: Callable[[Target], str | None],
        progress: Progress,
    ) -> None:
        """Waits until every target has given `spec.successes` good answers in a row.

        `alive` says why a target has ended, or None; it is called from several threads.

        Raises:
            ProbeFailed: one did not become ready within `spec.deadline` seconds, never will, or has ended.
            Interrupted: `progress.check` raised it.
            Whatever `alive` raises.
        """
