"""Compares the tensors of stored model files."""

from __future__ import annotations

from orchestrator.adapters.store import tensors
from orchestrator.adapters.store.objects import Objects
from orchestrator.adapters.store.tensor_limits import Limits
from orchestrator.domain.version.manifest import File
from orchestrator.domain.version.tensors import TensorDifference


class StoreTensorComparison:
    """Compares the objects of a store. See `TensorComparison`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def readable(self, path: str) -> bool:
        return tensors.readable(path)

    def compare(self, before: File, after: File, seconds: float) -> TensorDifference:
        if not tensors.readable(after.path):
            return TensorDifference()
        limits = Limits(seconds)
        one, two = (self._objects.place(file.digest, file.mode) for file in (before, after))
        if not (one.is_file() and two.is_file()):
            why = "tensors are compared only in files of the [model] folder, and only between kept versions"
            return TensorDifference(note=why)
        try:
            return tensors.compare(one, two, after.path, limits)
        except tensors.TensorsUnreadable as error:
            return TensorDifference(note=f"{error.why}: {error.hint}" if error.hint else error.why, limit=error.limit)
