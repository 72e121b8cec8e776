"""Keep: the engine restarts the containers of a version automatically from now on."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.domain.traffic.slot import Slot
from orchestrator.errors import EngineError, ProbeFailed
from orchestrator.frozen import frozen
from orchestrator.release.logs import shown_lines
from orchestrator.release.steps.base import Action
from orchestrator.release.steps.probe import ended
from orchestrator.release.work import Detail, Work


@frozen
class Keep(Action):
    """Enables automatic restart of a version's containers. Before that, an exit means that the version has failed."""

    name: ClassVar[str] = "keep"
    version: str
    slot: Slot

    @property
    def words(self) -> str:
        return f"enable automatic restart of {self.version}"

    def run(self, work: Work) -> Detail:
        for container in work.containers(self.version, self.slot):
            try:
                work.services.workloads.keep_running(container)
            except EngineError as error:
                # The engine refuses it for a container that does not run: then that is the reason.
                now = work.services.workloads.inspect(container.id)
                why = "it was removed" if now is None else ended(now, container.restarts)
                if not why:
                    raise
                raise ProbeFailed(
                    f"{container.name} is no longer ready",
                    why=why,
                    hint=f"fix it and release it again; the full log: deployctl logs {self.version}",
                    details=shown_lines(work.services, work.config, [container]),
                ) from error
        return {}
