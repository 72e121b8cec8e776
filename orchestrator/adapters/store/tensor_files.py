"""Reads the tensors of safetensors, .npy and .npz files: shape, type, and elements in slices.

Elements are not mapped, because mapped pages count as memory of the process. The libraries check and parse the headers;
the positions of the elements follow from the documented formats:

- safetensors: https://github.com/huggingface/safetensors#format. 8 bytes N (little-endian), N bytes of JSON, the
  elements. Read here because the library's NumPy interface supports neither bfloat16 nor the small floats.
- .npy: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. A .npz is a ZIP of them.

For ONNX see onnx_files.py.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from orchestrator.frozen import frozen

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
    `family` is None for elements that are not numbers, whose bytes are compared. `itemsize` is in bytes.
    """

    shape: tuple[int, ...]
    dtype: str
    family: Family | None
    itemsize: int
    slices: Slices
    by_column: bool = False


def by_row(tensor: Tensor) -> Tensor:
    """The same tensor with its elements by row. A tensor that is stored by column is loaded completely."""
    if not tensor.by_column:
        return tensor

    def slices(step: int) -> Iterator[NDArray[Any]]:
        import numpy as np

        filled = 0
        whole: NDArray[Any] | None = None
        for part in tensor.slices(step):
            if whole is None:
                whole = np.empty(math.prod(tensor.shape), part.dtype)
            whole[filled : filled + part.size] = part
            filled += part.size
        if whole is not None:
            rows = whole.reshape(tensor.shape, order="F").flat
            for start in range(0, whole.size, step):
                yield rows[start : start + step]

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


def read(file: IO[bytes], dtype: np.dtype[Any], count: int, step: int) -> Iterator[NDArray[Any]]:
    """The next `count` elements of a file, in slices of `step`."""
    import numpy as np

    while count and dtype.itemsize:
        take = min(step, count)
        data = file.read(take * dtype.itemsize)
        if len(data) != take * dtype.itemsize:
            raise Damaged("ends before its tensors do")
        yield np.frombuffer(data, dtype)
        count -= take
    file.read(1)  # at the end of a member, zipfile verifies its checksum


def region(file: IO[bytes], begin: int, dtype: np.dtype[Any], count: int) -> Slices:
    """`count` elements of a file from the position `begin`, in slices."""

    def slices(step: int) -> Iterator[NDArray[Any]]:
        # The file may be shared: the slices of different tensors are never interleaved.
        file.seek(begin)
        return read(file, dtype, count, step)

    return slices


# --- safetensors -----------------------------------------------------------------------------------------------------

_SAFETENSORS = {
    "BOOL": "bool",
    **{f"{sign}{bits}": f"{word}{bits}" for sign, word in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "C64": "complex64",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}


def safetensors(path: Path, name: str, stack: ExitStack) -> dict[str, Tensor]:
    """The tensors of a .safetensors file."""
    from safetensors import safe_open

    # safe_open checks that the ranges match the types and shapes, do not overlap, and fill the file.
    check: Any = safe_open
    with check(path, framework="np"):
        pass
    file = stack.enter_context(path.open("rb"))
    size = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return {key: _of_range(file, 8 + size, facts) for key, facts in header.items()}


def _of_range(file: IO[bytes], base: int, facts: dict[str, Any]) -> Tensor:
    import ml_dtypes
    import numpy as np

    begin, end = facts["data_offsets"]
    shape = tuple(facts["shape"])
    code = facts["dtype"]
    if code not in _SAFETENSORS:
        whole_bytes = region(file, base + begin, np.dtype(np.uint8), end - begin)
        if code == "F4":
            return Tensor(shape, "float4_e2m1fn", "float", 1, _nibbles(whole_bytes))
        # 6 bits per element, or an unknown newer type.
        return Tensor(shape, code.lower(), None, 1, whole_bytes)
    dtype = np.dtype(getattr(ml_dtypes, _SAFETENSORS[code], _SAFETENSORS[code])).newbyteorder("<")
    return Tensor(
        shape, dtype.name, family_of(dtype), dtype.itemsize, region(file, base + begin, dtype, math.prod(shape))
    )


def _nibbles(pairs: Slices) -> Slices:
    def slices(step: int) -> Iterator[NDArray[Any]]:
        import ml_dtypes
        import numpy as np

        for part in pairs(step // 2):
            # The order of the two does not matter, because it is the same in both files.
            yield np.stack((part & 15, part >> 4), axis=1).reshape(-1).view(ml_dtypes.float4_e2m1fn)

    return slices


# --- NumPy -----------------------------------------------------------------------------------------------------------


def npy(path: Path, name: str, stack: ExitStack) -> dict[str, Tensor]:
    """The array of a .npy file, under the name of the file."""
    return {Path(name).stem: _array(lambda: path.open("rb"), path.stat().st_size)}


def npz(path: Path, name: str, stack: ExitStack) -> dict[str, Tensor]:
    """The arrays of a .npz file."""
    archive = stack.enter_context(zipfile.ZipFile(path))
    # NumPy gives its members this suffix; other members are not arrays.
    members = [info for info in archive.NameToInfo.values() if info.filename.endswith(".npy")]
    return {info.filename[:-4]: _member(archive, info) for info in members}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Tensor:
    return _array(lambda: archive.open(info), info.file_size)


def _array(again: Callable[[], IO[bytes]], size: int) -> Tensor:
    """The array of a .npy file of `size` bytes, which `again` opens from the start."""
    import numpy as np
    from numpy.lib import format as layout

    with again() as file:
        version = layout.read_magic(file)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise Damaged(f"has the format version {version[0]}.{version[1]}, which is not supported")
        # 3.0 differs from 2.0 only in the encoding of field names.
        header = layout.read_array_header_1_0 if version == (1, 0) else layout.read_array_header_2_0
        shape, by_column, dtype = header(file)
        begin = file.tell()
    count = math.prod(shape)
    label, family = dtype.name, family_of(dtype)
    if dtype.hasobject:
        # A pickle, which is compared as bytes and never loaded.
        count, label, dtype = size - begin, "object", np.dtype(np.uint8)
    elif family is None:
        label = str(dtype) if dtype.fields else dtype.str
        dtype = np.dtype((np.void, dtype.itemsize))
    if any(length < 0 for length in shape) or begin + count * dtype.itemsize > size:
        raise Damaged("ends before its tensors do")

    def slices(step: int) -> Iterator[NDArray[Any]]:
        with again() as file:
            file.read(begin)
            yield from read(file, dtype, count, step)

    return Tensor(
        tuple(int(length) for length in shape),
        label,
        None if label == "object" else family,
        dtype.itemsize,
        slices,
        by_column=by_column and len(shape) > 1 and label != "object",
    )
