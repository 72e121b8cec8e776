"""Reads the initializers of ONNX models: shape, type, and elements in slices.

The onnx library can only read a whole file, and then has every tensor in memory several times. Therefore this module
locates the large fields and reads them in place, and the library parses the rest of each message. The field numbers are
those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; the encoding of messages is described in
https://protobuf.dev/programming-guides/encoding. Sparse initializers and the tensors of Constant nodes are ignored.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from orchestrator.adapters.store.tensor_files import Damaged, Slices, Tensor, family_of, region

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The numbers of the fields that are read here, by message.
_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_INITIALIZER, _NODE_ATTRIBUTE, _TENSOR_RAW = 7, 1, 5, 5, 9
_ATTRIBUTE_GRAPHS = (6, 11)
_ATTRIBUTE_LARGE = (5, 6, 10, 11)  # tensors and graphs

Spot = tuple[int, int, int]
"""The number of a field, and the start and end of its content."""


def onnx(path: Path, name: str, stack: ExitStack) -> dict[str, Tensor]:
    """The initializers of an ONNX model, in the order of its graph; names in graphs inside nodes have a path prefix."""
    file = stack.enter_context(path.open("rb"))
    if not path.stat().st_size:
        raise Damaged("is empty")
    data = stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    graphs, _ = _split(data, 0, len(data), (_MODEL_GRAPH,))
    if not graphs:
        raise Damaged("is damaged, or is not an ONNX model: it has no graph")
    tensors: dict[str, Tensor] = {}
    for graph in graphs:
        _graph(data, file, graph, "", tensors)
    return tensors


def _graph(data: mmap.mmap, file: IO[bytes], graph: Spot, prefix: str, tensors: dict[str, Tensor]) -> None:
    """Adds a graph's initializers, and those of the graphs inside its nodes as `node/attribute/name`."""
    from onnx import AttributeProto, NodeProto

    parts, _ = _split(data, *graph[1:], (_GRAPH_NODE, _GRAPH_INITIALIZER))
    for number, begin, end in parts:
        if number == _GRAPH_INITIALIZER:
            name, tensor = _initializer(data, file, begin, end)
            if prefix + name in tensors:
                raise Damaged(f"has two tensors with the name {prefix}{name}")
            tensors[prefix + name] = tensor
            continue
        attributes, of_node = _split(data, begin, end, (_NODE_ATTRIBUTE,))
        for _, start, stop in attributes:
            large, of_attribute = _split(data, start, stop, _ATTRIBUTE_LARGE)
            inner = [spot for spot in large if spot[0] in _ATTRIBUTE_GRAPHS]
            if inner:
                node: Any = NodeProto.FromString(_joined(data, of_node))
                attribute: Any = AttributeProto.FromString(_joined(data, of_attribute))
                below = f"{prefix}{node.name or ','.join(node.output)}/{attribute.name}/"
                for index, spot in enumerate(inner):
                    _graph(data, file, spot, f"{below}{index}/" if len(inner) > 1 else below, tensors)


def _initializer(data: mmap.mmap, file: IO[bytes], begin: int, end: int) -> tuple[str, Tensor]:
    import numpy as np
    from onnx import TensorProto, external_data_helper, helper, numpy_helper

    raw, rest = _split(data, begin, end, (_TENSOR_RAW,))
    proto: Any = TensorProto.FromString(_joined(data, rest))
    name: str = proto.name
    if external_data_helper.uses_external_data(proto):
        raise Damaged("has its weights in other files (ONNX external data)")
    shape = tuple(int(size) for size in proto.dims)
    count = math.prod(shape)
    if any(size < 0 for size in shape):
        raise Damaged(f"is damaged: a size of {name} is negative")
    if proto.data_type == TensorProto.STRING:
        texts = TensorProto(string_data=proto.string_data).SerializeToString()
        return name, Tensor(shape, "string", None, 1, _held(np.frombuffer(texts, np.uint8)))
    try:
        dtype = helper.tensor_dtype_to_np_dtype(proto.data_type).newbyteorder("<")
    except KeyError:
        raise Damaged(f"has a tensor {name} of type {proto.data_type}, which onnx does not support") from None
    if raw:
        _, start, stop = raw[-1]
        if stop - start == count * dtype.itemsize:
            return name, Tensor(shape, dtype.name, family_of(dtype), dtype.itemsize, region(file, start, dtype, count))
        if count > 4 * (stop - start):  # an element has at least 2 bits
            raise Damaged(f"is damaged: {name} has fewer elements than its shape")
        proto.raw_data = data[start:stop]
    # Packed numbers of 2 to 6 bits, or typed fields: use the library.
    whole = numpy_helper.to_array(proto)
    if whole.shape != shape:
        raise Damaged(f"is damaged: {name} does not match its shape")
    return name, Tensor(shape, whole.dtype.name, family_of(whole.dtype), whole.dtype.itemsize, _held(whole))


def _held(whole: NDArray[Any]) -> Slices:
    flat = whole.reshape(-1)

    def slices(step: int) -> Iterator[NDArray[Any]]:
        for start in range(0, flat.size, step):
            yield flat[start : start + step]

    return slices


def _split(data: mmap.mmap, begin: int, end: int, large: Collection[int]) -> tuple[list[Spot], list[tuple[int, int]]]:
    """The positions of the fields `large` in a message, and the ranges of all others, which the library parses."""
    spots: list[Spot] = []
    rest: list[tuple[int, int]] = []
    while begin < end:
        tag, at = _number(data, begin, end)
        wire = tag & 7
        if wire == 2:
            length, at = _number(data, at, end)
            stop = at + length
        elif wire == 0:
            _, stop = _number(data, at, end)
        elif wire in (1, 5):
            stop = at + (8 if wire == 1 else 4)
        else:
            raise Damaged("is damaged, or is not an ONNX model: it has an invalid field")
        if stop > end:
            raise Damaged("is damaged, or is not an ONNX model: a field exceeds its end")
        if tag >> 3 in large and wire == 2:
            spots.append((tag >> 3, at, stop))
        else:
            rest.append((begin, stop))
        begin = stop
    return spots, rest


def _joined(data: mmap.mmap, parts: list[tuple[int, int]]) -> bytes:
    return b"".join(data[begin:end] for begin, end in parts)


def _number(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """The varint that starts at `at`, and the position after it."""
    value = 0
    for index in range(10):
        if at + index >= end:
            break
        byte = data[at + index]
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, at + index + 1
    raise Damaged("is damaged, or is not an ONNX model: a number has no end")
