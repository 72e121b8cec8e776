"""Which tensors of a model file changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.manifest import File
    from orchestrator.domain.version.tensors import TensorChange


class TensorComparison(Protocol):
    """Compares two stored model files tensor by tensor. May be repeated: it changes nothing."""

    def compare(self, before: File, after: File) -> tuple[tuple[TensorChange, ...], str | None]:
        """The tensors that differ, and why they could not be compared, in words. Never raises.

        Both are empty when the tensors are the same, and for a file of a format without tensors.
        """
