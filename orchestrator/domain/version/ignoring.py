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

from collections.abc import Iterable, Sequence

from orchestrator.domain.version.patterns import BOM, SPACE, WILD, BadPattern, Run, clean, compiled, grouped, joined

__all__ = ["BadPattern", "Folder", "Ignoring", "literal", "read", "write"]


def read(data: bytes) -> list[str]:
    """The patterns in an ignore file, without comments and empty lines; an exception begins with `!`.

    Raises:
        BadPattern: a pattern is not UTF-8.
    """
    patterns = []
    for line in data.removeprefix(BOM.encode()).split(b"\n"):
        if line.startswith(b"#"):
            continue
        try:
            text = line.decode().strip(SPACE)
        except UnicodeDecodeError:
            raise BadPattern(line.decode("utf-8", "replace"), "it is not UTF-8") from None
        if text:
            exception = text.startswith("!")
            text = text[1:].strip(SPACE) if exception else text
            text = clean(text) if text else ""
            text = text[1:] if len(text) > 1 and text.startswith("/") else text
            patterns.append("!" * exception + text)
    return patterns


def write(patterns: Iterable[str]) -> str:
    """An ignore file with these valid patterns, from which every builder reads the same ones."""
    # The slash is removed again; behind it, nothing is a comment or an exception.
    matching = (text for text in patterns if compiled(text) is not None)
    lines = ("!/" + text[1:] if text.startswith("!") else "/" + text for text in matching)
    return "".join(f"{line}\n" for line in ("# Written by deployctl", *lines))


def literal(path: str) -> tuple[str, str]:
    """Two patterns that ignore a path and everything below it, whatever the exceptions before them say."""
    # Old engines accept only printable ASCII; a wildcard stands for the rest.
    plain = (char if " " <= char <= "~" else "?" for char in path)
    quoted = "".join(f"\\{char}" if WILD.match(char) and char != "?" else char for char in plain)
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
        found = (compiled(pattern) for pattern in patterns)
        self._patterns = [pattern for pattern in found if pattern is not None]
        self._runs = grouped(self._patterns)
        self._exceptions = [pattern for pattern in self._patterns if pattern.exception]
        self._only_starts = not any(WILD.search(pattern.start) for pattern in self._exceptions)
        self._folders: dict[tuple[bool, ...], Folder] = {}
        self.root = self._folder((False,) * len(self._patterns), ignored=False)
        """The context itself."""

    def ignores(self, path: str) -> bool:
        """Whether a file is ignored; `path` is relative to the context, with `/`."""
        folder, parts = self.root, path.split("/")
        for end in range(1, len(parts)):
            above = "/".join(parts[:end])
            folder = self.enter(folder, above)
            if folder.ignored and not self.excepts(above):
                return True
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
        """Whether an exception may apply to something in the ignored folder `path`."""
        folder = f"{path}/"
        if self._only_starts:
            # Then BuildKit does not look into other folders. It would find more there: `!a|b/*` also matches `x/b/y`.
            return any(f"{pattern.start}/".startswith(folder) for pattern in self._exceptions)
        return any(pattern.reaches(folder) for pattern in self._exceptions)

    def _folder(self, matched: tuple[bool, ...], *, ignored: bool) -> Folder:
        # What a folder says about its files depends on `matched` alone, and most folders have the same.
        if matched not in self._folders:
            self._folders[matched] = Folder(matched, self._runs, ignored=ignored)
        return self._folders[matched]


class Folder:
    """A folder of the context: which patterns match it, and whether it is ignored."""

    def __init__(self, matched: tuple[bool, ...], runs: Sequence[Run], *, ignored: bool) -> None:
        self.matched = matched
        self.ignored = ignored
        # The last run with a pattern that matches the folder decides before all runs ahead of it.
        decided = [number for number, run in enumerate(runs) if any(matched[run.begin : run.end])]
        self._ignored = not runs[decided[-1]].exception if decided else False
        self._last_first = runs[decided[-1] + 1 :][::-1] if decided else runs[::-1]
        self._all = {exception: joined(self._last_first, exception=exception) for exception in (True, False)}

    def ignores(self, path: str) -> bool:
        """Whether a file directly in this folder is ignored; `path` is relative to the context."""
        # Of the patterns that match, the last one decides. For most files no pattern changes what the folder says, or
        # none changes it back: then the order does not matter, and many patterns are tried at once.
        if not self._all[self._ignored].matches(path):
            return self._ignored
        if not self._all[not self._ignored].matches(path):
            return not self._ignored
        return next(not run.exception for run in self._last_first if run.matches(path))
