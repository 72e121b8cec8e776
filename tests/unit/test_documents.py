"""What the documents name exists: paths, tests, commands and their options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer import Context
from typer.core import TyperGroup
from typer.main import get_command

from orchestrator.cli.root import app as program
from orchestrator.release.steps import STEPS

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/reliability.md")
PAGES = [str(page.relative_to(ROOT)) for page in sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))]
# Paths of the repository may be given from its root, or from that of the package.
BASES = (ROOT, ROOT / "orchestrator")


def named(text: str) -> Iterator[str]:
    """What is in backticks, outside of blocks of code."""
    blocks = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return iter(re.findall(r"`([^`\n]+)`", blocks))


def paths(text: str) -> Iterator[str]:
    """The paths and tests in a text that are to exist, without those of the state folder and of the machine."""
    for token in named(text.split("## The state folder")[0]):
        for word in token.split() if token.startswith(("scripts/", "tests/")) else [token]:
            if " " in word or word.startswith(("/", "~", "$", "-")) or "://" in word:
                continue
            if "/" in word or word.endswith((".py", ".md")):
                yield word.strip("'")


def exists(name: str) -> bool:
    """Whether a path exists; NAME in it stands for any name. `file::test` is a test in a file."""
    path, _, test = name.partition("::")
    pattern = path.rstrip("/").replace("NAME", "*")
    matches = [match for base in BASES for match in base.glob(pattern)]
    return bool(matches) and all(test in functions(match) for match in matches if test)


def functions(path: Path) -> list[str]:
    """The test functions of a file."""
    return re.findall(r"^\s*def (test_\w+)", path.read_text(), flags=re.MULTILINE)


def test_the_check_tells_what_exists_from_what_does_not() -> None:
    assert exists("release/steps/NAME.py")
    assert exists("tests/unit/test_documents.py::test_the_check_tells_what_exists_from_what_does_not")
    assert not exists("release/steps/NAME.toml")
    assert not exists("tests/unit/test_documents.py::test_something_else")
    assert list(paths("`a/b.py` and `scripts/test tests/c.py -k d`, `/etc/e`, `cron`")) == [
        "a/b.py",
        "scripts/test",
        "tests/c.py",
    ]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    named_paths = list(paths(text))
    assert named_paths
    assert [path for path in named_paths if not exists(path)] == []


@pytest.mark.parametrize("document", PAGES)
def test_every_link_to_a_file_leads_somewhere(document: str) -> None:
    page = ROOT / document
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", page.read_text())]
    assert [link for link in links if link and "://" not in link and not (page.parent / link).exists()] == []


# --- docs/reliability.md: a row names a test, and the command that reproduces it -----------------------------------

RELIABILITY = (ROOT / "docs" / "reliability.md").read_text()


def rows() -> Iterator[tuple[str, list[str], str]]:
    """For each row the file in the heading above it (or nothing), what is in the column `test`, and its command."""
    for section in re.split(r"^## ", RELIABILITY, flags=re.MULTILINE)[1:]:
        heading = "".join(re.findall(r"`(tests/[^`]+)`", section.splitlines()[0]))
        for line in section.splitlines():
            if line.startswith("| ") and not line.startswith("| fault "):
                _, _, test, command = line.strip("| ").split(" | ")
                yield heading, re.findall(r"`([^`]+)`", test), command.strip("` |")


def test_every_test_of_the_reliability_table_exists() -> None:
    missing = []
    for heading, names, _ in rows():
        for name in names:
            if "/" in name:
                continue  # a file: checked above
            known = functions(ROOT / heading)
            if not any(test.startswith(name.rstrip("…")) if name.endswith("…") else test == name for test in known):
                missing.append(f"{heading}::{name}")
    assert missing == []


def test_every_command_of_the_reliability_table_selects_tests() -> None:
    wrong = []
    for _, _, command in rows():
        program, *arguments = re.findall(r"'[^']*'|\S+", command)
        files = [argument for argument in arguments if argument.startswith("tests/")]
        expression = arguments[arguments.index("-k") + 1].strip("'") if "-k" in arguments else ""
        modules = [ROOT / file for file in files] or list((ROOT / "tests" / "chaos").glob("test_*.py"))
        ids = [f"{module.relative_to(ROOT)}::{test}".lower() for module in modules for test in functions(module)]
        ids += [f"{module.relative_to(ROOT)}::{value}".lower() for module in modules for value in texts(module)]
        if program not in ("scripts/test", "scripts/chaos"):
            wrong.append(command)
        wrong += [command for word in expression.split(" or ") if not any(word.lower() in name for name in ids)]
    assert wrong == []


def texts(path: Path) -> list[str]:
    """The texts in a file: the names of a test's cases are among them."""
    return re.findall(r'"([^"\n]+)"', path.read_text())


# --- docs/architecture.md ------------------------------------------------------------------------------------------

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("step", STEPS)
def test_the_architecture_describes_every_step(step: str) -> None:
    assert f"`{step}`" in ARCHITECTURE


@pytest.mark.parametrize("kind", [path.name for path in (ROOT / "orchestrator").iterdir() if path.is_dir()])
def test_the_architecture_describes_every_package(kind: str) -> None:
    assert kind == "__pycache__" or f"| `{kind}/` |" in ARCHITECTURE


# --- commands and options in every document ------------------------------------------------------------------------

GLOBAL = {"--file", "-f", "--json", "--quiet", "-q", "--no-color", "--state-dir", "--version", "--help", "-h"}


def calls(text: str) -> Iterator[list[str]]:
    """The words of each `deployctl …` in backticks, and at the beginning of a line in a block of code."""
    blocks = "\n".join(re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    lines = [line.removeprefix("$ ").split("#")[0] for line in blocks.splitlines()]
    for line in [*lines, *named(text)]:
        inner = re.search(r"<\((deployctl [^)]*)\)", line)
        if line.startswith("deployctl ") or inner:
            yield (inner[1] if inner else line.split("|")[0]).split()[1:]


def undefined(words: list[str]) -> str | None:
    """What of a call of deployctl does not exist: a command or an option; None when all of it exists."""
    command: Any = get_command(program)
    while words and isinstance(command, TyperGroup) and not words[0].startswith("-"):
        subcommand = command.get_command(Context(command), words[0])
        if subcommand is None:
            return words[0]
        command, words = subcommand, words[1:]
    options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | GLOBAL
    for word in words:
        if word == "--":
            return None
        if word.startswith("-") and word.split("=")[0] not in options:
            return word
    return None


def test_undefined_commands_and_options_are_noticed() -> None:
    assert undefined(["release", "v2", "--ref", "main", "--json"]) is None
    assert undefined(["watchdog", "dance"]) == "dance"
    assert undefined(["release", "--dance"]) == "--dance"
    assert list(
        calls("`deployctl status`\n```\n$ deployctl log x # y\nsource <(deployctl completion bash)\n```\n")
    ) == [
        ["log", "x"],
        ["completion", "bash"],
        ["status"],
    ]


@pytest.mark.parametrize("document", PAGES)
def test_every_command_and_option_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    assert [call for call in calls(text) if undefined(call)] == []
