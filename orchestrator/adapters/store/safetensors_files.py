"""Reads the tensors of .safetensors files.

The format is described in https://github.com/huggingface/safetensors#format: 8 bytes N (little-endian), N bytes of
JSON, the elements. The library checks the header. The elements are read here, because its NumPy interface supports
neither bfloat16 nor the small floats.
"""

from __future__ import annotations

import json
import math
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator.adapters.store.tensor_files import Damaged, Tensor, family_of, region, unpacked
from orchestrator.adapters.store.tensor_limits import LISTS, Header, Limits, TooLarge

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPES = {
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


def safetensors(path: Path, name: str, stack: ExitStack, limits: Limits) -> dict[str, Tensor]:
    """The tensors of a .safetensors file."""
    from safetensors import safe_open

    header = Header(limits)
    file = stack.enter_context(path.open("rb"))
    size = int.from_bytes(file.read(8), "little")
    if 8 + size > path.stat().st_size:
        raise Damaged("is damaged, or is not a safetensors file: it ends before its header does")
    header.read(size)
    text = file.read(size)
    if text.count(b"[") + text.count(b"{") > LISTS:
        raise TooLarge(f"has a header with more than {LISTS:,} lists, which is the limit")
    # safe_open checks that the ranges match the types and shapes, do not overlap, and fill the file.
    check: Any = safe_open
    with check(path, framework="np"):
        pass
    rows: dict[str, dict[str, Any]] = json.loads(text)
    rows.pop("__metadata__", None)
    for row in rows.values():
        header.tensor(len(row["shape"]))
    return {key: _of_range(file, 8 + size, row, limits) for key, row in rows.items()}


def _of_range(file: IO[bytes], base: int, facts: dict[str, Any], limits: Limits) -> Tensor:
    import ml_dtypes
    import numpy as np

    begin, end = facts["data_offsets"]
    shape = tuple(facts["shape"])
    code = facts["dtype"]
    if code not in _TYPES:
        whole_bytes = region(file, base + begin, np.dtype(np.uint8), end - begin, limits)
        if code == "F4":
            return Tensor(shape, "float4_e2m1fn", "float", 1, unpacked(whole_bytes, 4, 2 * (end - begin), _float4))
        # 6 bits per element, or an unknown newer type.
        return Tensor(shape, code.lower(), None, 1, whole_bytes)
    dtype = np.dtype(getattr(ml_dtypes, _TYPES[code], _TYPES[code])).newbyteorder("<")
    slices = region(file, base + begin, dtype, math.prod(shape), limits)
    return Tensor(shape, dtype.name, family_of(dtype), dtype.itemsize, slices)


def _float4(elements: NDArray[Any]) -> NDArray[Any]:
    import ml_dtypes

    return elements.view(ml_dtypes.float4_e2m1fn)
