"""Finds secret values in the lines of a program, also in the forms in which programs print values.

A value can be escaped (JSON, Python's repr, a shell, HTML), be part of a URL, or be encoded in Base64 or hexadecimal
digits, alone or within a longer text. Escapes are undone in the text, and not made of the value: which characters a
program escapes differs from program to program.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from orchestrator.frozen import frozen

MASK = "***"
SHORTEST = 8
"""Shorter values, in characters, occur in most texts by chance: masking them would reveal them."""

# How many times escapes are undone: a repr in a JSON document in a JSON document. With the limit of views, a line that
# is made to cost much costs less than a second.
_DEPTH = 3
_VIEWS = 32
# The line lengths of Base64: of PEM files, and of MIME and the program base64.
_WRAPPED = (64, 76)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
_ENTITIES = {b"&amp;": b"&", b"&lt;": b"<", b"&gt;": b">", b"&quot;": b'"', b"&apos;": b"'"}


@frozen
class _View:
    """A text with its escapes undone. Byte `i` comes from the bytes `starts[i]` to `ends[i]` of the original text."""

    data: bytes
    starts: list[int]
    ends: list[int]


def mask(text: str, values: Iterable[bytes]) -> str:
    """`text` with `***` in place of the values, and of each of their lines that has at least 8 characters."""
    needles: dict[bytes, list[bytes]] = {}  # by their first bytes
    for needle in {needle for value in values for needle in _needles(value)}:
        needles.setdefault(needle[:SHORTEST], []).append(needle)
    if not needles:
        return text
    original = text.encode(errors="surrogatepass")
    spans = list(_found(_plain(original, 0), needles))
    # Of a value whose lines are all short, no line alone would be found.
    whole = any(
        all(len(line) < SHORTEST for line in needle.splitlines()) for each in needles.values() for needle in each
    )
    begin = 0
    for line in [original] if whole else original.split(b"\n"):
        for view in _views(_plain(line, begin)):
            spans += _found(view, needles)
        begin += len(line) + 1
    parts, end = [], 0
    for start, stop in _merged(spans):
        parts += [original[end:start], MASK.encode()]
        end = stop
    return b"".join([*parts, original[end:]]).decode(errors="surrogatepass")


def _found(view: _View, needles: Mapping[bytes, Sequence[bytes]]) -> Iterator[tuple[int, int]]:
    """Where the needles are, in the original text."""
    data = view.data
    for at in range(len(data) - SHORTEST + 1):
        for needle in needles.get(data[at : at + SHORTEST], ()):
            if data.startswith(needle, at):
                yield view.starts[at], view.ends[at + len(needle) - 1]


def _merged(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The spans in order, with those that overlap as one."""
    start = stop = -1
    for first, last in sorted(spans):
        if first >= stop:
            if stop >= 0:
                yield start, stop
            start, stop = first, last
        else:
            stop = max(stop, last)
    if stop >= 0:
        yield start, stop


def _needles(value: bytes) -> Iterator[bytes]:
    """What shows that a text has a value: the value and its lines, plain and encoded."""
    # Of a log, characters that are not UTF-8 are replaced before it gets here.
    for known in {value, value.decode(errors="replace").encode()}:
        for part in {known.strip(), *(line.strip() for line in known.splitlines())}:
            if len(part.decode(errors="replace")) >= SHORTEST:
                yield part
                yield from (part.hex().encode(), part.hex().upper().encode())
                yield from _in_base64(part)
        encoded = base64.b64encode(known)
        for width in _WRAPPED:
            pieces = (encoded[at : at + width] for at in range(0, len(encoded), width)) if len(encoded) > width else ()
            yield from (piece for piece in pieces if len(piece) >= 2 * SHORTEST)


def _in_base64(part: bytes) -> Iterator[bytes]:
    """The characters that stand for `part`, and for nothing else, wherever it begins in an encoded text."""
    for before, unknown in ((0, 0), (1, 2), (2, 3)):
        known = base64.b64encode(b"\0" * before + part)[unknown : (before + len(part)) * 8 // 6]
        yield known
        yield known.replace(b"+", b"-").replace(b"/", b"_")


def _plain(data: bytes, begin: int) -> _View:
    return _View(data, list(range(begin, begin + len(data))), list(range(begin + 1, begin + len(data) + 1)))


def _views(line: _View) -> Iterator[_View]:
    """A line with its escapes undone, of each kind, once or more."""
    seen = {line.data}
    views = [line]
    for _ in range(_DEPTH):
        before, views = views, []
        for view in before:
            for pattern, meaning in _KINDS:
                undone = _undone(view, pattern, meaning)
                if undone.data not in seen and len(seen) <= _VIEWS:
                    seen.add(undone.data)
                    views.append(undone)
                    yield undone


def _undone(view: _View, pattern: re.Pattern[bytes], meaning: Callable[[bytes], bytes]) -> _View:
    data = bytearray()
    starts: list[int] = []
    ends: list[int] = []
    done = 0
    for found in pattern.finditer(view.data):
        start, stop = found.span()
        plain = meaning(found[0])
        data += view.data[done:start] + plain
        starts += view.starts[done:start] + [view.starts[start]] * len(plain)
        ends += view.ends[done:start] + [view.ends[stop - 1]] * len(plain)
        done = stop
    return _View(bytes(data + view.data[done:]), starts + view.starts[done:], ends + view.ends[done:])


def _backslash(escape: bytes) -> bytes:
    if escape[1:2] in b"uU":
        digits = escape[2:].replace(b"\\u", b"").decode()
        if escape[1:2] == b"u" and len(digits) == 8:  # two halves of one character
            return bytes.fromhex(digits).decode("utf-16-be").encode()
        return _character(int(digits, 16))
    if len(escape) == 4:
        return bytes([int(escape[2:], 16) if escape[1:2] == b"x" else int(escape[1:], 8)])
    return _LETTERS.get(escape[1:], escape[1:])


def _backslash_of_text(escape: bytes) -> bytes:
    """In a text, `\xe9` means a character, and in bytes a byte."""
    return _character(int(escape[2:], 16)) if escape[1:2] == b"x" else _backslash(escape)


def _entity(escape: bytes) -> bytes:
    if escape in _ENTITIES:
        return _ENTITIES[escape]
    digits = escape[2:-1]
    return _character(int(digits[1:], 16) if digits[:1] in b"xX" else int(digits))


def _character(number: int) -> bytes:
    return chr(number).encode(errors="replace") if number < 0x110000 else b"?"


_BACKSLASH = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}"
    rb"|\\x[0-9a-fA-F]{2}|\\[0-3][0-7]{2}|\\[nrtabfv\"'\\/ $`]"
)
_KINDS: tuple[tuple[re.Pattern[bytes], Callable[[bytes], bytes]], ...] = (
    (_BACKSLASH, _backslash),
    (_BACKSLASH, _backslash_of_text),
    (re.compile(rb"%[0-9a-fA-F]{2}"), lambda escape: bytes.fromhex(escape[1:].decode())),
    (re.compile(rb"\+|%20"), lambda escape: b" "),  # the query of a URL
    (re.compile(rb"&(?:amp|lt|gt|quot|apos);|&#[0-9]{1,7};|&#[xX][0-9a-fA-F]{1,6};"), _entity),
    (re.compile(rb"""'"'"'|'\\''"""), lambda escape: b"'"),  # a quote in a word of the shell
)
