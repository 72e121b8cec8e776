"""What changed in the tensors of a model's file, as plain data. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TensorChange:
    """One tensor that is not in both files, or differs between them. Everything here can be written as JSON.

    A shape is None on the side where there is no tensor, and () for a single number. Names of types are NumPy's
    (`float32`, `bfloat16`, `float8_e4m3fn`).

    `largest` is the largest absolute change of one element, 0.0 where only the type changed. It is None where there is
    nothing to measure: the tensor is in one file only, its shape changed, its type became one of another family
    (bool, integer, float, complex) or holds no numbers, or every change is one of those that `nonfinite` counts.

    `nonfinite` is how many elements became NaN or infinite, were so, or changed from one infinity to the other. Such a
    change has no size; `largest` speaks of the other elements.
    """

    name: str
    change: Literal["added", "removed", "changed"]
    shape_before: tuple[int, ...] | None
    shape_after: tuple[int, ...] | None
    dtype_before: str | None
    dtype_after: str | None
    largest: float | None
    nonfinite: int = 0
