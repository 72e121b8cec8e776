"""The time and the memory that the comparison of crafted files takes, and what is said when the time is over."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from onnx import TensorProto, numpy_helper

from orchestrator.adapters.store import tensors
from orchestrator.adapters.store.tensor_limits import Limits
from orchestrator.domain.version.tensors import TensorDifference
from tests.unit.adapters.store.test_tensor_limits import array, entry, field, model, with_header

SUFFIXES = (".safetensors", ".onnx", ".npz", ".npy")


class Ticks:
    """A clock that goes on by one second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def pair(folder: Path, suffix: str) -> tuple[Path, Path]:
    """Two files that differ in all of their tensors, the last of which has three slices."""
    sides = []
    for value in (1, 2):
        arrays = {name: np.full(size, value, np.float32) for name, size in (("a", 3), ("b", 5), ("c", 600_000))}
        path = folder / str(value)
        if suffix == ".safetensors":
            safetensors.numpy.save_file(arrays, path)
        elif suffix == ".onnx":
            path.write_bytes(model(*(numpy_helper.from_array(content, name) for name, content in arrays.items())))
        else:
            with path.open("wb") as file:
                np.savez_compressed(file, **arrays) if suffix == ".npz" else np.save(file, arrays["c"])
        sides.append(path)
    return sides[0], sides[1]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_whenever_the_time_ends_it_is_said_what_is_missing(tmp_path: Path, suffix: str) -> None:
    old, new = pair(tmp_path, suffix)
    whole = tensors.compare(old, new, f"c{suffix}").tensors
    assert len(whole) == (1 if suffix == ".npy" else 3)
    seen = set()
    for looks in range(1, 500):
        found = tensors.compare(old, new, f"c{suffix}", Limits(looks, Ticks()))
        if found.limit is None:
            assert found == TensorDifference(whole)
            break
        assert found.limit == "time"
        assert found.tensors == whole[: len(found.tensors)]
        missing = len(whole) - len(found.tensors)
        assert found.note in (
            "the time limit was reached",
            f"{missing} of {len(whole)} tensors: the time limit was reached",
        )
        seen.add(missing)
    else:
        pytest.fail("it never ends")
    assert seen == set(range(1, len(whole) + 1))


# --- All together ---------------------------------------------------------------------------------------------------


def attacks(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files that took minutes, or gigabytes, or both; none has more than a few megabytes on the disk."""
    shape = (2**36,)
    yield ".npy", array(folder / "terabyte", f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}", 2**39)
    header = "{'descr': '|V2147483647', 'fortran_order': False, 'shape': (64,)}"
    yield ".npy", array(folder / "elements", header, 64 * 2147483647)
    row = entry([2**37], 2**39)
    yield ".safetensors", with_header(folder / "tensor", json.dumps({"w": row}).encode(), data=2**39)
    path = folder / "bomb"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("w.npy", "w", force_zip64=True) as out,
    ):
        np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": (2**25,)})
        for _ in range(64):
            out.write(bytes(2**22))
    yield ".npz", path
    # Fields of two bytes, each of which took 120 bytes of memory; in a node, in an initializer, in the model.
    for name, wrap in _WRAPS.items():
        path = folder / name
        path.write_bytes(wrap(b"\x10\x01" * 4_000_000))
        yield ".onnx", path
    graph = b""
    for level in range(32):
        name = "😀".encode() + b"a" * 15 * 2**20 if level == 31 else b"n"
        graph = field(1, field(3, name) + field(5, field(1, b"b") + field(6, graph) + field(6, b"")))
    path = folder / "prefix"
    path.write_bytes(field(7, graph))
    yield ".onnx", path
    path = folder / "typed"
    ones = TensorProto(name="w", data_type=TensorProto.INT32, dims=[2**24])
    path.write_bytes(field(7, field(5, ones.SerializeToString() + field(5, b"\x01" * 2**24))))
    yield ".onnx", path


_WRAPS: dict[str, Callable[[bytes], bytes]] = {
    "node": lambda content: field(7, field(1, content + field(5, field(6, b"")))),
    "initializer": lambda content: field(7, field(5, content)),
    "fields": lambda content: field(7, b"") + content,
    "nodes": lambda content: field(7, field(1, b"") * (len(content) // 2)),
}

CHILD = """
import sys, time
import numpy, onnx, safetensors, ml_dtypes, onnx.numpy_helper
from pathlib import Path
from orchestrator.adapters.store.tensor_limits import Limits
from orchestrator.adapters.store.tensors import TensorsUnreadable, compare
def most():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
before = most()
for path in sys.argv[1:]:
    started = time.monotonic()
    try:
        found = compare(Path(path), Path(path), path, Limits(0.3))
        end = found.limit or "compared"
    except TensorsUnreadable as error:
        end = error.limit or "refused"
    print(Path(path).name, end, time.monotonic() - started, most() - before)
"""


def test_crafted_files_take_neither_long_nor_much(tmp_path: Path) -> None:
    paths = [path.rename(path.with_suffix(suffix)) for suffix, path in attacks(tmp_path)]
    done = subprocess.run([sys.executable, "-c", CHILD, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) == len(paths)
    # A fast machine may be done with the others in time.
    endless = {"terabyte.npy", "elements.npy", "tensor.safetensors"}
    assert endless <= {name for name, end, _, _ in rows if end == "time"}, rows
    # Far above what they take, and far below what they took.
    assert max(float(seconds) for _, _, seconds, _ in rows) < 20, rows
    assert max(int(kilobytes) for _, _, _, kilobytes in rows) < 400 * 1024, rows
