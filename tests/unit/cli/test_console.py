"""The output of the console: no value controls the terminal, and every version is shown."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.console import Console
from orchestrator.cli.render import diff as render_diff
from orchestrator.cli.render import file_log as render_log
from orchestrator.cli.render import history as render_history
from orchestrator.cli.render import maintenance as render_maintenance
from orchestrator.cli.render import show as render_show
from orchestrator.cli.render import status as render_status
from orchestrator.cli.render import tree as render_tree
from orchestrator.cli.render import watchdog as render_watchdog
from orchestrator.cli.render import who_was_live as render_live
from orchestrator.domain.version.lineage import Node
from orchestrator.domain.version.lineage import tree as grown
from orchestrator.domain.version.tensors import TensorChange
from orchestrator.domain.version.version import Commit
from orchestrator.errors import DeployctlError
from orchestrator.reports.diff import CommitRange, DiffReport, DiffSummary, FileDifference, SettingChange, TensorFile
from orchestrator.reports.file_log import FileLogEntry, FileLogReport
from orchestrator.reports.history import DeploymentReport, DeploymentSummary, HistoryReport
from orchestrator.reports.live import ProxyStatus
from orchestrator.reports.maintenance import MaintenanceReport, MaintenanceStatus
from orchestrator.reports.status import StatusReport, TrafficShares
from orchestrator.reports.versions import (
    FileCounts,
    ShowReport,
    TreeReport,
    TreeVersion,
    VersionContainer,
    VersionFiles,
)
from orchestrator.reports.watchdog import PassRecord, ScheduleReport, WatchdogReport
from orchestrator.reports.who_was_live import LiveRecord, WhoWasLiveReport
from tests.unit.builders import version

Capture = pytest.CaptureFixture[str]
Json = dict[str, Any]
# A window title, an erased screen, a line break, the CSI of C1, a reversed reading direction, Rich's markup, and a
# surrogate from a name that is not UTF-8.
AT = "2026-01-02T03:04:05.678Z"
EVIL = "é\033]0;title\a\033[2J\r\nBAD  forged\x9b2J\u202egpj[/x][red]\udcff"
ESCAPED = "é\\x1b]0;title\\x07\\x1b[2J\\r\\nBAD  forged\\x9b2J\\u202egpj[/x][red]\\udcff"


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(renderable: object, *, no_color: bool = False) -> str:
    """The output on a terminal of 80 columns."""
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


def lineage(
    parents: Iterable[tuple[int, int | None]], live: int | None, older: int = 0, author: str = "eve"
) -> TreeReport:
    """A report like that of `reports.versions.lineage`, from version numbers and their parents."""
    versions = {f"v{n}": version(f"v{n}", parent=f"v{parent}" if parent else None) for n, parent in parents}

    def row(node: Node) -> TreeVersion:
        return TreeVersion(
            **facts(node.version.name, "live" if node.version.name == f"v{live}" else "stable", author),
            delta=FileCounts(0, 0),
            children=tuple(row(child) for child in node.children),
        )

    name = f"v{live}" if live else None
    return TreeReport("mymodel", name, older, tuple(row(node) for node in grown(versions)))


def facts(name: str, mark: str, author: str) -> dict[str, Any]:
    """The facts about a version, without the optional ones."""
    missing = (
        "parent",
        "pushed",
        "from_image",
        "live_at",
        "stable_at",
        "pruned_at",
        "bad_at",
        "git_commit",
        "git_dirty",
    )
    known = {"version": name, "mark": mark, "author": author, "created_at": AT, "bad_why": ""}
    return {**dict.fromkeys(missing), **known, "image": "i", "image_id": "sha256:i", "manifest": "m"}


def shape(report: TreeReport) -> list[str]:
    return [line.partition("  20")[0] for line in render_tree.tree(report).plain.splitlines()]


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
    # Without a live version the line continues with the child that has the most descendants.
    assert shape(lineage(parents[:4] + parents[5:8], live=None))[-4:] == [
        "   │  v4 stable",
        "   v6 stable",
        "   v7 stable",
        "   v8 stable",
    ]


def test_versions_that_are_not_shown_are_counted() -> None:
    assert shape(TreeReport("mymodel", None, 0, ())) == ["mymodel: no versions yet"]
    assert shape(lineage([(8, 7), (9, 8)], live=9, older=7)) == [
        "mymodel",
        "├─ v8 stable",
        "│  v9 live",
        "└─ and 7 older versions",
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
    shown = on_terminal(render_tree.tree(lineage(SHAPES[name], live, author="a name " * 20)))
    assert "\033[1;32m" in shown  # the colour of the live version
    lines = uncoloured(shown).splitlines()
    assert len(lines) == 201
    marks = [match for line in lines if (match := re.search(r"(v\d+) (live|stable)  2026", line))]
    assert {match[1] for match in marks} == {f"v{n}" for n in range(1, 201)}
    assert [match[1] for match in marks if match[2] == "live"] == [f"v{live}"]
    assert max(match.end() for match in marks) < 50
    # Nothing is cut: the terminal wraps long lines.
    assert all(line.rstrip().endswith("a name") for line in lines[1:])


def test_no_colour_without_a_terminal(capsys: Capture) -> None:
    Console().rich(render_tree.tree(lineage(SHAPES["a chain"], 200)))
    shown = capsys.readouterr().out
    assert "\033" not in shown
    assert "   v200 live  2026-01-02 03:04:05 UTC by eve\n" in shown


# --- untrusted values --------------------------------------------------------------------------------------------


def entry() -> FileLogEntry:
    return FileLogEntry("v1", "added", 3, "0644", "d" * 64, AT, EVIL, None, None)


@pytest.mark.parametrize("path", ["model/[/x].txt", "[red]x", "[link=http://x]", EVIL])
def test_the_file_of_a_log_is_not_markup(path: str) -> None:
    shown = on_terminal(render_log.file_log(FileLogReport("mymodel", path, (entry(),), 0)), no_color=True)
    harmless(shown)
    assert (ESCAPED if path == EVIL else path) in uncoloured(shown).replace("\n", "")


def deployment(**more: Any) -> dict[str, Any]:
    made = {"id": 1, "kind": "release", "from_": None, "to": "v1", "actor": EVIL, "command": "deployctl release"}
    made |= {"started_at": AT, "finished_at": None, "outcome": None, "interrupted": False, "reason": ""}
    made |= {"git_commit": None, "from_image": None, "seconds": 0.0}
    return {**made, **more}


def test_a_history_is_not_markup(capsys: Capture) -> None:
    made = deployment(to="[red]v1", outcome="failed", actor="[/x]", reason="\033[2J[red]why", from_image="[b]ci:1")
    Console().rich(render_history.history(HistoryReport("mymodel", (DeploymentReport(**made, steps=()),))))
    shown = capsys.readouterr().out
    harmless(shown)
    for text in ("[red]v1", "[/x]", "image [b]ci:1; \\x1b[2J[red]why"):
        assert text in shown


def version_report() -> ShowReport:
    return ShowReport(
        **{**facts("v1", "bad", EVIL), "bad_at": AT, "bad_why": EVIL, "from_image": EVIL},
        app="mymodel",
        files=VersionFiles(1, 1, 1, 0, 1, (EVIL,)),
        image_layers=None,
        settings={f"health.{EVIL}": EVIL},
        was_live=(),
        containers=(VersionContainer("c", EVIL, "blue", "running", ""),),
        deployments=(DeploymentSummary(**deployment()),),
    )


def difference() -> DiffReport:
    tensor = TensorChange(EVIL, "added", None, (1,), None, "F32", None)
    return DiffReport(
        app="mymodel",
        from_="v1",
        to="v2",
        manifest_before="m",
        manifest_after="n",
        files=(FileDifference(EVIL, "added", None, None, None, 1, "d" * 64, "0644"),),
        summary=DiffSummary(1, 0, 0, 0, 1, 1),
        tensors=(TensorFile(EVIL, (tensor,), EVIL),),
        build=(SettingChange(EVIL, None, EVIL),),
        settings=(SettingChange(EVIL, None, EVIL),),
        image=None,
        commits=CommitRange("a" * 40, "c" * 40, False, (Commit("c" * 40, EVIL, "2026-01-02", EVIL),)),
    )


def life(*, reason: str = EVIL) -> WhoWasLiveReport:
    record = LiveRecord("v1", "blue", AT, None, 1, "release", EVIL, reason, "m", "i", None, None, EVIL, EVIL)
    return WhoWasLiveReport("mymodel", AT, AT, (record,))


def state() -> StatusReport:
    return StatusReport(
        app="mymodel",
        state="degraded",
        live=None,
        candidate=None,
        previous=None,
        bake=None,
        rollout=None,
        traffic=TrafficShares(None, None, 0.0, shield=False, preview=False, held=False),
        deployment=None,
        proxy=ProxyStatus("running", "127.0.0.1:8000", None),
        problems=(EVIL,),
        maintenance=MaintenanceStatus(AT, EVIL, EVIL, 30, 5.0),
    )


def maintenance_report() -> MaintenanceReport:
    return MaintenanceReport("mymodel", state().maintenance, False, (EVIL,))


def passes() -> WatchdogReport:
    schedule = ScheduleReport("crontab", EVIL, None, True, False, EVIL, EVIL)
    return WatchdogReport("mymodel", (schedule,), None, (PassRecord(AT, "acted", 1.0, (EVIL,)),), {}, problems=(EVIL,))


SHOWN = {
    "show": (lambda: render_show.show(version_report()), 13),
    "diff": (lambda: render_diff.diff(difference()), 11),
    "who-was-live": (lambda: render_live.who_was_live(life()), 3),
    "status": (lambda: render_status.status(state()), 5),
    "maintenance": (lambda: render_maintenance.report(maintenance_report()), 2),
    "watchdog status": (lambda: render_watchdog.watchdog(passes()), 5),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_value_stays_within_its_line(capsys: Capture, name: str) -> None:
    made, count = SHOWN[name]
    Console().lines(made())
    shown = capsys.readouterr().out
    harmless(shown)
    assert ESCAPED in shown
    assert shown.count("\n") == count, shown


def test_settings_are_shown_as_they_are_written() -> None:
    change = SettingChange("health.timeout", 2.0, 5.0)
    assert "  ~ health.timeout: 2s → 5s\n" in render_diff.diff(replace(difference(), settings=(change,))) + "\n"
    report = replace(version_report(), settings={"run.memory": 512 * 1024**2})
    assert render_show.show(report).endswith("run.memory = 512m")


def test_long_values_are_cut_and_lines_are_not(capsys: Capture) -> None:
    console = Console()
    console.lines(render_diff.diff(replace(difference(), files=(), tensors=(), build=())))
    console.print("x" * 5000)
    assert capsys.readouterr().out.endswith("x" * 5000 + "\n")
    assert "…" in render_live.who_was_live(life(reason="y" * 500))


def test_the_tree_escapes_names(capsys: Capture) -> None:
    Console().rich(render_tree.tree(lineage([(1, None)], 1, author=EVIL)))
    shown = capsys.readouterr().out
    harmless(shown)
    assert f"v1 live  2026-01-02 03:04:05 UTC by {ESCAPED}\n" in shown


# --- messages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["step", "detail", "note", "done"])
def test_a_message_is_one_line(capsys: Capture, kind: str) -> None:
    getattr(Console(), kind)(EVIL)
    shown = capsys.readouterr().err
    harmless(shown)
    assert shown.endswith(ESCAPED + "\n")
    assert shown.count("\n") == 1


def test_a_line_of_data_is_one_line(capsys: Capture) -> None:
    Console().print(EVIL)
    assert capsys.readouterr().out == ESCAPED + "\n"


def test_on_a_terminal_only_our_own_codes_are_written(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2)
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((80, 24)))
    console = Console()
    console.detail("\033[32mstep\033[0m\tone\033[2J")
    console.note(EVIL)
    assert capsys.readouterr().err == (
        f"\r\033[K\033[2m  step    one\\x1b[2J\033[0m\r\033[K\033[33mnote: \033[0m{ESCAPED}\n"
    )


def test_the_lines_of_an_error_stay_lines(capsys: Capture) -> None:
    error = DeployctlError(EVIL, why=f"one\n{EVIL}", hint=EVIL, details="two\n\tthree\033[31m\n\033[2Jfour\nBAD  five")
    Console().error(error)
    first, rest = ESCAPED.split("\\r\\n")
    assert capsys.readouterr().err.splitlines() == [
        f"error: {ESCAPED}",
        "  why: one",
        f"       {first}",
        f"       {rest}",
        "  two",
        "          three",
        "  \\x1b[2Jfour",
        "  BAD  five",
        f"  next: {ESCAPED}",
    ]


def test_the_output_of_a_container_is_not_changed(capsys: Capture) -> None:
    Console().raw("\033[32mgreen\033[0m\ttab")
    assert capsys.readouterr().out == "\033[32mgreen\033[0m\ttab\n"


# --- JSON --------------------------------------------------------------------------------------------------------


def test_json_has_no_control_characters_and_keeps_its_values(capsys: Capture) -> None:
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


def test_a_long_wait_leaves_a_line_every_ten_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    console = Console()
    console.step("wait until v2 is ready")
    for _ in range(31):
        console.update(f"waited {now - 1000:.0f} s")
        now += 1
    console.detail("something else")
    lines = [
        "→ wait until v2 is ready",
        "  waited 0 s",
        "  waited 10 s",
        "  waited 20 s",
        "  waited 30 s",
        "  something else",
    ]
    assert capsys.readouterr().err.splitlines() == lines


def test_lines_of_a_container_are_safe_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Console().log("mymodel-v2-green-1: \033[32mloading\033[0m\033[2J")
    assert capsys.readouterr().err == "  mymodel-v2-green-1: loading\\x1b[2J\n"
    Console(quiet=True).log("loading")
    assert capsys.readouterr().err == ""
