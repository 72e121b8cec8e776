"""The limits of a comparison of tensors: whatever the files contain, its time and its memory are bounded.

Files that people use are far from these limits: the 1.5 TB of a model with 100,000 tensors have headers of 12 MB.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from orchestrator.text import size as in_words

HEADER = 16 * 2**20
"""Bytes of a file that are read before its elements: names, shapes, types, positions."""
TENSORS = 100_000
"""Tensors, and other members of an archive, in a file."""
DIMENSIONS = 64
LISTS = 1_000_000
"""Lists and objects in a JSON header, each of which takes 64 bytes and more in memory."""
WHOLE = 128 * 2**20
"""Bytes of a tensor that has to be loaded completely, because its order differs between the two files."""
ELEMENT = 4 * 2**20
"""Bytes of an element of such a tensor; elements that are not numbers can have any size."""
ENCODED = 8 * 2**20
"""Bytes of a tensor that a library has to decode as a whole, which takes up to 30 times as much memory."""
PIECES = 1000
"""Pieces in which one tensor is spread over an ONNX file."""
NESTED = 32
"""Graphs inside graphs: protobuf itself reads at most 100 nested messages, which are 33 graphs."""


class OutOfTime(Exception):
    """The time for the comparison is over."""


class TooLarge(Exception):
    """A file or a tensor is above a limit. The message completes "the older one …", or the name of the tensor."""


class Limits:
    """The time that is left. `seconds` begin now; `clock` is monotonic."""

    def __init__(self, seconds: float = math.inf, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def check(self) -> None:
        """Called before each piece of work that takes up to a tenth of a second.

        Raises:
            OutOfTime: no time is left.
        """
        if self._clock() >= self._end:
            raise OutOfTime


class Header:
    """Counts what is kept of one file before its elements are compared."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._bytes = self._tensors = 0

    def read(self, count: int) -> None:
        """Counts bytes that are about to be read or kept.

        Raises:
            TooLarge: it is too much for a header.
            OutOfTime: no time is left.
        """
        self.limits.check()
        self._bytes += count
        if count > HEADER:
            raise TooLarge(f"has a header of {in_words(count)}, above the limit of {in_words(HEADER)}")
        self._check()

    def joined(self, *parts: str) -> str:
        """The text of some parts, whose memory is counted before it is joined.

        Raises:
            TooLarge: it is too much for a header.
            OutOfTime: no time is left.
        """
        self.limits.check()
        # Python stores a text with 1 byte per character, or with up to 4 if one of them needs it.
        width = 1 if all(part.isascii() for part in parts) else 4
        self._bytes += width * sum(map(len, parts))
        self._check()
        return "".join(parts)

    def tensor(self, dimensions: int = 0) -> None:
        """Counts a tensor.

        Raises:
            TooLarge: it is one too many, or has too many dimensions.
            OutOfTime: no time is left.
        """
        self.limits.check()
        self._tensors += 1
        if self._tensors > TENSORS:
            raise TooLarge(f"has more than {TENSORS:,} tensors, which is the limit")
        if dimensions > DIMENSIONS:
            raise TooLarge(f"has a tensor with {dimensions:,} dimensions, above the limit of {DIMENSIONS}")

    def _check(self) -> None:
        if self._bytes > HEADER:
            raise TooLarge(f"has more than {in_words(HEADER)} of names and shapes")
