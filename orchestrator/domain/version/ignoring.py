"""Which paths of a build context are ignored: the patterns of an ignore file, as BuildKit understands them. Pure.

The rules are those of github.com/moby/patternmatcher (`ignorefile/ignorefile.go`, which the Dockerfile frontend reads
the file with, and `MatchesUsingParentResults` in `patternmatcher.go`) as github.com/tonistiigi/fsutil (`filter.go`)
applies them while it walks over a context:

- The last pattern that matches a path decides. A path in a folder that a pattern matches is matched by it as well.
- A pattern is only tried when it would change what the patterns before it say.
- A pattern with `*`, `?`, `[` or a backslash is a regular expression, except `**` at its beginning or end: then what
  remains is compared as it is.

Whatever BuildKit refuses is refused here as well, and in addition what only Go's regular expressions know: classes of
characters (`[[:alpha:]]`) and a backslash before most letters and digits.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property

_BOM = "\ufeff"
# What Go's `unicode.IsSpace` accepts; `str.strip` also removes U+001C to U+001F.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_WILD = re.compile(r"[*?\[\]\\^]")
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


def read(data: bytes) -> list[str]:
    """The patterns in an ignore file, without comments and empty lines; an exception begins with `!`.

    Raises:
        BadPattern: a pattern is not UTF-8.
    """
    patterns = []
    for line in data.removeprefix(_BOM.encode()).split(b"\n"):
        if line.startswith(b"#"):
            continue
        try:
            text = line.decode().strip(_SPACE)
        except UnicodeDecodeError:
            raise BadPattern(line.decode("utf-8", "replace"), "it is not UTF-8") from None
        if text:
            exception = text.startswith("!")
            text = text[1:].strip(_SPACE) if exception else text
            text = _clean(text) if text else ""
            text = text[1:] if len(text) > 1 and text.startswith("/") else text
            patterns.append("!" * exception + text)
    return patterns


def write(patterns: Iterable[str]) -> str:
    """An ignore file with these valid patterns, from which every builder reads the same ones."""
    # The slash is removed again; behind it, nothing is a comment or an exception.
    matching = (text for text in patterns if _compiled(text) is not None)
    lines = ("!/" + text[1:] if text.startswith("!") else "/" + text for text in matching)
    return "".join(f"{line}\n" for line in ("# Written by deployctl", *lines))


def literal(path: str) -> tuple[str, str]:
    """Two patterns that ignore a path and everything below it, whatever the exceptions before them say."""
    # Old engines accept only printable ASCII; a wildcard stands for the rest.
    plain = (char if " " <= char <= "~" else "?" for char in path)
    quoted = "".join(f"\\{char}" if _WILD.match(char) and char != "?" else char for char in plain)
    if quoted[0] in "! ":
        quoted = f"[{quoted[0]}]{quoted[1:]}"
    if quoted[-1] == " ":
        quoted = f"{quoted[:-1]}[ ]"
    return quoted, f"{quoted}/**"


class Ignoring:
    """Compiled patterns, as `read` returns them.

    Raises:
        BadPattern: one of them is invalid.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        compiled = (_compiled(pattern) for pattern in patterns)
        self._patterns = [pattern for pattern in compiled if pattern is not None]
        self._runs = _runs(self._patterns)
        self._exceptions = [pattern for pattern in self._patterns if pattern.exception]
        self._folders: dict[tuple[bool, ...], Folder] = {}
        self.root = self._folder((False,) * len(self._patterns), ignored=False)
        """The context itself."""

    def ignores(self, path: str) -> bool:
        """Whether a file is ignored; `path` is relative to the context, with `/`."""
        folder, parts = self.root, path.split("/")
        for end in range(1, len(parts)):
            folder = self.enter(folder, "/".join(parts[:end]))
        return folder.ignores(path)

    def enter(self, parent: Folder, path: str) -> Folder:
        """The folder `path` in the folder `parent`."""
        ignored, matched = False, []
        for pattern, above in zip(self._patterns, parent.matched, strict=True):
            match = above or (pattern.exception == ignored and pattern.matches(path))
            matched.append(match)
            if match:
                ignored = not pattern.exception
        return self._folder(tuple(matched), ignored=ignored)

    def excepts(self, path: str) -> bool:
        """Whether an exception may apply to something in the folder `path`."""
        return any(pattern.reaches(f"{path}/") for pattern in self._exceptions)

    def _folder(self, matched: tuple[bool, ...], *, ignored: bool) -> Folder:
        # What a folder says about its files depends on `matched` alone, and most folders have the same.
        if matched not in self._folders:
            self._folders[matched] = Folder(matched, self._runs, ignored=ignored)
        return self._folders[matched]


class Folder:
    """A folder of the context: which patterns match it, and whether it is ignored."""

    def __init__(self, matched: tuple[bool, ...], runs: Sequence[_Run], *, ignored: bool) -> None:
        self.matched = matched
        self.ignored = ignored
        # The last run with a pattern that matches the folder decides before all runs ahead of it.
        decided = [number for number, run in enumerate(runs) if any(matched[run.begin : run.end])]
        self._ignored = not runs[decided[-1]].exception if decided else False
        self._runs = runs[decided[-1] + 1 :] if decided else runs

    def ignores(self, path: str) -> bool:
        """Whether a file directly in this folder is ignored; `path` is relative to the context."""
        ignored = self._ignored
        for run in self._runs:
            if run.exception == ignored and run.matches(path):
                ignored = not ignored
        return ignored


class _Pattern:
    """One pattern. `text` is compared as it is when there is no `expression`: see `kind`."""

    def __init__(self, text: str, kind: str, expression: str, *, exception: bool) -> None:
        self.text, self.kind, self.expression, self.exception = text, kind, expression, exception

    @cached_property
    def matches(self) -> Callable[[str], bool]:
        """Whether the pattern matches a path itself."""
        return _Run([self], 0).matches

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
        last = max(match.end() for match in _WILD.finditer(self.text))
        rest = self.text[last:]
        if self.text[last - 1] == "\\":
            return rest[1:]
        return rest.removeprefix("/") if self.text[:last].endswith("**") else rest

    def reaches(self, folder: str) -> bool:
        """Whether it may match something in a folder (its path with a slash at the end)."""
        if self.kind == "exact":
            return f"{self.text}/".startswith(folder)
        return self.head.startswith(folder) or folder.startswith(self.head)


class _Run:
    """Patterns in a row that all ignore, or are all exceptions: the order among them does not matter for a file."""

    def __init__(self, patterns: Sequence[_Pattern], begin: int) -> None:
        self.begin, self.end = begin, begin + len(patterns)
        self.exception = patterns[0].exception
        texts = {kind: [p.text for p in patterns if p.kind == kind] for kind in ("exact", "prefix", "suffix")}
        self._suffixes = tuple(text[2:] for text in texts["suffix"])
        # `**/x` also matches `x`.
        self._exact = {*texts["exact"], *(text[1:] for text in self._suffixes if text.startswith("/"))}
        self._prefixes = tuple(text[:-2] for text in texts["prefix"])
        self._expressions = [(p.head, p.tail, p.expression) for p in patterns if p.kind == "expression"]
        self._tails = tuple({tail for _, tail, _ in self._expressions})

    @cached_property
    def _tried(self) -> list[tuple[str, str, Callable[[str], object]]]:
        return [(head, tail, re.compile(text, re.ASCII).search) for head, tail, text in self._expressions]

    def matches(self, path: str) -> bool:
        """Whether one of the patterns matches a path itself."""
        if path in self._exact or path.startswith(self._prefixes) or path.endswith(self._suffixes):
            return True
        # Most paths are decided by how they end, which is much faster than an expression.
        if not path.endswith(self._tails):
            return False
        return any(
            path.startswith(head) and path.endswith(tail) and matching(path) for head, tail, matching in self._tried
        )


def _runs(patterns: Sequence[_Pattern]) -> list[_Run]:
    runs, begin = [], 0
    for end in range(1, len(patterns) + 1):
        if end == len(patterns) or patterns[end].exception != patterns[begin].exception:
            runs.append(_Run(patterns[begin:end], begin))
            begin = end
    return runs


def _compiled(pattern: str) -> _Pattern | None:
    """One pattern, compiled; None when it can match nothing."""
    text = pattern.strip(_SPACE)
    exception = text.startswith("!")
    if exception:
        text = _clean(text)[1:]
        if not text:
            raise BadPattern(pattern, "there is nothing after the exclamation mark")
    elif text:
        text = _clean(text)
    _check(pattern, text)
    if text in ("", ".", "/", "..") or text.startswith("../"):
        return None
    kind, expression = _expression(pattern, text)
    # Go's scanner skips a byte order mark, but an exact comparison has it.
    return _Pattern(text.removeprefix(_BOM) if expression else text, kind, expression, exception=exception)


def _clean(path: str) -> str:
    """Go's `filepath.Clean`; Python keeps two slashes at the beginning."""
    return posixpath.normpath("/" + path.lstrip("/") if path.startswith("/") else path)


def _first(text: str) -> int:
    found = _WILD.search(text)
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
    rest = text.removeprefix(_BOM)
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
