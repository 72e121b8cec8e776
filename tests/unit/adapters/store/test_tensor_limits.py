"""Files that are made to cost time or memory: each is compared or refused within the limits, which the note names."""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from orchestrator.adapters.store import tensor_limits, tensors
from orchestrator.adapters.store.tensor_limits import Limits
from orchestrator.adapters.store.tensors import TensorsUnreadable
from orchestrator.domain.version.tensors import TensorChange, TensorDifference


def refused(path: Path, name: str, *, limit: str | None = "size") -> str:
    """Why a file cannot be compared with itself."""
    with pytest.raises(TensorsUnreadable) as caught:
        tensors.compare(path, path, name, Limits(60))
    assert caught.value.limit == limit, caught.value.why
    assert caught.value.why.startswith("the older one ") and caught.value.why.isprintable()
    return caught.value.why.removeprefix("the older one ")


# --- Safetensors ----------------------------------------------------------------------------------------------------


def with_header(path: Path, text: bytes, *, size: int | None = None, data: int = 0) -> Path:
    """A safetensors file with this header, of which it may state another size; `data` zeros follow."""
    size = len(text) if size is None else size
    with path.open("wb") as file:
        file.write(size.to_bytes(8, "little") + text)
        file.truncate(8 + size + data if size < 2**40 else None)
    return path


def entry(shape: list[int], size: int, dtype: str = "F32", **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, size], **more}


def test_safetensors_with_a_large_header(tmp_path: Path) -> None:
    path = with_header(tmp_path / "w", b"{}", size=100_000_000)
    assert refused(path, "w.safetensors") == "has a header of 95.4 MiB, above the limit of 16 MiB"
    path = with_header(tmp_path / "w", b"{}", size=2**63)
    assert "ends before its header does" in refused(path, "w.safetensors", limit=None)


def test_safetensors_with_many_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {f"w{number}": entry([0], 0) for number in range(51)}
    path = with_header(tmp_path / "w", json.dumps(rows).encode())
    monkeypatch.setattr(tensor_limits, "TENSORS", 51)
    assert tensors.compare(path, path, "w.safetensors") == TensorDifference()
    monkeypatch.setattr(tensor_limits, "TENSORS", 50)
    assert refused(path, "w.safetensors") == "has more than 50 tensors, which is the limit"


def test_safetensors_with_many_lists_where_nobody_looks(tmp_path: Path) -> None:
    text = json.dumps({"w": entry([0], 0, x=0)}).replace('"x": 0', f'"x": [{"[]," * 1_000_000}[]]').encode()
    path = with_header(tmp_path / "w", text)
    assert refused(path, "w.safetensors") == "has a header with more than 1,000,000 lists, which is the limit"


@pytest.mark.parametrize(
    "row",
    [
        entry([2**62, 2**62], 4),
        entry([2**63], 4),
        entry([1] * 65 + [2**63, 0], 4),
        entry([1], 2**63),
        entry([1], 4, x=1 << 5000),
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
        {"dtype": "F4", "shape": [1], "data_offsets": [0, 1]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]},
    ],
)
def test_safetensors_with_impossible_sizes(tmp_path: Path, row: dict[str, Any]) -> None:
    sys.set_int_max_str_digits(0)
    text = json.dumps({"w": row}).encode()
    sys.set_int_max_str_digits(4300)
    refused(with_header(tmp_path / "w", text, data=4), "w.safetensors", limit=None)


def test_safetensors_with_overlapping_ranges(tmp_path: Path) -> None:
    rows = {name: entry([1], 4) for name in ("v", "w")}
    refused(with_header(tmp_path / "w", json.dumps(rows).encode(), data=4), "w.safetensors", limit=None)


@pytest.mark.parametrize("text", [b'{"w":' * 200_000, b'{"w":{"x":' + b"[" * 200_000])
def test_deeply_nested_headers(tmp_path: Path, text: bytes) -> None:
    refused(with_header(tmp_path / "w", text), "w.safetensors", limit=None)


def test_many_dimensions(tmp_path: Path) -> None:
    path = with_header(tmp_path / "w", json.dumps({"w": entry([1] * 65, 4)}).encode(), data=4)
    assert refused(path, "w.safetensors") == "has a tensor with 65 dimensions, above the limit of 64"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({'1,' * 4000})}}"
    assert "4,000 dimensions" in refused(array(tmp_path / "w", header, 4), "w.npy")
    path.write_bytes(model(TensorProto(name="w", data_type=1, dims=[2**62] * 100_000)))
    assert "100,000 dimensions" in refused(path, "w.onnx")


# --- NumPy ----------------------------------------------------------------------------------------------------------


def array(path: Path, header: str, size: int, *, states: int | None = None) -> Path:
    """A .npy file with this header, of which it may state another size; `size` zeros follow, which take no space."""
    with path.open("wb") as file:
        text = header.encode()
        file.write(b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text) if states is None else states) + text)
        file.truncate(file.tell() + size)
    return path


def test_arrays_with_a_large_header(tmp_path: Path) -> None:
    path = array(tmp_path / "w", "", 2**32, states=2**32 - 1)
    why = "has an array with a header of 4,294,967,295 bytes, above the limit of 10,000"
    assert refused(path, "w.npy") == why
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(2**20))
    assert refused(tmp_path / "z", "w.npz") == why


@pytest.mark.parametrize(
    "shape",
    [
        "(2**62,)",
        f"({2**62}, {2**62})",
        f"({2**63},)",
        "(-1,)",
        f"({10**4000},)",
        f"(0, 0x{'f' * 9000})",
        f"(0, {2**63})",
        "(" * 3000,
        "[1]",
        "('a',)",
        "(1.0,)",
    ],
)
def test_arrays_with_impossible_shapes(tmp_path: Path, shape: str) -> None:
    path = array(tmp_path / "w", f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}", 4)
    refused(path, "w.npy", limit=None)


@pytest.mark.parametrize("shape", ["(0,)", f"({2**62}, 0)", f"(0, {2**62}, {2**62})"])
@pytest.mark.parametrize("descr", ["<f4", "|V2147483647", "<U0"])
def test_arrays_without_elements(tmp_path: Path, shape: str, descr: str) -> None:
    path = array(tmp_path / "w", f"{{'descr': '{descr}', 'fortran_order': True, 'shape': {shape}}}", 0)
    other = array(tmp_path / "v", f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}", 0)
    assert tensors.compare(path, path, "w.npy") == tensors.compare(path, other, "w.npy") == TensorDifference()


@pytest.mark.parametrize("descr", ["<f4", "|S8"])
def test_a_large_array_in_two_orders_is_skipped(tmp_path: Path, descr: str) -> None:
    shape = (2, 2**24) if descr == "<f4" else (2, 2**23)
    one, two = (
        array(tmp_path / str(order), f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}}}", 2**27)
        for order in (True, False)
    )
    assert tensors.compare(one, two, "w.npy", Limits(60)) == TensorDifference()
    one, two = (
        array(tmp_path / str(order), f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {(3, *shape)}}}", 2**29)
        for order in (True, False)
    )
    found = tensors.compare(one, two, "w.npy", Limits(60))
    stored = "w is stored by row in one file and by column in the other"
    assert found == TensorDifference((), f"{stored}, and has 384 MiB, above the limit of 128 MiB for that", "size")


def test_the_other_tensors_of_a_file_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.adapters.store.tensor_files.WHOLE", 100)
    large = np.arange(30, dtype=np.float32).reshape(5, 6)
    np.savez(tmp_path / "old.npz", a=large, b=np.zeros(2), c=large, d=large[:1, :2])
    np.savez(tmp_path / "new.npz", a=large.copy("F"), b=np.ones(2), c=large.copy("F"), d=large[:1, :2].copy("F"))
    found = tensors.compare(tmp_path / "old.npz", tmp_path / "new.npz", "w.npz")
    assert [(change.name, change.largest) for change in found.tensors] == [("b", 1.0)]
    assert found.limit == "size" and found.note is not None
    assert found.note.startswith("a is stored by row") and found.note.endswith("(and 1 more tensor above a limit)")


def test_large_elements_in_two_orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.adapters.store.numpy_files.HEADER", 1000)
    one = np.array([[b"a" * 2000, b"b"], [b"c", b"d"]])
    for name, content in (("old", one), ("new", one.copy("F"))):
        with (tmp_path / name).open("wb") as file:
            np.savez(file, w=content)
    assert tensors.compare(tmp_path / "old", tmp_path / "new", "w.npz") == TensorDifference()


def test_elements_as_large_as_a_tensor_in_two_orders(tmp_path: Path) -> None:
    one, two = (
        array(tmp_path / str(order), f"{{'descr': '|V4194305', 'fortran_order': {order}, 'shape': (1, 1)}}", 4194305)
        for order in (True, False)
    )
    with two.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    found = tensors.compare(one, two, "w.npy", Limits(60))
    stored = "w is stored by row in one file and by column in the other"
    note = f"{stored}, and has elements of 4 MiB, above the limit of 4 MiB for that"
    assert found == TensorDifference((), note, "size")


def test_more_axes_than_numpy_iterates_over(tmp_path: Path) -> None:
    shape = (2, *[1] * 60, 3)
    one, two = np.arange(6).reshape(shape), np.arange(6).reshape(shape)
    two[1] += 5
    np.save(tmp_path / "old.npy", one)
    np.save(tmp_path / "new.npy", two.copy("F"))
    found = tensors.compare(tmp_path / "old.npy", tmp_path / "new.npy", "w.npy")
    assert [(change.shape_after, change.largest) for change in found.tensors] == [(shape, 5.0)]
    assert found.note is None


def directory(path: Path, members: int, *, name: bytes = b"", states: int | None = None) -> Path:
    """A ZIP archive that is nothing but a directory of empty members, of whose size it may state another one."""
    central = bytearray()
    for number in range(members):
        named = name or b"%d.npy" % number
        central += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 0, 0, 0, 0, len(named), *[0] * 6)
        central += named
    size = len(central) if states is None else states
    with path.open("wb") as file:
        file.write(central)
        file.truncate(size)
        file.seek(size)
        file.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0, 0, size, 0, 0))
    return path


def test_archives_with_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = directory(tmp_path / "w", 1, states=100_000_000)
    assert refused(path, "w.npz") == "has a directory of 95.4 MiB, above the limit of 16 MiB"
    monkeypatch.setattr("orchestrator.adapters.store.numpy_files.TENSORS", 50)
    path = directory(tmp_path / "w", 51, name=b"readme.txt")
    assert refused(path, "w.npz") == "has 51 members, above the limit of 50"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path: Path, method: int) -> None:
    content = io.BytesIO()
    np.save(content, np.zeros(3))
    with zipfile.ZipFile(tmp_path / "w", "w", method) as archive:
        archive.writestr("w.npy", content.getvalue())
    assert "compressed in a way that NumPy does not write" in refused(tmp_path / "w", "w.npz", limit=None)


# --- ONNX -----------------------------------------------------------------------------------------------------------


def model(*initializers: TensorProto, nodes: tuple[onnx.NodeProto, ...] = ()) -> bytes:
    graph = helper.make_graph(list(nodes), "g", [], [], list(initializers))
    return bytes(helper.make_model(graph).SerializeToString())


def field(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    size, length = len(content), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def nested(depth: int, name: bytes = b"n") -> bytes:
    """A model with an initializer in a graph that is `depth` graphs deep."""
    graph = field(5, numpy_helper.from_array(np.zeros(1), "w").SerializeToString())
    for _ in range(depth):
        attribute = field(1, b"body") + field(6, graph)
        graph = field(1, field(3, name) + field(5, attribute))
    return field(7, graph)


def test_graphs_inside_graphs(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(nested(32))
    (change,) = tensors.compare(path, model_of(tmp_path, {}), "w.onnx").tensors
    assert (change.name, change.change) == ("n/body/" * 32 + "w", "removed")
    path.write_bytes(nested(33))
    assert "more than 32 levels of nested graphs" in refused(path, "w.onnx")
    path.write_bytes(nested(5000))
    assert "more than 32 levels of nested graphs" in refused(path, "w.onnx")


def model_of(folder: Path, arrays: dict[str, Any]) -> Path:
    path = folder / "model"
    path.write_bytes(model(*(numpy_helper.from_array(content, name) for name, content in arrays.items())))
    return path


def test_onnx_with_long_names(tmp_path: Path) -> None:
    path = tmp_path / "w"
    # Each initializer repeats the names of the nodes around it.
    inner = b"".join(field(5, field(8, b"%d" % number) + b"\x08\x00\x10\x01") for number in range(200))
    attribute = field(1, b"body") + field(6, inner)
    path.write_bytes(field(7, field(1, field(3, b"n" * 100_000) + field(5, attribute))))
    assert refused(path, "w.onnx") == "has more than 16 MiB of names and shapes"


def test_onnx_with_long_names_around_each_other(tmp_path: Path) -> None:
    path = tmp_path / "w"
    # They are copied at each level. One such character makes all of the others take four bytes.
    for name in (b"n" * 70_000, b"n" * 20_000 + "😀".encode()):
        path.write_bytes(nested(32, name))
        assert refused(path, "w.onnx") == "has more than 16 MiB of names and shapes"


def test_a_graph_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w"
    path.write_bytes(nested(32))
    monkeypatch.setattr(tensor_limits, "TENSORS", 33)
    assert tensors.compare(path, path, "w.onnx") == TensorDifference()


def test_onnx_with_many_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_limits, "TENSORS", 50)
    path = model_of(tmp_path, {f"w{number}": np.zeros(0, np.float32) for number in range(51)})
    assert refused(path, "w.onnx") == "has more than 50 tensors, which is the limit"
    body = field(6, b"") * 51
    path.write_bytes(field(7, field(1, field(5, body))))
    assert refused(path, "w.onnx") == "has more than 50 tensors, which is the limit"


def test_onnx_in_many_pieces(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(field(7, field(5, (b"\x10\x01" + field(12, b"")) * 2000)))
    assert "in more than 1,000 pieces" in refused(path, "w.onnx")


def test_onnx_that_the_library_would_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.adapters.store.onnx_files.ENCODED", 100)
    old, new = tmp_path / "old", tmp_path / "new"
    for path, value in ((old, 1), (new, 3)):
        many = helper.make_tensor("many", TensorProto.INT64, [101], [value] * 101)
        few = helper.make_tensor("few", TensorProto.INT64, [5], [value] * 5)
        floats = helper.make_tensor("floats", TensorProto.FLOAT, [1000], [value] * 1000)
        doubles = helper.make_tensor("doubles", TensorProto.DOUBLE, [1000], [value] * 1000)
        path.write_bytes(model(many, few, floats, doubles))
    found = tensors.compare(old, new, "w.onnx")
    assert [(change.name, change.largest) for change in found.tensors] == [
        *(("doubles", 2.0), ("few", 2.0), ("floats", 2.0))
    ]
    assert (found.note or "").startswith("many is stored in a way that has to be decoded as a whole")
    assert found.limit == "size"


@pytest.mark.parametrize("kind", ["INT4", "UINT4", "INT2", "UINT2", "FLOAT4E2M1", "FLOAT6E2M3"])
@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_small_numbers_in_place_are_those_of_the_library(tmp_path: Path, kind: str, count: int) -> None:
    number = getattr(TensorProto, kind)
    dtype = helper.tensor_dtype_to_np_dtype(number)
    values = np.array([1, -1, 0, 1, -1, 0, 1, 1, -1][:count]).clip(0 if kind.startswith("U") else -1).astype(dtype)
    raw, typed = (tmp_path / name for name in ("raw", "typed"))
    raw.write_bytes(model(numpy_helper.from_array(values, "w")))
    typed.write_bytes(model(helper.make_tensor("w", number, [count], values)))
    assert tensors.compare(raw, typed, "w.onnx") == TensorDifference()
    changed = tmp_path / "changed"
    changed.write_bytes(model(numpy_helper.from_array(np.zeros(count, dtype), "w")))
    assert tensors.compare(raw, changed, "w.onnx").tensors == (
        TensorChange("w", "changed", (count,), (count,), dtype.name, dtype.name, 1.0),
    )


@pytest.mark.parametrize("place", ["/etc/passwd", "../../secret", "/dev/zero", "pipe"])
def test_no_other_file_is_opened(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    tensor = TensorProto(name="w", data_type=1, dims=[2**40], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=place)
    path = tmp_path / "w"
    path.write_bytes(model(tensor))
    assert "in other files" in refused(path, "w.onnx", limit=None)


@pytest.mark.parametrize(
    "content",
    [
        bytes(1000),
        b"\xff" * 1000,
        field(7, b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        field(7, b"\x2b" * 1000),
        field(7, field(5, b"\x08" + b"\x80" * 20)),
        field(7, field(1, field(5, field(6, b"\x05")))),
    ],
)
def test_messages_that_lie_about_their_length(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w"
    path.write_bytes(content)
    refused(path, "w.onnx", limit=None)
