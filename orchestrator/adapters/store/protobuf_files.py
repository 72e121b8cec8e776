"""Finds the fields of protobuf messages in a file, without reading the content of large ones.

The encoding is described in https://protobuf.dev/programming-guides/encoding. The file is read in small blocks: mapped
pages would count as memory of the process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from orchestrator.adapters.store.tensor_files import Damaged
from orchestrator.adapters.store.tensor_limits import PIECES, Limits, TooLarge

_BLOCK = 4096
_LONGEST_NUMBER = 10
_CHECKED = 1024  # fields between two looks at the clock
_WRONG = "is damaged, or is not an ONNX model"


class Field(NamedTuple):
    """A field: the position of its tag, and those of the beginning and the end of its content.

    `has_length`: it is a message, a text, bytes, or packed numbers. A tuple, because a model has millions of fields.
    """

    number: int
    has_length: bool
    tag: int
    start: int
    stop: int


class Pieces:
    """Ranges of a file with fields and their tags, in order. Those that touch are one.

    `only` is the only field, if it is one, and has a length.
    """

    def __init__(self, fields: Iterable[Field] = ()) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.size = 0
        self.only: Field | None = None
        for field in fields:
            self.add(field)

    def add(self, field: Field) -> None:
        """Adds a field.

        Raises:
            TooLarge: there are too many ranges.
        """
        self.only = field if field.has_length and not self.ranges else None
        self.size += field.stop - field.tag
        if self.ranges and self.ranges[-1][1] == field.tag:
            self.ranges[-1] = (self.ranges[-1][0], field.stop)
            return
        if len(self.ranges) >= PIECES:
            raise TooLarge(f"has a tensor or a node in more than {PIECES:,} pieces, which is the limit")
        self.ranges.append((field.tag, field.stop))


class Message:
    """A message between two positions of an open file, which its descriptor names."""

    def __init__(self, descriptor: int, begin: int, end: int, limits: Limits) -> None:
        self.begin, self.end = begin, end
        self._descriptor, self._limits = descriptor, limits
        self._block, self._at = b"", 0

    def inside(self, field: Field) -> Message:
        """The message that is the content of a field."""
        inner = Message(self._descriptor, field.start, field.stop, self._limits)
        # Most messages are shorter than a block.
        inner._block, inner._at = self._block, self._at
        return inner

    def fields(self) -> Iterator[Field]:
        """The fields, in order.

        Raises:
            Damaged: it is not a message.
            OutOfTime: no time is left.
        """
        at, count = self.begin, 0
        while at < self.end:
            if count % _CHECKED == 0:
                self._limits.check()
            count += 1
            tag, start = self._number(at)
            wire = tag & 7
            if wire == 2:
                length, start = self._number(start)
                stop = start + length
            elif wire == 0:
                _, stop = self._number(start)
            else:
                stop = start + {1: 8, 5: 4}.get(wire, 0)
            if tag < 8 or wire not in (0, 1, 2, 5):
                raise Damaged(f"{_WRONG}: it has an invalid field")
            if stop > self.end:
                raise Damaged(f"{_WRONG}: a field exceeds its end")
            yield Field(tag >> 3, wire == 2, at, start, stop)
            at = stop

    def read(self, pieces: Pieces) -> bytes:
        """The fields in some pieces, with their tags: a message of them alone."""
        return b"".join(self.parts(pieces, max(1, pieces.size)))

    def parts(self, pieces: Pieces, step: int) -> Iterator[bytes]:
        """The bytes of some pieces, `step` at a time; the last part may be shorter."""
        held = b""
        for start, stop in pieces.ranges:
            while start < stop:
                self._limits.check()
                part = os.pread(self._descriptor, min(step - len(held), stop - start), start)
                if not part:
                    raise Damaged("ends before its tensors do")
                start += len(part)
                held += part
                if len(held) == step:
                    yield held
                    held = b""
        if held:
            yield held

    def _number(self, at: int) -> tuple[int, int]:
        """The varint that starts at a position, and the position after it."""
        index = at - self._at
        if not 0 <= index <= len(self._block) - _LONGEST_NUMBER:
            self._block, self._at, index = os.pread(self._descriptor, _BLOCK, at), at, 0
        value = shift = 0
        for byte in self._block[index : index + min(_LONGEST_NUMBER, self.end - at)]:
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value, at + shift // 7
        raise Damaged(f"{_WRONG}: a number has no end")
