"""Untag: undoes what a push or a pull that was killed may have left on the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@dataclass(frozen=True)
class Untag(Action):
    """Removes a name from an image that has another one."""

    name: ClassVar[str] = "untag"
    reference: str

    @property
    def words(self) -> str:
        return f"remove the name {self.reference} from the image"

    def run(self, work: Work) -> Detail:
        work.services.registry.untag(self.reference)
        return {}
