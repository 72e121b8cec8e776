"""The proxy's files, intact and damaged."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy.files import MESSAGES, ROUTES, ProxyFiles
from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, StorageError

BLUE, GREEN = TrafficState("blue"), TrafficState("green")
SHIELDED = TrafficState("green", shield=True, patience=30.0)


def test_states_are_written_and_read(tmp_path: Path) -> None:
    files = ProxyFiles(tmp_path)
    assert files.states() == {}
    assert files.written_at(ROUTES) is None
    assert files.write_states({"other": SHIELDED, "mymodel": BLUE, "third": TrafficState()}) == [MESSAGES, ROUTES]
    # An app without traffic has no line.
    assert files.read(ROUTES) == "mymodel blue\nother green:none:0:blue:none:0:30000\n"
    assert files.states() == {"mymodel": BLUE, "other": SHIELDED}


def test_an_unchanged_file_is_not_written_again(tmp_path: Path) -> None:
    files = ProxyFiles(tmp_path)
    assert files.write_states({}) == [MESSAGES, ROUTES]
    os.utime(tmp_path / ROUTES, (1.0, 1.0))
    assert files.write_states({}) == []
    assert files.write_states({"mymodel": TrafficState()}) == []
    assert files.written_at(ROUTES) == 1.0
    assert files.write_states({"mymodel": BLUE}) == [ROUTES]
    assert files.written_at(ROUTES) != 1.0


def test_the_message_of_a_maintenance_is_in_a_file_of_its_own(tmp_path: Path) -> None:
    files = ProxyFiles(tmp_path)
    closed = replace(SHIELDED, maintenance=Maintenance("back at 10:00\\ 50 %", 60, 2.5))
    states = {"mymodel": closed, "other": BLUE}
    assert files.write_states(states) == [MESSAGES, ROUTES]
    assert files.read(ROUTES) == "mymodel green:none:0:blue:none:0:30000:2500:60\nother blue\n"
    assert files.read(MESSAGES) == "mymodel back%20at%2010%3A00%5C%2050%20%25\n"
    assert files.states() == states
    changed = {**states, "mymodel": replace(closed, maintenance=Maintenance("other", 60, 2.5))}
    assert files.write_states(changed) == [MESSAGES]
    assert files.states() == changed
    # A lost message is not that of the ledger, so that it is restored.
    for damaged in ("", "mymodel\n", "\0\xff\n", "other text\n"):
        (tmp_path / MESSAGES).write_text(damaged)
        assert files.states() == {**states, "mymodel": replace(closed, maintenance=Maintenance("", 60, 2.5))}


@pytest.mark.parametrize(
    "text",
    [
        "mymodel",
        "mymodel ",
        "mymodel \n",
        "mymodel blu\n",
        "mymodel blue green\n",
        "mymodel green:none:0:blue:none:0\n",
        "\0\0",
        "\n",
        "a blue\nb",
        # What a cut leaves of 30000 milliseconds.
        "mymodel green:none:0:blue:none:0:300",
        "mymodel blue",
        # What a cut leaves of a maintenance.
        "mymodel green:none:0:blue:none:0:30000",
        "mymodel green:none:0:blue:none:0:30000:0:3",
    ],
)
def test_a_damaged_file_is_recognized(tmp_path: Path, text: str) -> None:
    files = ProxyFiles(tmp_path)
    (tmp_path / ROUTES).write_text(text)
    assert files.states_or_none() is None
    with pytest.raises(ProxyError, match=r"routes\.map is damaged") as caught:
        files.states()
    assert caught.value.hint == "deployctl recover restores it from the ledger"


def test_prepare_creates_missing_files_and_keeps_others(tmp_path: Path) -> None:
    files = ProxyFiles(tmp_path / "proxy")
    files.prepare_folder()
    assert sorted(path.name for path in files.folder.iterdir()) == ["run"]
    files.write_states({"mymodel": BLUE})
    files.prepare()
    maps = [MESSAGES, "moved.map", "replicas.map", ROUTES, "versions.map"]
    assert sorted(path.name for path in files.folder.iterdir()) == sorted([*maps, "run"])
    assert files.states() == {"mymodel": BLUE}


def test_a_file_that_cannot_be_written_is_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ProxyFiles(tmp_path)
    files.write_states({"mymodel": BLUE})

    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match=r"routes\.map cannot be written: .*No space left") as caught:
        files.write_states({"mymodel": GREEN})
    assert caught.value.hint == "check that the disk is not full"
    monkeypatch.undo()
    assert files.states() == {"mymodel": BLUE}
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be prepared"):
        ProxyFiles(tmp_path / "file").prepare()


def test_the_digest_is_the_one_in_the_configuration(tmp_path: Path) -> None:
    files = ProxyFiles(tmp_path)
    assert files.digest() == "none"
    files.write("haproxy.cfg", "global\n  setenv DEPLOYCTL_CONFIG 0123456789ab\n")
    assert files.digest() == "0123456789ab"


@pytest.mark.parametrize("name", [ROUTES, MESSAGES, "haproxy.cfg"])
def test_a_pipe_in_place_of_a_file_is_a_damaged_file_and_is_replaced(tmp_path: Path, name: str) -> None:
    files = ProxyFiles(tmp_path)
    files.write_states({"mymodel": BLUE})
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    if name == ROUTES:
        with pytest.raises(ProxyError, match="damaged"):
            files.states()
    assert files.read(name) != ""
    assert files.update(name, "mymodel blue\n")
    assert (tmp_path / name).read_text() == "mymodel blue\n"
