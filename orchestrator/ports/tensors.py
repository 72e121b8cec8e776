"""Comparison of model files by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.manifest import File
    from orchestrator.domain.version.tensors import TensorChange


class TensorComparison(Protocol):
    """Compares two stored model files tensor by tensor. May be repeated: it changes nothing."""

    def compare(self, before: File, after: File) -> tuple[tuple[TensorChange, ...], str | None]:
        """The tensors that differ, and, if the files cannot be compared, why in words. Never raises.

        No tensors and None when all tensors are equal, and for files of a format without tensors.
        """
