"""One pattern of an ignore file, compiled: see `ignoring.py`. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

BOM = "\ufeff"
# What Go's `unicode.IsSpace` accepts; `str.strip` also removes U+001C to U+001F.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
WILD = re.compile(r"[*?\[\]\\^]")
# moby means to quote `|`, `{` and `}` as well, but the bit mask in its `shouldEscape` has no place for them.
_QUOTED = frozenset(".+()$")
_OPERATORS = re.compile(r"[|{]")
_REPEATED = re.compile(r"\{[0-9]{1,3}(,[0-9]{0,3})?\}")
# A backslash and a letter, outside and inside of brackets.
_LETTERS = {letter: f"\\{letter}" for letter in "afnrtvdDwW"}
_OUTSIDE = _LETTERS | {"s": "[\t\n\f\r ]", "S": "[^\t\n\f\r ]"}
_INSIDE = _LETTERS | {"s": "\t\n\f\r "}


class BadPattern(ValueError):
    """A pattern that no builder accepts, or that builders understand differently; the message says why."""

    def __init__(self, pattern: str, why: str) -> None:
        super().__init__(why)
        self.pattern = pattern


class Pattern:
    """One pattern. `text` is compared as it is when there is no `expression`: see `kind`."""

    def __init__(self, text: str, kind: str, expression: str, *, exception: bool, written: str = "") -> None:
        self.text, self.kind, self.expression, self.exception = text, kind, expression, exception
        self._written = written or text

    @cached_property
    def matches(self) -> Callable[[str], bool]:
        """Whether the pattern matches a path itself."""
        return Run([self], 0, exception=self.exception).matches

    @cached_property
    def search(self) -> Callable[[str], object]:
        """The regular expression, compiled."""
        return re.compile(self.expression, re.ASCII).search

    @cached_property
    def head(self) -> str:
        """What every path that it matches begins with."""
        if self.kind == "exact":
            return self.text
        if self.kind == "prefix":
            return self.text[:-2]
        if self.kind == "suffix" or _OPERATORS.search(self.text):
            return ""
        return self.text[: _first(self.text)]

    @cached_property
    def tail(self) -> str:
        """What every path that the expression matches ends with."""
        if _OPERATORS.search(self.text):
            return ""
        last = max(match.end() for match in WILD.finditer(self.text))
        rest = self.text[last:]
        if self.text[last - 1] == "\\":
            return rest[1:]
        return rest.removeprefix("/") if self.text[:last].endswith("**") else rest

    @cached_property
    def middle(self) -> str:
        """A text that every path that the expression matches contains: the longest that is easy to find."""
        if _OPERATORS.search(self.text) or "[" in self.text or "\\" in self.text:
            return ""
        texts = re.split(r"[*?\]^]+", self.text)
        # `**/x` also matches `x`.
        return max((text.strip("/") for text in texts), key=len)

    @cached_property
    def start(self) -> str:
        """The pattern without a wildcard for everything in a folder at its end, as fsutil sees it."""
        return self._written.removesuffix("/**").removesuffix("/*")

    def reaches(self, folder: str) -> bool:
        """Whether it may match something in a folder (its path with a slash at the end)."""
        if self.kind == "exact":
            return f"{self.text}/".startswith(folder)
        return self.head.startswith(folder) or folder.startswith(self.head)


class Run:
    """Patterns in a row that all ignore, or are all exceptions: the order among them does not matter for a file."""

    def __init__(self, patterns: Sequence[Pattern], begin: int, *, exception: bool) -> None:
        self.patterns, self.begin, self.end = patterns, begin, begin + len(patterns)
        self.exception = exception
        texts = {kind: [p.text for p in patterns if p.kind == kind] for kind in ("exact", "prefix", "suffix")}
        self._suffixes = tuple(text[2:] for text in texts["suffix"])
        # `**/x` also matches `x`.
        self._exact = {*texts["exact"], *(text[1:] for text in self._suffixes if text.startswith("/"))}
        self._prefixes = tuple(text[:-2] for text in texts["prefix"])
        # Without those that are there twice.
        self._expressions = [*{p.expression: p for p in patterns if p.kind == "expression"}.values()]
        self._heads = tuple({p.head for p in self._expressions})
        self._tails = tuple({p.tail for p in self._expressions})

    @cached_property
    def _tried(self) -> list[tuple[str, str, str, Callable[[str], object]]]:
        return [(p.middle, p.head, p.tail, p.search) for p in self._expressions]

    def matches(self, path: str) -> bool:
        """Whether one of the patterns matches a path itself."""
        if path in self._exact or path.startswith(self._prefixes) or path.endswith(self._suffixes):
            return True
        # Most paths are decided by the texts in the patterns, which is much faster than their expressions.
        if not path.endswith(self._tails) or not path.startswith(self._heads):
            return False
        for middle, head, tail, matching in self._tried:
            if middle in path and path.startswith(head) and path.endswith(tail) and matching(path):
                return True
        return False


def grouped(patterns: Sequence[Pattern]) -> list[Run]:
    """The runs of patterns, in order."""
    runs, begin = [], 0
    for end in range(1, len(patterns) + 1):
        if end == len(patterns) or patterns[end].exception != patterns[begin].exception:
            runs.append(Run(patterns[begin:end], begin, exception=patterns[begin].exception))
            begin = end
    return runs


def joined(runs: Iterable[Run], *, exception: bool) -> Run:
    """All patterns of some runs that ignore, or are exceptions: whether one of them matches, wherever it stands."""
    patterns = [pattern for run in runs if run.exception == exception for pattern in run.patterns]
    return Run(patterns, 0, exception=exception)


def compiled(pattern: str) -> Pattern | None:
    """One pattern, compiled; None when it can match nothing."""
    text = pattern.strip(SPACE)
    exception = text.startswith("!")
    if exception:
        text = clean(text)[1:]
        if not text:
            raise BadPattern(pattern, "there is nothing after the exclamation mark")
    elif text:
        text = clean(text)
    _check(pattern, text)
    if text in ("", ".", "/", "..") or text.startswith("../"):
        return None
    kind, expression = _expression(pattern, text)
    # Go's scanner skips a byte order mark, but an exact comparison has it.
    plain = text.removeprefix(BOM) if expression else text
    return Pattern(plain, kind, expression, exception=exception, written=text)


def clean(path: str) -> str:
    """Go's `filepath.Clean`; Python keeps two slashes at the beginning."""
    return posixpath.normpath("/" + path.lstrip("/") if path.startswith("/") else path)


def _first(text: str) -> int:
    found = WILD.search(text)
    return found.start() if found else len(text)


def _check(pattern: str, text: str) -> None:
    """Checks what Go's `filepath.Match` checks.

    Raises:
        BadPattern: a bracket or a backslash is not complete.
    """
    place = 0

    def char() -> None:
        nonlocal place
        if text[place : place + 1] in ("", "-", "]"):
            raise BadPattern(pattern, "a bracket is not closed, or has no characters or half a range in it")
        place += 2 if text[place] == "\\" else 1
        if place > len(text):
            raise BadPattern(pattern, "there is nothing after the last backslash")

    while place < len(text):
        if text[place] != "[":
            place += text[place] == "\\"
            if place >= len(text):
                raise BadPattern(pattern, "there is nothing after the last backslash")
            place += 1
            continue
        place += 2 if text[place + 1 : place + 2] == "^" else 1
        first = True
        while first or text[place : place + 1] != "]":
            char()
            if text[place : place + 1] == "-":
                place += 1
                char()
            first = False
        place += 1


def _expression(pattern: str, text: str) -> tuple[str, str]:
    """How a pattern is compared, and its regular expression, if that is how."""
    kind, expression, place = "exact", "", 0
    rest = text.removeprefix(BOM)
    while place < len(rest):
        begin, char = place, rest[place]
        place += 1
        if char == "*" and rest[place : place + 1] == "*":
            place += 2 if rest[place + 1 : place + 2] == "/" else 1
            if place < len(rest):
                expression += "(.*/)?"
                kind = "expression"
            elif kind == "exact":
                kind = "prefix"
            else:
                expression += ".*"
                kind = "expression"
            if begin == 0:
                kind = "suffix"
        elif char in "*?":
            expression += "[^/]*" if char == "*" else "[^/]"
            kind = "expression"
        elif char == "\\":
            expression += char + rest[place]
            place += 1
            kind = "expression"
        else:
            expression += f"\\{char}" if char in _QUOTED else char
            kind = "expression" if char in "[]" else kind
    if kind == "suffix" and rest != text:
        raise BadPattern(pattern, "it begins with a byte order mark")
    return kind, _python(pattern, expression) if kind == "expression" else ""


def _python(pattern: str, expression: str) -> str:
    """The expression that Go would compile, for Python."""
    made, place = "^", 0
    while place < len(expression):
        char = expression[place]
        if repeated := _REPEATED.match(expression, place):
            made += repeated.group()
            place = repeated.end()
        elif char == "\\":
            made += _escaped(pattern, expression[place + 1], _OUTSIDE)
            place += 2
        elif char == "[":
            group, place = _group(pattern, expression, place + 1)
            made += group
        else:
            # These are operators; everything else is itself.
            made += char if char in "^.*?()|" else re.escape(char)
            place += 1
    # Without a group around it, as in Go: an alternative is not bound to the end.
    made += r"\Z"
    try:
        re.compile(made, re.ASCII)
    except re.error as error:
        raise BadPattern(pattern, str(error)) from None
    return made


def _group(pattern: str, expression: str, place: int) -> tuple[str, int]:
    """The set of characters that begins after a bracket, and the place after it."""
    made = "["
    if expression[place : place + 1] == "^":
        made, place = "[^", place + 1
    first = True
    while first or expression[place : place + 1] != "]":
        first = False
        if expression.startswith("[:", place):
            raise BadPattern(pattern, "classes of characters are not supported")
        low, place = _member(pattern, expression, place)
        made += low
        if expression[place : place + 1] == "-" and expression[place + 1 : place + 2] not in ("", "]"):
            high, place = _member(pattern, expression, place + 1)
            made += f"-{high}"
    return f"{made}]", place + 1


def _member(pattern: str, expression: str, place: int) -> tuple[str, int]:
    """The member of a set at a place, and the place after it."""
    char = expression[place : place + 1]
    if not char:
        raise BadPattern(pattern, "a bracket is not closed")
    if char == "\\":
        return _escaped(pattern, expression[place + 1], _INSIDE), place + 2
    return f"\\{char}" if char in "[]^-&~|" else char, place + 1


def _escaped(pattern: str, char: str, letters: dict[str, str]) -> str:
    if char.isascii() and not char.isalnum():
        return re.escape(char)
    if char not in letters:
        raise BadPattern(pattern, f"builders do not agree on what a backslash before {char!r} means")
    return letters[char]
