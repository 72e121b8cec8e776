"""Untag: removes the name that an interrupted push or pull may have left on an image."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.frozen import frozen
from orchestrator.release.steps.base import Action
from orchestrator.release.work import Detail, Work


@frozen
class Untag(Action):
    """Removes a name from an image that has another name as well."""

    name: ClassVar[str] = "untag"
    reference: str

    @property
    def words(self) -> str:
        return f"remove the name {self.reference} from the image"

    def run(self, work: Work) -> Detail:
        work.services.registry.untag(self.reference)
        return {}
