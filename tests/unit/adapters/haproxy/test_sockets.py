"""The second names of the proxy's sockets, also after a crash between two of them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy.sockets import LISTENERS, MASTER, NEXT, PREVIOUS, PREVIOUS_LISTENERS, Sockets
from orchestrator.errors import ProxyError, StorageError


class Run:
    """The folder run/, with files instead of sockets: what is in a file names the proxy."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run"
        self.path.mkdir()
        self.sockets = Sockets(folder)

    def start(self, proxy: str) -> None:
        """A proxy puts its sockets in the place of those that are there."""
        for name in (MASTER, LISTENERS):
            new = self.path / f"{name}.8.tmp"
            new.write_text(proxy)
            new.replace(self.path / name)

    def names(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.path.iterdir())}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


OLD = {LISTENERS: "old", MASTER: "old"}
NEW = {LISTENERS: "new", MASTER: "new"}
BEFORE = {PREVIOUS: "old", PREVIOUS_LISTENERS: "old"}


def test_a_replacement_and_its_end(run: Run) -> None:
    run.start("old")
    assert not run.sockets.replacing()
    for _ in range(2):
        run.sockets.begin()
        assert run.names() == {**OLD, **BEFORE}
        assert run.sockets.replacing()
        assert not run.sockets.taken_over()
        assert run.sockets.others() == []
    run.start("new")
    assert run.sockets.taken_over()
    assert run.sockets.others() == [PREVIOUS]
    for _ in range(2):
        run.sockets.leave()
        assert run.names() == {**NEW, **BEFORE}
    for _ in range(2):
        run.sockets.end()
        assert run.names() == NEW
    assert not run.sockets.replacing()


def test_a_replacement_that_is_undone(run: Run) -> None:
    run.start("old")
    run.sockets.begin()
    run.start("new")
    for _ in range(2):
        run.sockets.give_back()
        assert run.names() == {**OLD, **BEFORE, NEXT: "new"}
        assert run.sockets.others() == [NEXT]
    for _ in range(2):
        run.sockets.leave()
        assert run.names() == {**OLD, **BEFORE, PREVIOUS: "new"}
        assert run.sockets.others() == [PREVIOUS]
    run.sockets.end()
    assert run.names() == OLD


def test_before_another_proxy_has_started_there_is_nothing_to_give_back(run: Run) -> None:
    run.start("old")
    run.sockets.begin()
    run.sockets.give_back()
    assert run.names() == {**OLD, **BEFORE}


class Killed(BaseException):
    """The process ends here."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The change of a name with this number, from 0, is not made any more."""
    made = 0

    def counted(real: Callable[..., None]) -> Callable[..., None]:
        def change(*arguments: object, **named: object) -> None:
            nonlocal made
            if made == number:
                raise Killed
            made += 1
            real(*arguments, **named)

        return change

    for name in ("rename", "link", "unlink"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))


@pytest.mark.parametrize("act", ["begin", "give_back", "leave"])
def test_killed_between_any_two_changes_it_can_be_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    def prepared(number: int) -> Run:
        folder = tmp_path / str(number)
        folder.mkdir()
        run = Run(folder)
        run.start("old")
        if act != "begin":
            run.sockets.begin()
            run.start("new")
        if act == "leave":
            run.sockets.give_back()
        return run

    def perform(run: Run) -> None:
        getattr(run.sockets, act)()

    whole = prepared(0)
    perform(whole)
    number, done = 0, False
    while not done:
        run = prepared(number + 1)
        with monkeypatch.context() as patch:
            kill_at(patch, number)
            try:
                perform(run)
                done = True
            except Killed:
                number += 1
        perform(run)
        assert run.names() == whole.names()
    assert number >= 2


def test_a_proxy_without_the_sockets_cannot_hand_them_over(run: Run) -> None:
    for name in (MASTER, LISTENERS):
        with pytest.raises(ProxyError, match="cannot hand over its addresses") as caught:
            run.sockets.begin()
        assert caught.value.why == f"its socket {name} does not exist"
        assert not run.sockets.replacing()
        (run.path / name).touch()
    run.sockets.begin()


def test_a_folder_that_cannot_be_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.start("old")

    def full(*arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StorageError, match="No space left on device"):
        run.sockets.begin()


def test_every_name_that_leads_elsewhere_changes_the_identity(run: Run) -> None:
    run.start("old")
    seen = {run.sockets.identity()}
    run.sockets.begin()
    seen.add(run.sockets.identity())
    run.start("new")
    seen.add(run.sockets.identity())
    run.sockets.give_back()
    seen.add(run.sockets.identity())
    run.sockets.leave()
    seen.add(run.sockets.identity())
    run.sockets.end()
    assert len(seen) == 5


def test_a_question_and_its_answer(run: Run) -> None:
    # Bound by its folder's descriptor, because a path may be too long for a socket.
    folder = os.open(run.path, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{folder}/{MASTER}")
        os.close(folder)
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"got " + connection.recv(100))

        thread = threading.Thread(target=answer)
        thread.start()
        assert run.sockets.ask(MASTER, "show proc", 5.0) == "got show proc\n"
        thread.join()
    with pytest.raises(ConnectionError):
        run.sockets.ask(MASTER, "show proc", 5.0)
    with pytest.raises(FileNotFoundError):
        run.sockets.ask(PREVIOUS, "show proc", 5.0)
