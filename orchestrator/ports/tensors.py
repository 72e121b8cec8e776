"""Comparison of model files by tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from orchestrator.domain.version.manifest import File
    from orchestrator.domain.version.tensors import TensorDifference


class TensorComparison(Protocol):
    """Compares two stored model files tensor by tensor. May be repeated: it changes nothing."""

    def readable(self, path: str) -> bool:
        """Whether files with a name like this have tensors that can be compared."""

    def compare(self, before: File, after: File, seconds: float) -> TensorDifference:
        """The tensors that differ, and what was not compared and why. Never raises.

        No tensors and no note when all tensors are equal, and for files of a format without tensors. Ends soon after
        `seconds`, and needs about 400 MB of memory at most, whatever the files contain.
        """
