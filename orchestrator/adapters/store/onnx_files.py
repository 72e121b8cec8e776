"""Reads the initializers of ONNX models: shape, type, and elements in slices.

The onnx library can only read a whole file, and then has every tensor in memory several times. Therefore this module
locates the large fields and reads them in place, and the library parses the rest of each message. The field numbers are
those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; the encoding of messages is described in
https://protobuf.dev/programming-guides/encoding. Sparse initializers and the tensors of Constant nodes are ignored, and
no other file is opened.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from orchestrator.adapters.store.protobuf_files import Field, Message, Pieces
from orchestrator.adapters.store.tensor_files import Damaged, Slices, Tensor, family_of, region, unpacked
from orchestrator.adapters.store.tensor_limits import ENCODED, NESTED, Header, Limits, TooLarge
from orchestrator.text import size as in_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The numbers of the fields that are read here, by message.
_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_INITIALIZER = 7, 1, 5
_NODE_OUTPUT, _NODE_NAME, _NODE_ATTRIBUTE = 2, 3, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_GRAPHS = 1, (6, 11)
# Of a tensor: sizes, type, segment, name, position in another file; then its elements, in one of these.
_TENSOR_FACTS, _TENSOR_RAW, _TENSOR_TYPED = (1, 2, 3, 8, 13, 14), 9, (4, 5, 6, 7, 10, 11)
_FLOATS, _DOUBLES = 4, 10
_SIX = 6
# The bits of elements that do not fill a byte, by the end of the name of their type, as in `uint4`.
_SMALL = {"int2": 2, "int4": 4, "float4_e2m1fn": 4, "float6_e2m3fn": _SIX, "float6_e3m2fn": _SIX}


def onnx(path: Path, name: str, stack: ExitStack, limits: Limits) -> dict[str, Tensor]:
    """The initializers of an ONNX model, in the order of its graph; names in graphs inside nodes have a path prefix."""
    file = stack.enter_context(path.open("rb"))
    model = Message(file.fileno(), 0, path.stat().st_size, limits)
    if not model.end:
        raise Damaged("is empty")
    reader = _Reader(file, limits)
    found = False
    for graph in model.fields():
        if graph.number == _MODEL_GRAPH and graph.has_length:
            found = True
            reader.graph(model.inside(graph), "", 0)
    if not found:
        raise Damaged("is damaged, or is not an ONNX model: it has no graph")
    return reader.tensors


class _Attribute(NamedTuple):
    """An attribute of a node: its message, the fields with its name, and its graphs."""

    message: Message
    names: Pieces
    graphs: list[Message]


class _Reader:
    """Collects the initializers of one file."""

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._file, self._limits, self._header = file, limits, Header(limits)

    def graph(self, graph: Message, prefix: str, depth: int) -> None:
        """Adds a graph's initializers, and those of the graphs inside its nodes as `node/attribute/name`."""
        if depth > NESTED:
            raise TooLarge(f"has more than {NESTED} levels of nested graphs, which is the limit")
        for field in graph.fields():
            if field.number == _GRAPH_INITIALIZER and field.has_length:
                self._initializer(graph.inside(field), prefix)
            elif field.number == _GRAPH_NODE and field.has_length:
                self._node(graph.inside(field), prefix, depth)

    def _node(self, node: Message, prefix: str, depth: int) -> None:
        from onnx import NodeProto

        names, outer = Pieces(), []
        for field in node.fields():
            if field.number in (_NODE_OUTPUT, _NODE_NAME):
                names.add(field)
            elif field.number == _NODE_ATTRIBUTE and field.has_length:
                attribute = self._attribute(node.inside(field))
                if attribute.graphs:
                    outer.append(attribute)
        if outer:
            proto: Any = NodeProto.FromString(self._read(node, names))
            below = self._header.joined(prefix, proto.name or ",".join(proto.output), "/")
            for attribute in outer:
                self._graphs(attribute, below, depth)

    def _attribute(self, message: Message) -> _Attribute:
        """An attribute of a node, without its values other than graphs."""
        attribute = _Attribute(message, Pieces(), [])
        for field in message.fields():
            if field.number == _ATTRIBUTE_NAME:
                attribute.names.add(field)
            elif field.number in _ATTRIBUTE_GRAPHS and field.has_length:
                self._header.tensor()
                attribute.graphs.append(message.inside(field))
        return attribute

    def _graphs(self, attribute: _Attribute, prefix: str, depth: int) -> None:
        from onnx import AttributeProto

        proto: Any = AttributeProto.FromString(self._read(attribute.message, attribute.names))
        below = self._header.joined(prefix, proto.name, "/")
        for index, graph in enumerate(attribute.graphs):
            several = len(attribute.graphs) > 1
            self.graph(graph, self._header.joined(below, f"{index}/") if several else below, depth + 1)

    def _initializer(self, message: Message, prefix: str) -> None:
        from onnx import TensorProto, external_data_helper

        facts, elements, raw = Pieces(), Pieces(), None
        for field in message.fields():
            if field.number in _TENSOR_FACTS:
                facts.add(field)
            elif field.number in _TENSOR_TYPED:
                elements.add(field)
            elif field.number == _TENSOR_RAW and field.has_length:
                raw = field
        proto: Any = TensorProto.FromString(self._read(message, facts))
        if external_data_helper.uses_external_data(proto):
            raise Damaged("has its weights in other files (ONNX external data)")
        name = self._header.joined(prefix, proto.name)
        self._header.tensor(len(proto.dims))
        if name in self.tensors:
            raise Damaged(f"has two tensors with the name {name}")
        # The library, too, prefers the raw elements.
        self.tensors[name] = self._tensor(proto, message, elements if raw is None else Pieces([raw]))

    def _tensor(self, proto: Any, message: Message, elements: Pieces) -> Tensor:
        from onnx import TensorProto, helper

        shape = tuple(int(size) for size in proto.dims)
        count = math.prod(shape)
        if any(size < 0 for size in shape):
            raise Damaged(f"is damaged: {proto.name} has a negative dimension")
        if proto.data_type == TensorProto.STRING:
            return Tensor(shape, "string", None, 1, _encoded(message, elements))
        try:
            dtype = helper.tensor_dtype_to_np_dtype(proto.data_type).newbyteorder("<")
        except KeyError:
            what = f"a tensor {proto.name} of type {proto.data_type}"
            raise Damaged(f"has {what}, which onnx does not support") from None
        slices = self._in_place(proto, elements.only, dtype, count)
        if slices is None:
            if count > 4 * elements.size:  # an element has at least 2 bits
                raise Damaged(f"is damaged: {proto.name} has fewer elements than its shape")
            slices = _decoded(proto, message, elements, shape)
        return Tensor(shape, dtype.name, family_of(dtype), dtype.itemsize, slices)

    def _in_place(self, proto: Any, place: Field | None, dtype: np.dtype[Any], count: int) -> Slices | None:
        """Elements that are stored as they are in memory; None if the library has to decode them."""
        import numpy as np
        from onnx import TensorProto

        as_they_are = {_TENSOR_RAW, {TensorProto.FLOAT: _FLOATS, TensorProto.DOUBLE: _DOUBLES}.get(proto.data_type)}
        bits = next((bits for end, bits in _SMALL.items() if dtype.name.endswith(end)), 8 * dtype.itemsize)
        if place is None or place.number not in as_they_are or bits == _SIX:
            return None
        size = place.stop - place.start
        if size != math.ceil(count * bits / 8):
            raise Damaged(f"is damaged: the number of elements of {proto.name} does not match its shape")
        if bits == 8 * dtype.itemsize:
            return region(self._file, place.start, dtype, count, self._limits)
        packed = region(self._file, place.start, np.dtype(np.uint8), size, self._limits)
        return unpacked(packed, bits, count, _number_of(dtype.name, bits))

    def _read(self, message: Message, pieces: Pieces) -> bytes:
        self._header.read(pieces.size)
        return message.read(pieces)


def _number_of(name: str, bits: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Converts elements of a type with less than 8 bits, one per byte, to numbers."""

    def convert(elements: NDArray[Any]) -> NDArray[Any]:
        import ml_dtypes
        import numpy as np

        if name.startswith("float"):
            return elements.view(getattr(ml_dtypes, name))
        sign = 1 << bits - 1
        return elements if name.startswith("uint") else (elements ^ sign).astype(np.int8) - np.int8(sign)

    return convert


def _encoded(message: Message, pieces: Pieces) -> Slices:
    """The encoding of some fields, as bytes."""

    def slices(step: int) -> Iterator[NDArray[Any]]:
        import numpy as np

        yield from (np.frombuffer(part, np.uint8) for part in message.parts(pieces, step))

    return slices


def _decoded(facts: Any, message: Message, elements: Pieces, shape: tuple[int, ...]) -> Slices:
    """Elements that the library decodes: packed numbers of 6 bits, and most typed fields."""

    def slices(step: int) -> Iterator[NDArray[Any]]:
        from onnx import TensorProto, numpy_helper

        if elements.size > ENCODED:
            raise TooLarge(
                f"is stored in a way that has to be decoded as a whole, and has {in_words(elements.size)},"
                f" above the limit of {in_words(ENCODED)} for that"
            )
        proto: Any = TensorProto.FromString(facts.SerializeToString() + message.read(elements))
        whole = numpy_helper.to_array(proto)
        if whole.shape != shape:
            raise Damaged(f"is damaged: {facts.name} does not match its shape")
        flat = whole.reshape(-1)
        for start in range(0, flat.size, step):
            yield flat[start : start + step]

    return slices
