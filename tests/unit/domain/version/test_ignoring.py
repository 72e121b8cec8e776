"""Patterns of ignore files. `tests/chaos/test_ignoring.py` compares them with BuildKit's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from orchestrator.domain.version import patterns as compiling
from orchestrator.domain.version.ignoring import BadPattern, Ignoring, literal, read, write


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"a\n\n  b \r\n/c/\n", ["a", "b", "c"]),
        (b"# comment\n #no comment\n", ["#no comment"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        ("a\x85\nb\u2028\n\u3000c\nd\x85e\n".encode(), ["a", "b", "c", "d\x85e"]),
        ("#a+b/1\u3000\n/\\a\nb.PY/D\u3000\n! ^/a]\n".encode(), ["\\a", "b.PY/D", "!^/a]"]),
        (b"\x1ca\n", ["\x1ca"]),
        (b"!a\n! /b\n!\n! /\n", ["!a", "!b", "!", "!/"]),
        (b"a//b/./c/../d\n//e\n.\n..\n", ["a/b/d", "e", ".", ".."]),
    ],
)
def test_what_an_ignore_file_says(data: bytes, expected: list[str]) -> None:
    assert read(data) == expected


def test_what_is_not_utf_8() -> None:
    assert read("# größer\na\n".encode("latin-1")) == ["a"]
    with pytest.raises(BadPattern, match="not UTF-8"):
        read("größer\n".encode("latin-1"))


# Each line: the patterns, what they ignore, and what they do not.
CASES = [
    ("a", "a a/b a/b/c", "ab A b/a"),
    ("keys", "keys/x", "Keys/x KEYS"),
    ("a/*", "a/b a/b/c", "a b/a/b"),
    ("*", "a a/b .x", ""),
    ("*/b", "a/b a/b/c", "b a/c/b"),
    ("**", "a a/b", ""),
    ("**/b", "b a/b a/c/b a/b/c", "ab a/ab"),
    ("**b", "b ab a/b a/ab", "ba"),
    ("a**", "a ab ab/c", "b/a"),
    ("a/**", "a/b a/b/c", "a ab"),
    ("a/**/b", "a/b a/c/b a/c/d/b", "ab b"),
    ("a**b", "ab acd/b a/b", "acb"),
    ("*.py", "a.py .py", "a/b.py apy a.pyc"),
    ("**/*.py", "a.py a/b.py", "a.txt"),
    ("?.py", "a.py", "ab.py .py"),
    ("[ab]", "a b a/x", "c ab"),
    ("[^a]", "b c", "a"),
    ("[!a]", "a !", "b"),
    ("[a-c]x", "ax cx", "dx"),
    ("a[^b]c", "axc a/c", "abc"),
    ("a\\*", "a*", "ab"),
    ("\\[a]", "[a]", "a"),
    ("[\\]]", "]", "a"),
    ("\\!a", "!a", "a"),
    ("a.b", "a.b", "axb"),
    ("a.*", "a.b", "axb"),
    ("a+b*", "a+b a+bc", "aab"),
    ("*.{a,b}", "x.{a,b}", "x.a x.b"),
    ("x^y", "x^y", "xy"),
    ("x^y*", "", "x^y xy"),
    ("a]*", "a]b", "ab"),
    ("*|!src/*/h.py", "a src/a/b src/h.py", "src/a/h.py src/b/h.py"),
    ("*|!**/*.py", "a src/a", "a.py src/b.py src/a/b.py"),
    ("a|!a/b|a/b/c", "a/x a/b/c", "a/b/d"),
    ("a|!a/b|a", "a/x", "a/b"),
    ("!a|a", "a a/b", "b"),
    ("a*|!ab", "a ac", "ab ab/c"),
    ("../a|.|/", "", "a"),
]


@pytest.mark.parametrize(("patterns", "ignored", "kept"), CASES)
def test_what_patterns_ignore(patterns: str, ignored: str, kept: str) -> None:
    ignoring = Ignoring(read("\n".join(patterns.split("|")).encode()))
    assert [path for path in ignored.split() if not ignoring.ignores(path)] == []
    assert [path for path in kept.split() if ignoring.ignores(path)] == []


def test_operators_of_an_expression_are_not_quoted() -> None:
    """As in moby, where `|` and a repetition count, when a pattern is an expression."""
    assert Ignoring(["a|b*"]).ignores("axyz")
    assert not Ignoring(["a|b"]).ignores("a")
    assert Ignoring(["[x]{2}"]).ignores("xx")


def test_an_exception_applies_only_in_folders_that_buildkit_looks_into() -> None:
    """As in fsutil: only in those that an exception begins with, unless one has a wildcard before its end."""
    paths = ("x/b/y", "b/y", "ab", "a/b/y", "x/z", "x")
    for patterns, kept in (
        (["**", "!a|b/*"], ["ab", "a/b/y"]),
        (["**", "!a|b/*", "!x/c/**"], ["ab", "a/b/y"]),
        (["**", "!a|b/*", "!b/y"], ["b/y", "ab", "a/b/y"]),
        (["**", "!a|b/*", "!**/z"], ["x/b/y", "b/y", "ab", "a/b/y", "x/z"]),
        (["!a|b/*"], [*paths]),
    ):
        assert [path for path in paths if not Ignoring(patterns).ignores(path)] == kept, patterns


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("!", "nothing after the exclamation mark"),
        ("! /", "nothing after the exclamation mark"),
        ("a\\", "nothing after the last backslash"),
        ("a[", "bracket"),
        ("a[b", "bracket"),
        ("[]a]", "bracket"),
        ("[-a]", "bracket"),
        ("[a-]", "bracket"),
        ("[^]", "bracket"),
        ("[z-a]", "bad character range"),
        ("[[:alpha:]]", "classes of characters"),
        ("\\p*", "builders do not agree"),
    ],
)
def test_what_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(BadPattern, match=why):
        Ignoring(read(pattern.encode()))


def test_an_ignore_file_that_is_written_is_read_the_same() -> None:
    patterns = read(b"a\n!b/*\n #c\n! d\n!!e\n**/f\n./g\n")
    assert read(write(patterns).encode()) == patterns


@pytest.mark.parametrize(
    "path", ["a", "a/b c", " a ", "!a", "#a", "a*b", "[a]", "x^y", "a\\b", "a{1}", "é", "a\nb", "**", "a?"]
)
def test_a_literal_path_and_all_below_it(path: str) -> None:
    patterns = [*read(b"*\n!**/kept\n"), *literal(path)]
    ignoring = Ignoring(patterns)
    assert ignoring.ignores(path)
    assert ignoring.ignores(f"{path}/kept")
    assert not ignoring.ignores("other/kept")
    assert read(write(patterns).encode("ascii")) == patterns
    assert not Ignoring(literal(path)).ignores(f"{path}x")


def test_which_folders_an_exception_may_reach() -> None:
    ignoring = Ignoring(["*", "!src/a", "!lib/*/b"])
    assert [name for name in ("src", "src/a", "src/b", "lib", "lib/x", "libs", "data") if ignoring.excepts(name)] == [
        *("src", "src/a", "lib", "lib/x")
    ]
    assert Ignoring(["*", "!**/a"]).excepts("anything")
    assert not Ignoring(["*"]).excepts("anything")


MANY = {
    "texts": [f"**/dir{number}/*.tmp{number}" for number in range(150)],
    "the last one matches": [*(f"**/dir{number}/*.tmp{number}" for number in range(149)), "**/*.bin"],
    "exceptions": [text for number in range(75) for text in (f"**/cache{number}", f"!**/cache{number}/keep*.bin")],
    "back and forth": ["**/f*.bin", "!**/f*.bin"] * 75,
    "the same": ["**/*.py[cod]", "**/f?x.bin", "*.log"] * 50,
}


@pytest.mark.parametrize("kind", MANY)
def test_a_file_is_decided_without_trying_150_patterns(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Counted, not timed: so the patterns cost less than a builder needs to read the names of the files."""
    counts: Counter[str] = Counter()
    search, matches = compiling.Pattern.search.func, compiling.Run.matches

    def counting(pattern: compiling.Pattern) -> Callable[[str], object]:
        found = search(pattern)

        def searched(path: str) -> object:
            counts["expressions"] += 1
            return found(path)

        return searched

    def counted(run: compiling.Run, path: str) -> bool:
        counts["runs"] += 1
        return matches(run, path)

    monkeypatch.setattr(compiling.Pattern, "search", property(counting))
    monkeypatch.setattr(compiling.Run, "matches", counted)
    ignoring = Ignoring(MANY[kind])
    folder = ignoring.root
    for name in ("data", "data/d7", "data/d7/sub"):
        folder = ignoring.enter(folder, name)
    counts.clear()
    for number in range(100):
        folder.ignores(f"data/d7/sub/f{number}.bin")
    assert counts["runs"] <= 300
    assert counts["expressions"] <= 300
