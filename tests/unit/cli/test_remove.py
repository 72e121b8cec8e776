"""`remove`."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.commands.remove import _confirm
from orchestrator.cli.context import Context
from orchestrator.cli.render.remove import belongings
from orchestrator.errors import UsageError
from orchestrator.reports.remove import RemoveReport
from orchestrator.reports.watchdog import SchedulePlace
from tests.fakes.world import World
from tests.unit.cli.running import Run, document, expect

FOUND = RemoveReport(
    app="mymodel",
    dry_run=True,
    live="v2",
    listen="127.0.0.1:8000",
    versions=("v1", "v2"),
    containers=("mymodel-v2-green-1",),
    images=("mymodel:v1", "mymodel:v2"),
    schedules=(SchedulePlace("cron.d", "/etc/cron.d/deployctl-mymodel"),),
    cut=0,
    freed_bytes=None,
    proxy_removed=False,
    left=("the volume cache",),
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "state")
    yield found
    found.close()


def test_what_would_be_removed() -> None:
    assert belongings(FOUND).splitlines() == [
        "app        mymodel",
        "live       v2 at 127.0.0.1:8000",
        "versions   v1, v2",
        "containers mymodel-v2-green-1",
        "images     mymodel:v1, mymodel:v2",
        "schedule   /etc/cron.d/deployctl-mymodel",
        "stays      the volume cache",
    ]


def test_an_unknown_app(run: Run) -> None:
    done = run("remove", "nothing", "--force")
    expect(done, 2)
    assert "there is no app nothing in the state folder" in done.stderr


def test_without_a_name_and_a_file(run: Run) -> None:
    done = run("remove", "--force", "--json")
    expect(done, 2)
    assert document(done)["error"]["next"].startswith("pass the app's name: deployctl remove NAME")


def test_without_an_engine_nothing_is_changed(run: Run, world: World) -> None:
    world.process().ledger.app_number("mymodel")
    done = run("remove", "mymodel", "--force")
    expect(done, 3)
    assert "the Docker engine does not answer" in done.stderr
    assert world.process().ledger.removal("mymodel") is None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def confirm(world: World, monkeypatch: pytest.MonkeyPatch, typed: str | None) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdin", io.StringIO() if typed is None else Terminal(typed))
    _confirm(Context(Path("deploy.toml")), world.process(), FOUND)


def test_a_terminal_asks_for_the_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    confirm(world, monkeypatch, "mymodel\n")


@pytest.mark.parametrize("typed", ["", "\n", "y\n", "yes\n", "mymodel2\n"])
def test_another_answer_removes_nothing(world: World, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    with pytest.raises(UsageError, match="mymodel was not removed"):
        confirm(world, monkeypatch, typed)


def test_without_a_terminal_the_error_lists_what_would_be_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError) as caught:
        confirm(world, monkeypatch, None)
    assert caught.value.exit_code == 2
    assert caught.value.details == belongings(FOUND)
    assert "deployctl remove mymodel --force" in caught.value.hint
