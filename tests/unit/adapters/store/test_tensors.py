"""The comparison of tensors: real files of all formats, and damaged files."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
import safetensors
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from onnx import TensorProto, helper, numpy_helper

from orchestrator.adapters.store import tensors
from orchestrator.adapters.store.tensors import TensorsUnreadable, readable
from orchestrator.domain.version.tensors import TensorChange
from orchestrator.errors import Interrupted
from tests.unit.fuzz import fuzzing

FORMATS = (".safetensors", ".onnx", ".npz")
NAN, INF = math.nan, math.inf


def compare(before: Path, after: Path, name: str) -> tuple[TensorChange, ...]:
    """The differences of two files that can be compared completely."""
    found = tensors.compare(before, after, name)
    assert (found.note, found.limit) == (None, None)
    return found.tensors


def model(*initializers: TensorProto, nodes: tuple[onnx.NodeProto, ...] = ()) -> onnx.ModelProto:
    return helper.make_model(helper.make_graph(list(nodes), "g", [], [], list(initializers)))


def write(path: Path, suffix: str, arrays: dict[str, Any]) -> Path:
    """A file of that format at `path`, which has no suffix, like a stored object."""
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    if suffix == ".safetensors":
        safetensors.numpy.save_file(arrays, path)
    elif suffix == ".onnx":
        path.write_bytes(model(*(numpy_helper.from_array(a, n) for n, a in arrays.items())).SerializeToString())
    else:
        with path.open("wb") as file:
            if suffix == ".npz":
                np.savez(file, **arrays)
            else:
                np.save(file, next(iter(arrays.values())))
    return path


def difference(folder: Path, suffix: str, before: dict[str, Any], after: dict[str, Any]) -> tuple[TensorChange, ...]:
    old, new = write(folder / "old", suffix, before), write(folder / "new", suffix, after)
    found = compare(old, new, f"weights/w{suffix}")
    json.dumps([asdict(change) for change in found], allow_nan=False)
    assert [change.name for change in found] == sorted(change.name for change in found)
    return found


def one(folder: Path, suffix: str, before: Any, after: Any) -> TensorChange | None:
    found = difference(folder, suffix, {"w": before}, {"w": after})
    assert len(found) <= 1
    return found[0] if found else None


def largest(folder: Path, before: Any, after: Any, suffix: str = ".npy") -> tuple[float | None, int] | None:
    change = one(folder, suffix, before, after)
    return (change.largest, change.nonfinite) if change else None


def refused(before: Path, after: Path, name: str) -> TensorsUnreadable:
    with pytest.raises(TensorsUnreadable) as caught:
        compare(before, after, name)
    assert caught.value.message == f"the tensors of {name} cannot be compared"
    assert caught.value.why and str(caught.value).isprintable()
    return caught.value


# --- Results -----------------------------------------------------------------------------------------------------


def test_which_files_can_be_read() -> None:
    assert all(readable(name) for name in ("a.safetensors", "b/c.onnx", "d.npy", "e.NPZ"))
    assert not any(readable(name) for name in ("a", "npy", "a.bin", "a.onnx.data", "a.npy.gz", ".npy/a"))


@pytest.mark.parametrize("suffix", FORMATS)
def test_added_removed_changed_and_same(tmp_path: Path, suffix: str) -> None:
    same = np.arange(6, dtype=np.float32).reshape(2, 3)
    moved = same.copy()
    moved[1, 2] -= 0.5
    found = difference(
        tmp_path,
        suffix,
        {"same": same, "z": same, "gone": same[0], "grown": same, "cast": same},
        {"same": same, "z": moved, "come": np.int64(7), "grown": same[:1], "cast": same.astype(np.float16)},
    )
    assert found == (
        TensorChange("cast", "changed", (2, 3), (2, 3), "float32", "float16", 0.0),
        TensorChange("come", "added", None, (), None, "int64", None),
        TensorChange("gone", "removed", (3,), None, "float32", None, None),
        TensorChange("grown", "changed", (2, 3), (1, 3), "float32", "float32", None),
        TensorChange("z", "changed", (2, 3), (2, 3), "float32", "float32", 0.5),
    )


@pytest.mark.parametrize("suffix", (*FORMATS, ".npy"))
def test_no_shape_and_no_elements(tmp_path: Path, suffix: str) -> None:
    assert one(tmp_path, suffix, np.float32(1), np.float32(3)) == TensorChange(
        "w", "changed", (), (), "float32", "float32", 2.0
    )
    empty = np.zeros((0, 4), np.float32)
    assert one(tmp_path, suffix, empty, empty) is None
    assert largest(tmp_path, empty, empty.astype(np.float64), suffix) == (0.0, 0)
    assert largest(tmp_path, empty, empty.reshape(4, 0), suffix) == (None, 0)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([1.0, NAN, INF, -0.0], [1.0, NAN, INF, 0.0], None),
        ([1.0, 2.0], [NAN, 2.5], (0.5, 1)),
        ([NAN, 2.0], [1.0, 2.0], (None, 1)),
        ([NAN, INF, INF, 1.0], [INF, NAN, -INF, INF], (None, 4)),
        ([INF, 1.0], [INF, 4.0], (3.0, 0)),
        ([1.7e308], [-1.7e308], (sys.float_info.max, 0)),
        ([0.0], [5e-324], (5e-324, 0)),
        ([1 + 2j, NAN + 1j], [4 + 6j, NAN + 1j], (5.0, 0)),
        ([complex(NAN, 1), complex(INF, 2), 3j], [complex(NAN, 2), complex(INF, 3), 4j], (1.0, 2)),
        ([1.7e308 + 1.7e308j], [0j], (sys.float_info.max, 0)),
        ([True, False], [True, True], (1.0, 0)),
    ],
)
def test_what_is_no_plain_number(tmp_path: Path, before: Any, after: Any, said: Any) -> None:
    assert largest(tmp_path, before, after) == said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (np.array([-(2**63), 0]), np.array([2**63 - 1, 0]), float(2**64 - 1)),
        (np.array([2**63 - 1]), np.array([2**63 - 2]), 1.0),
        (np.array([0], np.uint64), np.array([2**64 - 1], np.uint64), float(2**64 - 1)),
        (np.array([-(2**63), 5]), np.array([2**64 - 1, 5], np.uint64), float(2**64 + 2**63 - 1)),
        (np.array([2**63 - 1]), np.array([2**63 - 1], np.uint64), 0.0),
        (np.array([-128], np.int8), np.array([127], np.int8), 255.0),
        (np.array([-128], np.int8), np.array([255], np.uint8), 383.0),
        (np.array([1], np.longdouble), np.array([1.5], np.longdouble), 0.5),
        (np.array([1], np.float32), np.array([1.5], np.longdouble), 0.5),
        (np.array([0], np.longdouble), np.array([np.finfo(np.longdouble).max]), sys.float_info.max),
        (np.array([1, 2], ">f4"), np.array([1, 4], "<f4"), 2.0),
        (np.array([1, 2], ">i8"), np.array([1, 4], "<i8"), 2.0),
    ],
)
def test_the_ends_of_types(tmp_path: Path, before: Any, after: Any, said: float) -> None:
    assert largest(tmp_path, before, after) == (said, 0)


@pytest.mark.parametrize(("before", "after"), [(1, 1.0), (True, 1), (1.0, 1 + 0j), (1, "1"), ("1", b"1")])
def test_types_of_two_families_are_not_measured(tmp_path: Path, before: Any, after: Any) -> None:
    change = one(tmp_path, ".npy", [before], [after])
    assert change is not None and change.largest is None and change.dtype_before != change.dtype_after


SMALL = ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu"]


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx"])
@pytest.mark.parametrize("name", SMALL)
def test_small_floats(tmp_path: Path, suffix: str, name: str) -> None:
    small = getattr(ml_dtypes, name)
    before, after = np.array([1, 2, 4], small), np.array([1, 2, 0.5], small)
    assert one(tmp_path, suffix, before, before) is None
    assert one(tmp_path, suffix, before, after) == TensorChange("w", "changed", (3,), (3,), name, name, 3.5)
    assert largest(tmp_path, before, after.astype(np.float32), suffix) == (3.5, 0)
    assert largest(tmp_path, before, np.array([1, NAN, 4], small), suffix) == (None, 1)


def packed(path: Path, dtype: str, shape: list[int], content: bytes) -> Path:
    buffer = np.frombuffer(content, np.uint8)
    spec = safetensors.TensorSpec(dtype=dtype, shape=shape, data_ptr=buffer.ctypes.data, data_len=buffer.nbytes)
    safetensors.serialize_file({"w": spec}, path)
    return path


def test_safetensors_of_four_bits(tmp_path: Path) -> None:
    # 0x2 is 1.0, 0x7 is 6.0, 0x0 is 0.0, 0xf is -6.0
    old = packed(tmp_path / "old", "float4_e2m1fn_x2", [1, 2], bytes([0x72, 0x00]))
    new = packed(tmp_path / "new", "float4_e2m1fn_x2", [1, 2], bytes([0xF2, 0x00]))
    name = "float4_e2m1fn"
    assert compare(old, old, "w.safetensors") == ()
    assert compare(old, new, "w.safetensors") == (TensorChange("w", "changed", (1, 4), (1, 4), name, name, 12.0),)


# --- NumPy's own -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_order_of_rows_and_columns(tmp_path: Path, suffix: str) -> None:
    rows = np.arange(600_000, dtype=np.float32).reshape(2, 3, -1)
    columns = np.asfortranarray(rows)
    assert one(tmp_path, suffix, rows, columns) is None
    columns[1, 2, 3] += 2
    assert largest(tmp_path, rows, columns, suffix) == (2.0, 0)
    assert largest(tmp_path, np.asfortranarray(rows), columns, suffix) == (2.0, 0)
    texts = np.array([["a", "b"], ["c", "d"]])
    assert one(tmp_path, suffix, texts, np.asfortranarray(texts)) is None
    assert one(tmp_path, suffix, texts, np.asfortranarray(texts.T)) is not None


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(
    ("before", "after", "dtype"),
    [
        (np.array(["a", "b"]), np.array(["a", "c"]), "<U1"),
        (np.array([b"a"]), np.array([b"b"]), "|S1"),
        (np.array(["2020"], "M8[D]"), np.array(["2021"], "M8[D]"), "<M8[D]"),
        (np.array([(1,)], [("größe", "i4")]), np.array([(2,)], [("größe", "i4")]), "[('größe', '<i4')]"),
        (
            np.array([(1,)], [("尺寸'\\😀", "i4")]),
            np.array([(2,)], [("尺寸'\\😀", "i4")]),
            "[(\"尺寸'\\\\😀\", '<i4')]",
        ),
        (np.array([(1, 2.0)], "i4,f4"), np.array([(1, 3.0)], "i4,f4"), "[('f0', '<i4'), ('f1', '<f4')]"),
        (np.array([1], ml_dtypes.bfloat16), np.array([2], ml_dtypes.bfloat16), "|V2"),
        (np.array(["x" * 300_000] * 12), np.array(["x" * 300_000] * 11 + ["y"]), "<U300000"),
    ],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_what_holds_no_numbers(tmp_path: Path, suffix: str, before: Any, after: Any, dtype: str) -> None:
    assert one(tmp_path, suffix, before, before) is None
    shape = before.shape
    assert one(tmp_path, suffix, before, after) == TensorChange("w", "changed", shape, shape, dtype, dtype, None)


def test_texts_of_no_length(tmp_path: Path) -> None:
    assert one(tmp_path, ".npy", np.array(["", ""]), np.array(["", ""])) is None


class Trap:
    def __reduce__(self) -> Any:
        return (pytest.fail, ("it was unpickled",))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pickles_are_compared_and_never_loaded(tmp_path: Path, suffix: str) -> None:
    before, after = np.array([Trap(), 1], object), np.array([Trap(), "something long"], object)
    assert one(tmp_path, suffix, before, before) is None
    assert one(tmp_path, suffix, before, after) == TensorChange("w", "changed", (2,), (2,), "object", "object", None)


def test_compressed_archives_and_what_else_is_in_them(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "old.npz", a=np.zeros(700_000), b=np.zeros(3))
    np.savez_compressed(tmp_path / "new.npz", a=np.ones(700_000), b=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "new.npz", "a") as archive:
        archive.writestr("readme.txt", "no tensor")
    (change,) = compare(tmp_path / "old.npz", tmp_path / "new.npz", "w.npz")
    assert (change.name, change.largest) == ("a", 1.0)


# --- ONNX --------------------------------------------------------------------------------------------------------


def onnx_difference(folder: Path, before: onnx.ModelProto, after: onnx.ModelProto) -> tuple[TensorChange, ...]:
    for name, proto in (("old", before), ("new", after)):
        (folder / name).write_bytes(proto.SerializeToString())
    return compare(folder / "old", folder / "new", "m.onnx")


@pytest.mark.parametrize(
    "kind",
    [
        *("FLOAT", "DOUBLE", "INT32", "INT64", "UINT8", "UINT64", "FLOAT16", "BFLOAT16", "COMPLEX64", "COMPLEX128"),
        *("FLOAT8E4M3FN", "INT4", "UINT4", "FLOAT4E2M1", "BOOL"),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_onnx_fields(tmp_path: Path, kind: str, raw: bool) -> None:
    number = getattr(TensorProto, kind)
    dtype = helper.tensor_dtype_to_np_dtype(number)

    def made(values: list[int]) -> onnx.ModelProto:
        array = np.array(values).astype(dtype)
        if raw:
            return model(numpy_helper.from_array(array, "w"))
        return model(helper.make_tensor("w", number, [3], array))

    assert onnx_difference(tmp_path, made([1, 0, 1]), made([1, 0, 1])) == ()
    (change,) = onnx_difference(tmp_path, made([1, 0, 1]), made([1, 0, 0]))
    assert change == TensorChange("w", "changed", (3,), (3,), dtype.name, dtype.name, 1.0)
    # The same numbers in another field are the same numbers.
    array = np.array([1, 0, 1]).astype(dtype)
    both = model(helper.make_tensor("w", number, [3], array)), model(numpy_helper.from_array(array, "w"))
    assert onnx_difference(tmp_path, *both) == ()


def test_onnx_strings(tmp_path: Path) -> None:
    old, new = (model(helper.make_tensor("s", TensorProto.STRING, [2], ["a", text])) for text in ("b", "c"))
    assert onnx_difference(tmp_path, old, old) == ()
    assert onnx_difference(tmp_path, old, new) == (TensorChange("s", "changed", (2,), (2,), "string", "string", None),)


def test_onnx_graphs_inside_nodes(tmp_path: Path) -> None:
    def made(value: float) -> onnx.ModelProto:
        branch = {
            name: helper.make_graph([], name, [], [], [numpy_helper.from_array(np.float32([value]), "w")])
            for name in ("then_branch", "else_branch")
        }
        constant = helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.float32([value])))
        named = helper.make_node("If", ["x"], ["y"], name="choice", **branch)
        deep = helper.make_graph([helper.make_node("If", ["x"], ["a", "b"], **branch)], "deep", [], [])
        loop = helper.make_node("Loop", ["x"], ["z"], name="loop", body=deep)
        return model(numpy_helper.from_array(np.float32([0]), "w"), nodes=(constant, named, loop))

    assert [(change.name, change.largest) for change in onnx_difference(tmp_path, made(1), made(3))] == [
        ("choice/else_branch/w", 2.0),
        ("choice/then_branch/w", 2.0),
        ("loop/body/a,b/else_branch/w", 2.0),
        ("loop/body/a,b/then_branch/w", 2.0),
    ]


def test_onnx_with_weights_elsewhere(tmp_path: Path) -> None:
    made = model(numpy_helper.from_array(np.zeros(1000, np.float32), "w"))
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    assert "external data" in refused(tmp_path / "m.onnx", tmp_path / "m.onnx", "m.onnx").why


@pytest.mark.parametrize(
    "wrong",
    [
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], raw_data=b"12345678"),
        TensorProto(name="w", data_type=TensorProto.INT4, dims=[10**12], raw_data=b"12345678"),
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[3], float_data=[1]),
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-1], float_data=[1]),
        TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**62, 2**62], raw_data=b"1"),
        TensorProto(name="w", data_type=99, dims=[1], raw_data=b"1"),
        TensorProto(name="w", dims=[1]),
    ],
)
def test_onnx_tensors_that_contradict_themselves(tmp_path: Path, wrong: TensorProto) -> None:
    path = tmp_path / "m"
    path.write_bytes(model(wrong).SerializeToString())
    refused(path, path, "m.onnx")


def test_onnx_with_two_tensors_of_one_name(tmp_path: Path) -> None:
    path = write(tmp_path / "m", ".onnx", {"w": np.zeros(1)})
    path.write_bytes(path.read_bytes() * 2)
    assert "two tensors with the name w" in refused(path, path, "m.onnx").why


# --- All types of numbers ----------------------------------------------------------------------------------------

KINDS = (
    npst.integer_dtypes(endianness="?") | npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?", sizes=(16, 32, 64)) | st.just(np.dtype(ml_dtypes.bfloat16)),
    npst.complex_number_dtypes(endianness="?", sizes=(64, 128)),
)


def numbers(dtype: np.dtype[Any]) -> st.SearchStrategy[Any]:
    if dtype == ml_dtypes.bfloat16:
        halves = st.floats(width=32).map(lambda value: float(np.float32(value)))
        with np.errstate(all="ignore"):
            return halves.map(lambda value: float(ml_dtypes.bfloat16(value)))
    return npst.from_dtype(dtype)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    kind = draw(st.sampled_from(KINDS))
    shape = draw(npst.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4))
    sides = []
    for _ in range(2):
        dtype = draw(kind)
        size = math.prod(shape)
        values = draw(st.lists(numbers(dtype), min_size=size, max_size=size))
        with np.errstate(all="ignore"):
            sides.append(np.array(values, dtype).reshape(shape, order=draw(st.sampled_from("CF"))))
    before, after = sides
    if size and draw(st.booleans()):  # most elements of a real file are the same
        keep = draw(npst.arrays(bool, shape))
        if before.dtype.kind == after.dtype.kind == "f" or before.dtype == after.dtype:
            with np.errstate(all="ignore"):
                after = np.where(keep, before.astype(after.dtype), after)
    return before, after


def answer(before: Any, after: Any) -> tuple[bool, float | None, int]:
    """The expected result, computed per element with Python's numbers."""
    tops: list[Any] = []
    changed = nonfinite = 0
    for a, b in zip(before.ravel().tolist(), after.ravel().tolist(), strict=True):
        a, b = (value if isinstance(value, (int, float, complex)) else float(value) for value in (a, b))
        sides = [(x.real, x.imag) for x in (a, b)]
        if all(x == y or (x != x and y != y) for x, y in zip(*sides, strict=True)):
            tops.append(0)
        elif all(isinstance(x, int) or math.isfinite(x) for side in sides for x in side):
            changed += 1
            try:
                tops.append(abs(a - b))
            except OverflowError:
                tops.append(INF)
        else:
            nonfinite += 1
    top = min(float(max(tops, default=0)), sys.float_info.max)
    return bool(changed or nonfinite), None if nonfinite and not changed else top, nonfinite


@given(pairs())
@fuzzing(150)
def test_the_largest_change_is_the_largest_change(pair: tuple[Any, Any]) -> None:
    before, after = pair
    suffix = ".safetensors" if ml_dtypes.bfloat16 in (before.dtype, after.dtype) else ".npy"
    if suffix == ".safetensors":
        before, after = (np.ascontiguousarray(side).astype(side.dtype.newbyteorder("=")) for side in pair)
        before, after = before.reshape(pair[0].shape), after.reshape(pair[1].shape)
    with TemporaryDirectory() as folder:
        change = one(Path(folder), suffix, before, after)
    changed, top, nonfinite = answer(before, after)
    if before.dtype.name == after.dtype.name and not changed:
        assert change is None
        return
    assert change is not None and change.nonfinite == nonfinite
    assert change.largest == (top if top is None else pytest.approx(top, rel=1e-15, abs=0))


def test_slices_meet(tmp_path: Path) -> None:
    size = 2**18
    for count in (size - 1, size, size + 1, 3 * size + 5):
        before = np.zeros(count, np.float32)
        after = before.copy()
        after[-1] = 3
        assert largest(tmp_path, before, after) == (3.0, 0)
        assert largest(tmp_path, before, after.astype(np.float64)) == (3.0, 0)
        after[0] = NAN
        assert largest(tmp_path, before, after) == (3.0, 1)


# --- Damaged files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", (*FORMATS, ".npy"))
@pytest.mark.parametrize("content", [b"", b"\0", b"PK\x05\x06", b"\x93NUMPY", b"{}", bytes(64), b"(" * 5000])
def test_other_content(tmp_path: Path, suffix: str, content: bytes) -> None:
    good = write(tmp_path / "good", suffix, {"w": np.zeros(3)})
    bad = tmp_path / "bad"
    bad.write_bytes(content)
    assert refused(bad, good, f"w{suffix}").why.startswith("the older one")
    assert refused(good, bad, f"w{suffix}").why.startswith("the newer one")


@pytest.mark.parametrize("suffix", (*FORMATS, ".npy"))
def test_one_format_under_another_name(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / "w", suffix, {"w": np.zeros(3)})
    for other in {*FORMATS, ".npy"} - {suffix}:
        refused(path, path, f"w{other}")
    refused(path, path, "w.bin")
    refused(tmp_path / "missing", path, f"w{suffix}")
    refused(tmp_path, path, f"w{suffix}")


def test_a_checksum_that_does_not_fit(tmp_path: Path) -> None:
    good = write(tmp_path / "good", ".npz", {"w": np.zeros(100)})
    content = bytearray(good.read_bytes())
    content[content.index(bytes(80)) + 40] ^= 1
    (tmp_path / "bad").write_bytes(content)
    assert "CRC" in refused(good, tmp_path / "bad", "w.npz").why


def contents() -> dict[str, list[bytes]]:
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.int64(7), "c": np.zeros((0, 2))}
    with TemporaryDirectory() as folder:
        place = Path(folder) / "w"
        made = {suffix: [write(place, suffix, arrays).read_bytes()] for suffix in FORMATS}
        made[".npy"] = [
            write(place, ".npy", {"w": array}).read_bytes()
            for array in (arrays["a"], np.asfortranarray(arrays["a"]), np.array(["ab"]), np.array([{}]))
        ]
        np.savez_compressed(f"{place}.npz", **arrays)
        made[".npz"].append(Path(f"{place}.npz").read_bytes())
    branch = helper.make_graph([], "b", [], [], [helper.make_tensor("f", TensorProto.INT4, [2], [1, 2])])
    nodes = (helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch),)
    made[".onnx"].append(
        model(helper.make_tensor("s", TensorProto.STRING, [1], ["a"]), nodes=nodes).SerializeToString()
    )
    return made


GOOD = contents()


@st.composite
def garbage(draw: st.DrawFn) -> tuple[str, bytes, bytes]:
    """The suffix, a good content, and one that was good or never was."""
    suffix = draw(st.sampled_from(sorted(GOOD)))
    good = draw(st.sampled_from(GOOD[suffix]))
    how = draw(st.sampled_from(("cut", "flip", "flip", "flip", "splice", "random")))
    if how == "cut":
        return suffix, good, good[: draw(st.integers(0, len(good) - 1))]
    if how == "random":
        start = draw(st.sampled_from((b"", good[:8], good[:80])))
        return suffix, good, start + draw(st.binary(max_size=200))
    bad = bytearray(good)
    if how == "splice":
        at = draw(st.integers(0, len(bad)))
        bad[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    else:
        for _ in range(draw(st.integers(1, 3))):
            bad[draw(st.integers(0, len(bad) - 1))] = draw(st.integers(0, 255))
    return suffix, good, bytes(bad)


@given(garbage())
@fuzzing(400)
def test_garbage_is_compared_or_refused(case: tuple[str, bytes, bytes]) -> None:
    suffix, good, bad = case
    with TemporaryDirectory() as folder:
        old, new = Path(folder) / "old", Path(folder) / "new"
        old.write_bytes(good)
        new.write_bytes(bad)
        for pair in ((old, new), (new, old), (new, new)):
            try:
                found = compare(*pair, f"w{suffix}")
            except TensorsUnreadable as error:
                assert error.why and str(error).isprintable()
            else:
                json.dumps([asdict(change) for change in found], allow_nan=False)


# --- Libraries, memory -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "missing"),
    [(".safetensors", "safetensors"), (".safetensors", "ml_dtypes"), (".onnx", "onnx"), (".npy", "numpy")],
)
def test_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, missing: str) -> None:
    path = write(tmp_path / "w", suffix, {"w": np.zeros(3)})
    monkeypatch.setitem(sys.modules, missing, None)
    error = refused(path, path, f"w{suffix}")
    assert error.why == f"{missing} is not installed, or cannot be loaded"
    assert error.hint == "pip install 'deployctl[tensors]'"


def test_a_signal_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise Interrupted("SIGINT", signal=2)

    path = write(tmp_path / "w", ".npy", {"w": np.zeros(3)})
    monkeypatch.setattr(np, "frombuffer", interrupted)
    with pytest.raises(Interrupted):
        compare(path, path, "w.npy")


def child(code: str, *arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_libraries_are_imported_late() -> None:
    code = "import sys, orchestrator.adapters.store.tensors; print(*sys.modules)"
    assert not {"numpy", "onnx", "safetensors", "ml_dtypes"} & set(child(code))


MEMORY = """
import sys
import numpy, onnx, safetensors, ml_dtypes, onnx.numpy_helper
from pathlib import Path
from orchestrator.adapters.store.tensors import compare
def most():
    # Not ru_maxrss, which starts with the value of the parent process.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
before = most()
(change,) = compare(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]).tensors
print(most() - before, change.largest)
"""


def large(path: Path, suffix: str, last: float) -> Path:
    """A file of one tensor of halves, 256 MiB (ONNX and .npz: 64), all zeros but the last."""
    if suffix == ".npy":  # a sparse file, which needs no disk space
        array = np.lib.format.open_memmap(path, "w+", np.float16, (2**27,))
        array[-1] = last
        array.flush()
    elif suffix == ".safetensors":
        header = json.dumps({"w": {"dtype": "F16", "shape": [2**27], "data_offsets": [0, 2**28]}}).encode()
        with path.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.seek(2**28 - 2, 1)
            file.write(np.float16(last).tobytes())
    else:
        array = np.zeros(2**25, np.float16)
        array[-1] = last
        write(path, suffix, {"w": array})
    return path


@pytest.mark.parametrize("suffix", (*FORMATS, ".npy"))
def test_memory_does_not_grow_with_tensors(tmp_path: Path, suffix: str) -> None:
    paths = [large(tmp_path / str(last), suffix, last) for last in (0, 1)]
    kilobytes, top = child(MEMORY, *map(str, paths), f"w{suffix}")
    for path in paths:
        path.unlink()
    assert float(top) == 1.0
    assert int(kilobytes) < 64 * 1024
