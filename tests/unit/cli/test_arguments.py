"""Global options before and after the command."""

from __future__ import annotations

import pytest

from orchestrator.cli.arguments import hoist, split


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["status"], ["status"]),
        (["status", "--json"], ["--json", "status"]),
        (["release", "v2", "-q", "--no-color"], ["-q", "--no-color", "release", "v2"]),
        (["release", "-f", "a.toml", "v2"], ["-f", "a.toml", "release", "v2"]),
        (["release", "v2", "--file=a.toml"], ["--file=a.toml", "release", "v2"]),
        (["status", "--state-dir", "/s"], ["--state-dir", "/s", "status"]),
        (["--state-dir", "exec", "status"], ["--state-dir", "exec", "status"]),
        (["status", "--file", "--json"], ["--file", "--json", "status"]),
        (["--json", "proxy", "status", "--quiet"], ["--json", "--quiet", "proxy", "status"]),
    ],
)
def test_global_options_are_moved_to_the_front(given: list[str], expected: list[str]) -> None:
    assert hoist(given) == expected


@pytest.mark.parametrize(
    "given",
    [
        ["exec", "ls", "-f", "--json"],
        ["exec", "--", "ls", "--json"],
        ["logs", "--", "--json"],
        ["status", "--watch"],
        ["release", "v2", "--wait"],
        ["history", "-n", "5"],
    ],
)
def test_options_of_commands_are_not_moved(given: list[str]) -> None:
    assert hoist(given) == given


def test_global_options_before_exec_are_moved() -> None:
    assert hoist(["--json", "exec", "ls", "--json"]) == ["--json", "exec", "ls", "--json"]


def test_an_option_without_its_value_is_left_to_the_parser() -> None:
    assert hoist(["status", "--file"]) == ["status", "--file"]


def test_the_given_list_is_not_changed() -> None:
    given = ["status", "--json"]
    hoist(given)
    assert given == ["status", "--json"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["--help"], ["--help"]),
        (["--json", "-q"], []),
        (["status"], ["status"]),
        (["--json", "-f", "release", "--state-dir=/s", "-fa.toml", "status", "release"], ["status", "release"]),
        (["--state-dir", "exec", "exec", "ls"], ["exec", "ls"]),
        (["--file"], ["--file"]),
        (["--", "status"], ["--", "status"]),
        (["__complete", "--", "--json", "status"], ["__complete", "--", "--json", "status"]),
    ],
)
def test_the_rest_begins_with_the_command(given: list[str], expected: list[str]) -> None:
    front, rest = split(given)
    assert rest == expected
    assert sorted([*front, *rest]) == sorted(given)
