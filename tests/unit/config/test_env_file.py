"""Files of environment variables: what Docker reads, quotes as Compose reads them, and what is refused."""

from __future__ import annotations

import pytest

from orchestrator.config.env_file import parse_env

SHELL = {"E": "from the shell", "BAD": "\udcff"}

AS_DOCKER = [
    ("A=1", "1"),
    ("A=", ""),
    ("A= x ", " x "),
    ("\t A=x\t", "x\t"),
    ("A=x # note", "x # note"),
    ("A=a#b", "a#b"),
    ("A=b=c", "b=c"),
    ('A="--a" "--b"', '"--a" "--b"'),
    ("A='it''s'", "'it''s'"),
    ('A="x"y', '"x"y'),
    ('A="x"#y', '"x"#y'),
    ("A='x", "'x"),
    ('A=5"', '5"'),
    ('A="', '"'),
    ("A={'k': 1}", "{'k': 1}"),
    ("A=$HOME ${HOME}", "$HOME ${HOME}"),
    ("A=C:\\n", "C:\\n"),
    ("A=x\r", "x"),
    ("A=x\ry", "x\ry"),
]
AS_COMPOSE = [
    ('A="x y"', "x y"),
    ("A='x y'", "x y"),
    ('A=""', ""),
    ("A = x y ", "x y"),
    ("export A=x", "x"),
    ('A= "x" ', "x"),
    ('A="x" # note "y"', "x"),
    ("A='x'\t# it's", "x"),
    ('A=\'{"k": "v"}\'', '{"k": "v"}'),
    ('A="{\\"k\\": \\"v\\"}"', '{"k": "v"}'),
    ("A='Let\\'s go'", "Let's go"),
    ("A='a\\n$B'", "a\\n$B"),
    ('A="a\\nb\\tc\\\\d\\$E\\q"', "a\nb\tc\\d$E\\q"),
    ('A="5$ or $5"', "5$ or $5"),
    ("A='x\"y'", 'x"y'),
    ("A='#x'", "#x"),
]


@pytest.mark.parametrize(("line", "value"), AS_DOCKER + AS_COMPOSE)
def test_a_value(line: str, value: str) -> None:
    for text in (line, f"B=1\n{line}\nC=1\n"):
        values, findings = parse_env(text, {})
        assert findings == []
        assert values["A"] == value


@pytest.mark.parametrize("name", ["F.G", "F-G", "1A", "a/b:c", "é"])
def test_a_name_that_docker_takes(name: str) -> None:
    assert parse_env(f"{name}=1", {}) == ({name: "1"}, [])


def test_lines_that_are_no_variables_and_names_without_a_value() -> None:
    text = "# A=1\n\n  # B=2\n \t\nE\nexport E\nNOT_SET\nC=1\nC=2\n"
    assert parse_env(text, SHELL) == ({"E": "from the shell", "C": "2"}, [])


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("=hunter2", 1, "there is no name before the ="),
        ("A=1\nhunter2 B=1", 2, "the name contains a space"),
        ("hunter2: B", 1, "expected NAME=VALUE"),
        ("A\x1b=hunter2", 1, "the name contains a control character"),
        ("A=hunter2\0", 1, "the value contains a NUL character"),
        ("BAD", 1, "the value of BAD in the environment is not UTF-8"),
        ('A="-----BEGIN\nhunter2\n-----END"', 1, "a value in quotes has several lines"),
        ("B=1\nA='hunter2\nx'  # note", 2, "a value in quotes has several lines"),
        ('A="\nhunter2\n"', 1, "a value in quotes has several lines"),
        ('A="hunter2$B"', 1, "Compose replaces $ in double quotes"),
        ('A="hunter2${B}"', 1, "Compose replaces $ in double quotes"),
        ('A="hunter2$$"', 1, "Compose replaces $ in double quotes"),
        ('A="hunter2\\\\$B"', 1, "Compose replaces $ in double quotes"),
    ],
)
def test_what_would_not_arrive_as_it_is_written_is_refused(text: str, line: int, words: str) -> None:
    findings = parse_env(text, SHELL)[1]
    assert [finding.path for finding in findings] == ["run.env_file"]
    assert findings[0].message == f"line {line}: {words}"
    assert "hunter2" not in str(findings[0])


def test_an_apostrophe_is_not_the_beginning_of_several_lines() -> None:
    text = "A='tis\nB=it's late\nC='twas\nD=5\n"
    assert parse_env(text, {}) == ({"A": "'tis", "B": "it's late", "C": "'twas", "D": "5"}, [])


def test_a_large_file_is_read_in_linear_time() -> None:
    text = "\n".join(f"A{number}='x" if number % 2 else f'A{number}="x' for number in range(20_000))
    assert len(parse_env(text, {})[0]) == 20_000
