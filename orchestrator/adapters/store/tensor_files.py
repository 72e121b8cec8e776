"""The tensors of an open file: shape, type, and elements in slices.

Elements are not mapped, because mapped pages count as memory of the process. For the formats see safetensors_files.py,
numpy_files.py and onnx_files.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any, Literal

from orchestrator.adapters.store.tensor_limits import ELEMENT, WHOLE, Limits, TooLarge
from orchestrator.frozen import frozen
from orchestrator.text import size as in_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Family = Literal["bool", "integer", "float", "complex"]
Slices = Callable[[int], Iterator["NDArray[Any]"]]


class Damaged(Exception):
    """A file is damaged. The message completes "the older one …"."""


@frozen
class Tensor:
    """A tensor of an open file.

    `slices(step)` yields arrays of `step` elements, flat, in stored order: by row, or with `by_column` by column.
    `family` is None for elements that are not numbers: then the slices are `step` bytes. `itemsize` is in bytes.
    """

    shape: tuple[int, ...]
    dtype: str
    family: Family | None
    itemsize: int
    slices: Slices
    by_column: bool = False


def by_row(tensor: Tensor) -> Tensor:
    """The same tensor with its elements by row. A tensor that is stored by column is loaded completely.

    For elements that are not numbers, the slices must be a multiple of `itemsize`.

    Raises:
        TooLarge: it is stored by column, and it or one of its elements is too large for that.
    """
    size = math.prod(tensor.shape) * tensor.itemsize
    if not (tensor.by_column and size):
        return replace(tensor, by_column=False)
    stored = "is stored by row in one file and by column in the other"
    if size > WHOLE:
        raise TooLarge(f"{stored}, and has {in_words(size)}, above the limit of {in_words(WHOLE)} for that")
    if tensor.itemsize > ELEMENT:
        limit = in_words(ELEMENT)
        raise TooLarge(
            f"{stored}, and has elements of {in_words(tensor.itemsize)}, above the limit of {limit} for that"
        )

    def slices(step: int) -> Iterator[NDArray[Any]]:
        import numpy as np

        filled = 0
        whole: NDArray[Any] = np.empty(size, np.uint8)
        element: np.dtype[Any] = np.dtype((np.void, tensor.itemsize))
        for part in tensor.slices(step):
            whole[filled : filled + part.nbytes] = part.view(np.uint8)
            filled += part.nbytes
            element = part.dtype if tensor.family else element
        # NumPy iterates over at most 32 axes. Those of length 1 do not change the order, and the others are fewer.
        axes = [length for length in tensor.shape if length != 1]
        rows = whole.view(element).reshape(axes, order="F").flat
        count = step if tensor.family else step // tensor.itemsize
        for start in range(0, size // tensor.itemsize, count):
            slice_ = rows[start : start + count]
            yield slice_ if tensor.family else slice_.view(np.uint8)

    return replace(tensor, slices=slices, by_column=False)


def family_of(dtype: np.dtype[Any]) -> Family | None:
    """The kind of numbers of a type; None if they have no numeric distance."""
    kinds: dict[str, Family] = {"b": "bool", "i": "integer", "u": "integer", "f": "float", "c": "complex"}
    if dtype.kind == "V" and dtype.fields is None:
        # The types of ml_dtypes, which NumPy regards as void.
        if dtype.name.startswith(("float", "bfloat")):
            return "float"
        return "integer" if dtype.name.startswith(("int", "uint")) else None
    return kinds.get(dtype.kind)


def read(file: IO[bytes], dtype: np.dtype[Any], count: int, step: int, limits: Limits) -> Iterator[NDArray[Any]]:
    """The next `count` elements of a file, in slices of `step`."""
    import numpy as np

    while count and dtype.itemsize:
        limits.check()
        take = min(step, count)
        data = file.read(take * dtype.itemsize)
        if len(data) != take * dtype.itemsize:
            raise Damaged("ends before its tensors do")
        yield np.frombuffer(data, dtype)
        count -= take
    file.read(1)  # at the end of a member, zipfile verifies its checksum


def region(file: IO[bytes], begin: int, dtype: np.dtype[Any], count: int, limits: Limits) -> Slices:
    """`count` elements of a file from the position `begin`, in slices."""

    def slices(step: int) -> Iterator[NDArray[Any]]:
        # The file may be shared: the slices of different tensors are never interleaved.
        file.seek(begin)
        return read(file, dtype, count, step, limits)

    return slices


def unpacked(packed: Slices, bits: int, count: int, convert: Callable[[NDArray[Any]], NDArray[Any]]) -> Slices:
    """`count` elements of 2 or 4 bits, the first one in the lowest bits of each byte; `convert` gets one per byte."""

    def slices(step: int) -> Iterator[NDArray[Any]]:
        import numpy as np

        left = count
        for part in packed(step * bits // 8):
            elements = np.stack([part >> shift & (1 << bits) - 1 for shift in range(0, 8, bits)], axis=1).reshape(-1)
            yield convert(elements[:left])
            left -= elements.size

    return slices
