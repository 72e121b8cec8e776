"""Changes in the tensors of a model file. Pure."""

from __future__ import annotations

from typing import Literal

from orchestrator.frozen import frozen

Limit = Literal["time", "size"]


@frozen
class TensorChange:
    """A tensor that exists in one of two files only, or differs between them. All fields are ready for JSON.

    A shape is None where the tensor does not exist, and () for a single number. Types have NumPy's names (`float32`,
    `bfloat16`, `float8_e4m3fn`).

    `largest` is the largest absolute change of one element, 0.0 when only the type changed. It is None when changes
    cannot be measured: the tensor is in one file only, its shape changed, its type changed to another kind (bool,
    integer, float, complex) or is not numeric, or `nonfinite` counts all changed elements.

    `nonfinite` counts the elements that became NaN or infinite, were NaN or infinite, or changed from one infinity to
    the other. `largest` does not include them.
    """

    name: str
    change: Literal["added", "removed", "changed"]
    shape_before: tuple[int, ...] | None
    shape_after: tuple[int, ...] | None
    dtype_before: str | None
    dtype_after: str | None
    largest: float | None
    nonfinite: int = 0


@frozen
class TensorDifference:
    """The tensors that differ between two files, as far as they were compared.

    `note` says what was not compared, and why; None when everything was. `limit` is what stopped the comparison, if it
    was a limit: its time, or the size of a header or of a tensor.
    """

    tensors: tuple[TensorChange, ...] = ()
    note: str | None = None
    limit: Limit | None = None
