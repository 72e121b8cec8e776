"""What people see, through the real console: no name and no message steers a terminal, and no version is hidden."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import render, render_versions, render_watchdog
from orchestrator.cli.console import Console
from orchestrator.domain.version.lineage import Node
from orchestrator.domain.version.lineage import tree as grown
from orchestrator.errors import DeployctlError
from tests.unit.builders import version

Capture = pytest.CaptureFixture[str]
Json = dict[str, Any]
# A title of the window, an erased screen, a line of its own, C1's CSI, a turned reading direction, Rich's markup, half
# a character out of a name that is not UTF-8.
EVIL = "é\033]0;title\a\033[2J\r\nBAD  forged\x9b2J\u202egpj[/x][red]\udcff"
TOLD = "é\\x1b]0;title\\x07\\x1b[2J\\r\\nBAD  forged\\x9b2J\\u202egpj[/x][red]\\udcff"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(renderable: object, *, no_color: bool = False) -> str:
    """What a terminal of 80 columns gets."""
    with pytest.MonkeyPatch.context() as patch, Terminal() as out:
        patch.setattr(sys, "stdout", out)
        patch.setenv("COLUMNS", "80")
        patch.setenv("TERM", "xterm-256color")
        patch.delenv("NO_COLOR", raising=False)
        Console(no_color=no_color).rich(renderable)
        return out.getvalue()


def uncoloured(text: str) -> str:
    return re.sub("\033\\[[0-9;]*m", "", text)


def harmless(text: str) -> None:
    assert not [c for c in uncoloured(text) if not c.isprintable() and c != "\n"]
    assert not re.search("^BAD", text, re.MULTILINE)


# --- the tree ----------------------------------------------------------------------------------------------------


def lineage(parents: Iterable[tuple[int, int | None]], live: int | None, older: int = 0, author: str = "eve") -> Json:
    """As `deploy.versions.lineage` tells it, of versions and their parents."""
    versions = {f"v{n}": version(f"v{n}", parent=f"v{parent}" if parent else None) for n, parent in parents}

    def row(node: Node) -> Json:
        return {
            "version": node.version.name,
            "mark": "live" if node.version.name == f"v{live}" else "stable",
            "created_at": "2026-01-02T03:04:05.678Z",
            "author": author,
            "git_commit": None,
            "git_dirty": None,
            "delta": {"put": 0, "gone": 0},
            "children": [row(child) for child in node.children],
        }

    return {"app": "mymodel", "older": older, "versions": [row(node) for node in grown(versions)]}


def shape(found: Json) -> list[str]:
    return [line.partition("  20")[0] for line in render_versions.tree(found).plain.splitlines()]


def test_only_branches_are_indented() -> None:
    parents = [(1, None), (2, 1), (3, 2), (4, 3), (5, 2), (6, 2), (7, 6), (8, 7), (9, 7), (10, None), (11, 10)]
    assert shape(lineage(parents, live=5)) == [
        "mymodel",
        "├─ v1 stable",
        "│  v2 stable",
        "│  ├─ v3 stable",
        "│  │  v4 stable",
        "│  ├─ v6 stable",
        "│  │  v7 stable",
        "│  │  ├─ v8 stable",
        "│  │  v9 stable",
        "│  v5 live",
        "└─ v10 stable",
        "   v11 stable",
    ]
    # Without a live one the line goes on with what most grew out of.
    assert shape(lineage(parents[:4] + parents[5:8], live=None))[-4:] == [
        "   │  v4 stable",
        "   v6 stable",
        "   v7 stable",
        "   v8 stable",
    ]


def test_what_is_not_in_the_tree_is_told() -> None:
    assert shape({"app": "mymodel", "older": 0, "versions": []}) == ["mymodel: no versions yet"]
    assert shape(lineage([(8, 7), (9, 8)], live=9, older=7)) == [
        "mymodel",
        "├─ v8 stable",
        "│  v9 live",
        "└─ and 7 older version(s)",
    ]


SHAPES = {
    "a chain": [(n, n - 1 or None) for n in range(1, 201)],
    "a branch at each version": [(n, (n - 1) // 2 * 2 or None) for n in range(1, 201)],
    "branches of branches": [(n, n // 2 or None) for n in range(1, 201)],
    "all of one": [(n, 1 if n > 1 else None) for n in range(1, 201)],
    "all alone": [(n, None) for n in range(1, 201)],
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("live", [1, 100, 199, 200])
def test_no_mark_is_hidden_on_a_terminal(name: str, live: int) -> None:
    shown = on_terminal(render_versions.tree(lineage(SHAPES[name], live, author="a name " * 20)))
    assert "\033[1;32m" in shown  # the live one, in its colour
    lines = uncoloured(shown).splitlines()
    assert len(lines) == 201
    marks = [found for line in lines if (found := re.search(r"(v\d+) (live|stable)  2026", line))]
    assert {found[1] for found in marks} == {f"v{n}" for n in range(1, 201)}
    assert [found[1] for found in marks if found[2] == "live"] == [f"v{live}"]
    assert max(found.end() for found in marks) < 50
    # Nothing is cut: the terminal wraps what is longer than its line.
    assert all(line.rstrip().endswith("a name") for line in lines[1:])


def test_no_colour_where_none_is_wanted(capsys: Capture) -> None:
    Console().rich(render_versions.tree(lineage(SHAPES["a chain"], 200)))
    shown = capsys.readouterr().out
    assert "\033" not in shown
    assert "   v200 live  2026-01-02 03:04:05 UTC by eve\n" in shown


# --- values of strangers -----------------------------------------------------------------------------------------


def entry(**more: object) -> Json:
    row = {"version": "v1", "at": "2026-01-02T03:04:05.678Z", "change": "added", "size": 3, "digest": "d" * 64}
    return {**row, "author": EVIL, "git_commit": None, "git_dirty": None, **more}


@pytest.mark.parametrize("path", ["model/[/x].txt", "[red]x", "[link=http://x]", EVIL])
def test_the_file_of_a_log_is_no_markup(path: str) -> None:
    shown = on_terminal(render_versions.log({"file": path, "entries": [entry()], "older": 0}), no_color=True)
    harmless(shown)
    assert (TOLD if path == EVIL else path) in uncoloured(shown).replace("\n", "")


def test_a_history_is_no_markup(capsys: Capture) -> None:
    row = {"id": 1, "started_at": "2026-01-02T03:04:05.678Z", "finished_at": None, "kind": "release", "from": None}
    row |= {"to": "[red]v1", "outcome": "failed", "actor": "[/x]", "reason": "\033[2J[red]why"}
    Console().rich(render.history({"deployments": [row]}))
    shown = capsys.readouterr().out
    harmless(shown)
    for text in ("[red]v1", "[/x]", "\\x1b[2J[red]why"):
        assert text in shown


def facts() -> Json:
    found: Json = dict.fromkeys(
        ("parent", "image", "image_id", "pushed", "manifest", "live_at", "stable_at", "pruned_at", "image_layers")
    )
    deployment = {"id": 1, "kind": "release", "from": None, "to": "v1", "outcome": None, "actor": EVIL}
    return found | {
        **lineage([(1, None)], None, author=EVIL)["versions"][0],
        "app": "mymodel",
        "bad_at": "2026-01-02T03:04:05.678Z",
        "bad_why": EVIL,
        "files": {"count": 1, "bytes": 1, "put": 1, "gone": 0, "new_bytes": 1, "paths": [EVIL]},
        "was_live": [],
        "containers": [{"name": EVIL, "slot": "blue", "state": "running"}],
        "deployments": [{**deployment, "started_at": "2026-01-02T03:04:05.678Z"}],
        "settings": {f"health.{EVIL}": EVIL},
    }


def difference() -> Json:
    tensor = {"name": EVIL, "change": "added", "shape_before": None, "shape_after": [1], "dtype_before": None}
    tensor |= {"dtype_after": "F32", "largest": None, "nonfinite": 0}
    commit = {"commit": "c" * 40, "at": "2026-01-02", "author": EVIL, "subject": EVIL}
    return {
        "app": "mymodel",
        "from": "v1",
        "to": "v2",
        "summary": {"added": 1, "removed": 0, "changed": 0, "new_bytes": 1},
        "files": [{"path": EVIL, "change": "added", "size_before": None, "size_after": 1}],
        "tensors": [{"path": EVIL, "tensors": [tensor], "note": EVIL}],
        "build": [{"key": EVIL, "before": None, "after": EVIL}],
        "settings": [{"key": EVIL, "before": None, "after": EVIL}],
        "image": None,
        "commits": {"before": "a" * 40, "after": "c" * 40, "dirty": False, "between": [commit]},
    }


def life() -> Json:
    at = "2026-01-02T03:04:05.678Z"
    row = {"version": "v1", "since": at, "until": None, "slot": "blue", "deployment": 1, "kind": "release"}
    row |= {"actor": EVIL, "reason": EVIL, "manifest": "m", "author": EVIL, "git_commit": None}
    return {"app": "mymodel", "from": at, "to": at, "live": [row]}


def state() -> Json:
    return {
        "app": "mymodel",
        "state": "degraded",
        **dict.fromkeys(("live", "bake", "previous", "deployment")),
        "proxy": {"state": "running", "listen": "127.0.0.1:8000", "route": None},
        "problems": [EVIL],
    }


def passes() -> Json:
    row = {"at": "2026-01-02T03:04:05.678Z", "outcome": "acted", "seconds": 1.0, "said": [EVIL]}
    schedule = {"every": None, "place": EVIL, "ours": False, "file": EVIL}
    return {"schedules": [schedule], "next": None, "passes": [row], "counts": {}, "problems": [EVIL]}


SHOWN = {
    "show": (lambda: render_versions.show(facts()), 9),
    "diff": (lambda: render_versions.diff(difference()), 11),
    "who-was-live": (lambda: render_versions.lived(life()), 3),
    "status": (lambda: render.status(state()), 4),
    "watchdog status": (lambda: render_watchdog.watchdog(passes()), 5),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_value_stays_within_its_line(capsys: Capture, name: str) -> None:
    made, count = SHOWN[name]
    Console().lines(made())
    shown = capsys.readouterr().out
    harmless(shown)
    assert TOLD in shown
    assert shown.count("\n") == count, shown


def test_long_values_are_cut_and_lines_are_not(capsys: Capture) -> None:
    console = Console()
    console.lines(render_versions.diff({**difference(), "files": [], "tensors": [], "build": []}))
    console.print("x" * 5000)
    assert capsys.readouterr().out.endswith("x" * 5000 + "\n")
    assert "…" in render_versions.lived({**life(), "live": [{**life()["live"][0], "reason": "y" * 500}]})


def test_the_tree_shows_no_name_as_it_is(capsys: Capture) -> None:
    Console().rich(render_versions.tree(lineage([(1, None)], 1, author=EVIL)))
    shown = capsys.readouterr().out
    harmless(shown)
    assert f"v1 live  2026-01-02 03:04:05 UTC by {TOLD}\n" in shown


# --- messages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["step", "detail", "note", "done"])
def test_a_message_is_one_line(capsys: Capture, kind: str) -> None:
    getattr(Console(), kind)(EVIL)
    shown = capsys.readouterr().err
    harmless(shown)
    assert shown.endswith(TOLD + "\n")
    assert shown.count("\n") == 1


def test_a_line_of_data_is_one_line(capsys: Capture) -> None:
    Console().print(EVIL)
    assert capsys.readouterr().out == TOLD + "\n"


def test_on_a_terminal_only_our_own_codes_move_it(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2)
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((80, 24)))
    console = Console()
    console.detail("\033[32mstep\033[0m\tone\033[2J")
    console.note(EVIL)
    assert capsys.readouterr().err == (
        f"\r\033[K\033[2m  step    one\\x1b[2J\033[0m\r\033[K\033[33mnote: \033[0m{TOLD}\n"
    )


def test_the_lines_of_an_error_stay_lines(capsys: Capture) -> None:
    error = DeployctlError(EVIL, why=f"one\n{EVIL}", hint=EVIL, details="two\n\tthree\033[31m\n\033[2Jfour\nBAD  five")
    Console().error(error)
    first, rest = TOLD.split("\\r\\n")
    assert capsys.readouterr().err.splitlines() == [
        f"error: {TOLD}",
        "  why: one",
        f"       {first}",
        f"       {rest}",
        "  two",
        "          three",
        "  \\x1b[2Jfour",
        "  BAD  five",
        f"  next: {TOLD}",
    ]


def test_what_a_container_wrote_is_shown_as_it_is(capsys: Capture) -> None:
    Console().raw("\033[32mgreen\033[0m\ttab")
    assert capsys.readouterr().out == "\033[32mgreen\033[0m\ttab\n"


# --- JSON --------------------------------------------------------------------------------------------------------


def test_json_steers_no_terminal_and_is_still_the_same(capsys: Capture) -> None:
    Console().data({"text": EVIL, "é\x7f": ["日本語", "x\u2028y", "🎉"]})
    shown = capsys.readouterr().out
    harmless(shown)
    shown.encode()
    assert json.loads(shown) == {"text": EVIL, "é\x7f": ["日本語", "x\u2028y", "🎉"]}
    for text in ("é", "日本語", "🎉"):
        assert text in shown


@given(st.text(st.characters(codec=None)))
def test_any_text_comes_back_out_of_json(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch, StringIO() as out:
        patch.setattr(sys, "stdout", out)
        Console().data({text: text})
        shown = out.getvalue()
    assert json.loads(shown) == {text: text}
    harmless(shown)
