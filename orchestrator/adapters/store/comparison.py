"""Compares the tensors of stored model files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.adapters.store import tensors
from orchestrator.adapters.store.objects import Objects
from orchestrator.domain.version.manifest import File

if TYPE_CHECKING:
    from orchestrator.domain.version.tensors import TensorChange


class StoreTensorComparison:
    """Compares the objects of a store. See `TensorComparison`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def compare(self, before: File, after: File) -> tuple[tuple[TensorChange, ...], str | None]:
        if not tensors.readable(after.path):
            return (), None
        one, two = (self._objects.place(file.digest, file.mode) for file in (before, after))
        if not (one.exists() and two.exists()):
            return (), "only files of the [model] folder in kept versions can be compared by tensor"
        try:
            return tensors.compare(one, two, after.path), None
        except tensors.TensorsUnreadable as error:
            return (), f"{error.why}: {error.hint}" if error.hint else error.why
