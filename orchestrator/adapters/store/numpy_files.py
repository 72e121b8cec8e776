"""Reads the arrays of .npy and .npz files.

The format is described in https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html; a .npz is a ZIP of
such files. NumPy parses the headers. Nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator.adapters.store.tensor_files import Damaged, Tensor, family_of, read
from orchestrator.adapters.store.tensor_limits import HEADER, TENSORS, Header, Limits, TooLarge
from orchestrator.text import size as in_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# NumPy itself reads no longer ones, but has them in memory before it finds that out.
_LONGEST_HEADER = 10_000
# An escaped character takes at most 2.5 times as much (`\U0001f600` for four bytes).
_LONGEST_ESCAPED = 3 * _LONGEST_HEADER
# NumPy has no longer ones. Without elements, a file of a few bytes can have any shape.
_LONGEST_DIMENSION = 2**63 - 1
_WRITTEN_BY_NUMPY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def npy(path: Path, name: str, stack: ExitStack, limits: Limits) -> dict[str, Tensor]:
    """The array of a .npy file, under the name of the file."""
    tensor = _array(lambda: path.open("rb"), path.stat().st_size, limits)
    Header(limits).tensor(len(tensor.shape))
    return {Path(name).stem: tensor}


def npz(path: Path, name: str, stack: ExitStack, limits: Limits) -> dict[str, Tensor]:
    """The arrays of a .npz file."""
    header = Header(limits)
    file = stack.enter_context(_Archive(path, limits))
    archive = stack.enter_context(zipfile.ZipFile(file))
    file.directory = False
    if len(archive.filelist) > TENSORS:
        raise TooLarge(f"has {len(archive.filelist):,} members, above the limit of {TENSORS:,}")
    tensors = {}
    # NumPy gives its members this suffix; other members are not arrays.
    for info in (info for info in archive.NameToInfo.values() if info.filename.endswith(".npy")):
        if info.compress_type not in _WRITTEN_BY_NUMPY:
            # The decompressors of other methods cannot be told how much to return.
            raise Damaged("has a member that is compressed in a way that NumPy does not write")
        tensors[info.filename[:-4]] = tensor = _member(archive, info, limits)
        header.tensor(len(tensor.shape))
    return tensors


class _Archive(io.BufferedReader):
    """An archive for zipfile, which reads the directory of an archive at once, however large it is.

    `directory`: it is reading that now.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(io.FileIO(path))
        self.directory = True
        self._limits = limits

    def read(self, size: int | None = -1, /) -> bytes:
        self._limits.check()  # zipfile reads on until it has an element, however much it takes
        if self.directory and size is not None and size > HEADER:
            raise TooLarge(f"has a directory of {in_words(size)}, above the limit of {in_words(HEADER)}")
        return super().read(size)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: Limits) -> Tensor:
    return _array(lambda: archive.open(info), info.file_size, limits)


def _array(again: Callable[[], IO[bytes]], size: int, limits: Limits) -> Tensor:
    """The array of a .npy file of `size` bytes, which `again` opens from the start."""
    import numpy as np

    with again() as file:
        shape, by_column, dtype, begin = _header(file)
    if any(length < 0 for length in shape):
        raise Damaged("is damaged: its shape has a negative dimension")
    if any(length > _LONGEST_DIMENSION for length in shape):
        raise Damaged("is damaged: its shape has a dimension above 2**63-1")
    count, itemsize = math.prod(shape), dtype.itemsize
    label, family = dtype.name, family_of(dtype)
    if dtype.hasobject:
        # A pickle, which is compared as bytes and never loaded.
        count, itemsize, label, family = size - begin, 1, "object", None
    elif family is None:
        label = str(dtype) if dtype.fields else dtype.str
    if begin + count * itemsize > size:
        raise Damaged("ends before its tensors do")

    def slices(step: int) -> Iterator[NDArray[Any]]:
        with again() as file:
            file.read(begin)
            if family is None:
                yield from read(file, np.dtype(np.uint8), count * itemsize, step, limits)
            else:
                yield from read(file, dtype, count, step, limits)

    return Tensor(
        tuple(int(length) for length in shape),
        label,
        family,
        itemsize,
        slices,
        by_column=by_column and len(shape) > 1 and label != "object",
    )


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """The shape of an array, whether it is stored by column, its type, and the position of its elements."""
    from numpy.lib import format as layout

    version = layout.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise Damaged(f"has the format version {version[0]}.{version[1]}, which is not supported")
    length = file.read(2 if version == (1, 0) else 4)
    size = int.from_bytes(length, "little")
    if size > _LONGEST_HEADER:
        raise TooLarge(f"has an array with a header of {size:,} bytes, above the limit of {_LONGEST_HEADER:,}")
    return *_parsed(version, file.read(size)), layout.MAGIC_LEN + len(length) + size


# An archive may have many thousands of arrays of a few shapes.
@lru_cache(maxsize=256)
def _parsed(version: tuple[int, int], text: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    from numpy.lib import format as layout

    if version == (3, 0):
        # It differs from 2.0 only in the encoding of field names, and NumPy has no public function for it. The header
        # is a Python literal, in which escapes are the same characters.
        text = text.decode().encode("ascii", "backslashreplace")
    file = io.BytesIO(len(text).to_bytes(4, "little") + text)
    shape, by_column, dtype = layout.read_array_header_2_0(file, max_header_size=_LONGEST_ESCAPED)
    return shape, by_column, dtype
