"""Compares the tensors of two versions of a model file: which differ, and by how much.

Reads safetensors, ONNX, .npy and .npz with the libraries of the extra `deployctl[tensors]`, which are imported when a
file is compared. The files are not trusted: any content leads to a result or to TensorsUnreadable. Nothing is
unpickled.

Elements are equal when their values are equal; NaN equals NaN, and 0.0 equals -0.0. Elements that are not numbers
(strings, times, records, Python objects; also the 6-bit numbers of safetensors) are compared as bytes.

Memory: a slice of 262,144 elements of each file and the results of their comparison, at most 64 MiB in addition to the
libraries, independent of the size of a tensor; and what tensor_limits.py allows: the headers of both files, one tensor
of 128 MiB that is stored by row in one file and by column in the other, and ONNX tensors that the library has to
decode (typed fields of old exporters).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.store import numpy_files, onnx_files, safetensors_files
from orchestrator.adapters.store.tensor_files import Damaged, Tensor, by_row
from orchestrator.adapters.store.tensor_limits import Limits, OutOfTime, TooLarge
from orchestrator.domain.version.tensors import Limit, TensorChange, TensorDifference
from orchestrator.errors import DeployctlError, UsageError
from orchestrator.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Elements per slice, and bytes if they are not numbers. Even, because two 4-bit numbers share a byte.
_SLICE = 2**18
_SLICE_BYTES = 2**22
_TIME_IS_OVER = "the time limit was reached"

_READERS = {
    ".safetensors": safetensors_files.safetensors,
    ".onnx": onnx_files.onnx,
    ".npy": numpy_files.npy,
    ".npz": numpy_files.npz,
}


class TensorsUnreadable(UsageError):
    """The tensors of two files cannot be compared; `why` has the reason. `limit`: the limit that was reached."""

    def __init__(self, name: str, why: str, *, hint: str = "", limit: Limit | None = None) -> None:
        super().__init__(f"the tensors of {name} cannot be compared", why=why, hint=hint)
        self.limit = limit


def readable(path_name: str) -> bool:
    """Whether `compare` supports files with the suffix of this name."""
    return Path(path_name).suffix.lower() in _READERS


def compare(before: Path, after: Path, name: str, limits: Limits | None = None) -> TensorDifference:
    """The tensors that were added, removed or changed, sorted by name. The suffix of `name` selects the format.

    The only tensor of a .npy file has the name of the file without the suffix. When the time of `limits` is over, the
    result has what was found until then.

    Raises:
        TensorsUnreadable: a library is missing, a file is damaged, does not match its suffix or is above a limit of
            tensor_limits.py, or it is an ONNX model with weights in other files.
    """
    read = _READERS.get(Path(name).suffix.lower())
    if read is None:
        raise TensorsUnreadable(name, "the format is not supported")
    limits = limits or Limits()
    with _clean(name, "one of the two"), ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # about old formats and NaN
        try:
            with _clean(name, "the older one"):
                old = read(before, name, stack, limits)
            with _clean(name, "the newer one"):
                new = read(after, name, stack, limits)
        except OutOfTime:
            return TensorDifference((), _TIME_IS_OVER, "time")
        return _compare(old, new, limits)


def _compare(old: dict[str, Tensor], new: dict[str, Tensor], limits: Limits) -> TensorDifference:
    changes: list[TensorChange] = []
    notes: list[str] = []
    skipped = 0
    limit: Limit | None = None
    names = sorted(old.keys() | new.keys())
    for index, name in enumerate(names):
        try:
            limits.check()
            change = _change(name, old.get(name), new.get(name))
        except OutOfTime:
            limit = "time"
            notes.append(f"{len(names) - index:,} of {len(names):,} tensors: {_TIME_IS_OVER}")
            break
        except TooLarge as error:
            limit = "size"
            skipped += 1
            if skipped == 1:
                notes.append(f"{name[:200]} {error}")
            continue
        if change is not None:
            changes.append(change)
    if skipped > 1:
        notes[0] += f" (and {counted(skipped - 1, 'more tensor')} above a limit)"
    return TensorDifference(tuple(changes), "; ".join(notes) or None, limit)


@contextmanager
def _clean(name: str, which: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        why = f"{error.name or 'a library'} is not installed, or cannot be loaded"
        raise TensorsUnreadable(name, why, hint="pip install 'deployctl[tensors]'") from error
    except Damaged as error:
        raise TensorsUnreadable(name, f"{which} {_words(error)}") from error
    except TooLarge as error:
        raise TensorsUnreadable(name, f"{which} {_words(error)}", limit="size") from error
    except (DeployctlError, OutOfTime):
        raise
    except OSError as error:
        raise TensorsUnreadable(name, f"{which} cannot be read: {error.strerror or _words(error)}") from error
    except Exception as error:  # with damaged files, libraries may raise any exception
        why = f"{which} is damaged, or does not match its suffix: {_words(error)}"
        raise TensorsUnreadable(name, why) from error


def _words(error: Exception) -> str:
    # The text may quote the content of the file.
    line = (str(error).splitlines() or [""])[0][:200]
    return "".join(sign if sign.isprintable() else "?" for sign in line) or type(error).__name__


def _change(name: str, old: Tensor | None, new: Tensor | None) -> TensorChange | None:
    if old is None or new is None:
        return TensorChange(
            name,
            "added" if old is None else "removed",
            old.shape if old else None,
            new.shape if new else None,
            old.dtype if old else None,
            new.dtype if new else None,
            None,
        )
    largest: float | None = None
    nonfinite = 0
    if old.shape == new.shape and old.family == new.family and (old.family or old.dtype == new.dtype):
        unit = 1
        if old.by_column != new.by_column:
            # Slices of bytes then have whole elements.
            old, new, unit = by_row(old), by_row(new), max(1, old.itemsize)
        same, largest, nonfinite = _measure(old, new) if old.family else (_same_bytes(old, new, unit), None, 0)
        if same and old.dtype == new.dtype:
            return None
    return TensorChange(name, "changed", old.shape, new.shape, old.dtype, new.dtype, largest, nonfinite)


def _same_bytes(old: Tensor, new: Tensor, unit: int) -> bool:
    import numpy as np

    step = max(1, _SLICE_BYTES // unit) * unit
    pairs = zip_longest(old.slices(step), new.slices(step))
    return all(a is not None and b is not None and np.array_equal(a, b) for a, b in pairs)


def _measure(old: Tensor, new: Tensor) -> tuple[bool, float | None, int]:
    """Whether all elements are equal, the largest change, and the number of changes without a size (NaN, infinity)."""
    import numpy as np

    distance = _DISTANCES[old.family or ""]
    largest: Any = 0
    nonfinite = 0
    with np.errstate(all="ignore"):
        for a, b in zip(old.slices(_SLICE), new.slices(_SLICE), strict=True):
            # Most slices of most files are equal, and comparing bytes is much faster.
            if a.dtype == b.dtype and np.array_equal(a.view(np.uint8), b.view(np.uint8)):
                continue
            top, without_size = distance(a, b)
            largest = max(largest, top)
            nonfinite += without_size
        same = bool(largest == 0 and nonfinite == 0)
        if largest == 0 and nonfinite:
            return False, None, nonfinite
        # The difference of two numbers can exceed the largest float, the limit of JSON.
        return same, min(float(largest), sys.float_info.max), nonfinite


def _of_bools(a: NDArray[Any], b: NDArray[Any]) -> tuple[int, int]:
    # A file can contain other bytes than 0 and 1.
    return int(((a.view("u1") != 0) != (b.view("u1") != 0)).any()), 0


def _of_integers(a: NDArray[Any], b: NDArray[Any]) -> tuple[int, int]:
    import numpy as np

    # NumPy has no arithmetic for 4-bit numbers.
    a, b = (side.astype(np.int64) if side.dtype.kind not in "iu" else side for side in (a, b))
    common = np.result_type(a, b)
    if common.kind not in "iu":  # int64 and uint64: only Python's integers can represent both, and their difference
        return max(abs(a.astype(object) - b.astype(object))), 0
    a, b = a.astype(common), b.astype(common)
    # The difference fits into the unsigned type: the subtraction wraps around to the correct value.
    unsigned = np.dtype(f"u{common.itemsize}")
    x, y = np.maximum(a, b).view(unsigned), np.minimum(a, b).view(unsigned)
    return int((x - y).max()), 0


def _of_floats(a: NDArray[Any], b: NDArray[Any]) -> tuple[Any, int]:
    import numpy as np

    a, b = _wide(a), _wide(b)
    distance = abs(a - b)
    top = distance.max()
    if np.isfinite(top):  # then all of them are finite
        return top, 0
    finite = np.isfinite(a) & np.isfinite(b)
    same = _same_values(a.real, b.real) & _same_values(a.imag, b.imag)
    return distance[finite].max(initial=0), int((~finite & ~same).sum())


_DISTANCES = {"bool": _of_bools, "integer": _of_integers, "float": _of_floats, "complex": _of_floats}


def _wide(side: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    least = np.dtype(np.complex128 if side.dtype.kind == "c" else np.float64)
    # In native byte order; not wider than 64 bits per component unless the file is.
    return side.astype(least if side.dtype.itemsize <= least.itemsize else side.dtype.newbyteorder("="))


def _same_values(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    same: NDArray[Any] = (x == y) | (np.isnan(x) & np.isnan(y))
    return same
