"""Replacing a proxy, interrupted at every call: what serves keeps serving, and nothing is left over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.haproxy import rows, sockets
from orchestrator.adapters.haproxy.container import CURRENT, NEXT, PREVIOUS, ProxyContainer, image_tag
from orchestrator.adapters.haproxy.masters import Worker
from orchestrator.adapters.haproxy.replacement import Replacement
from orchestrator.adapters.haproxy.sockets import LISTENERS, MASTER, Sockets
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.workload import HostContainerSpec
from orchestrator.domain.traffic.program import Leaving
from orchestrator.errors import EngineError, Interrupted, ProxyError, UsageError
from tests.fakes.engine import FakeEngineState, FakeHostContainers, FakeHostImages
from tests.fakes.progress import FakeProgress
from tests.fakes.world import Crash, Faults, Port

DIGEST = "abc"
COLUMNS = "# pxname,svname,scur,status,check_status"


class Proxies(FakeHostContainers):
    """Containers in which a proxy runs: one that starts puts its sockets in the place of those that are there."""

    def __init__(self, state: FakeEngineState, folder: Path) -> None:
        super().__init__(state)
        self.engine, self.folder = state, folder
        # The container of each socket, by the socket's inode, and what is open in each container.
        self.owners: dict[int, str] = {}
        self.open: dict[str, int] = {}
        self.finishing: set[str] = set()
        # The proxies whose frontends were shut down.
        self.closed: set[str] = set()
        # Images whose proxy ends at once, or checks no server successfully.
        self.broken: set[str] = set()
        self.blind: set[str] = set()

    def identity(self, name: str) -> str:
        """What stays the same when a container is renamed: its image."""
        return self.engine.host_made_from[name]

    def start(self, spec: HostContainerSpec, report: Callable[[str], None]) -> None:
        super().start(spec, report)
        made = self.identity(spec.name)
        if made in self.broken:
            self.engine.host_containers[spec.name] = "exited"
            return
        for name in (MASTER, LISTENERS):
            # In the place of a link to the socket of another proxy, not into it.
            new = self.folder / f"{name}.tmp"
            new.write_text(made)
            self.owners[new.stat().st_ino] = made
            new.replace(self.folder / name)

    def finish(self, name: str) -> None:
        if self.state(name) == "running":
            self.finishing.add(self.identity(name))
            self.end_idle()

    def end_idle(self) -> None:
        """Ends the proxies that finish and have nothing open."""
        for name in list(self.engine.host_containers):
            made = self.identity(name)
            if made in self.finishing and not self.open.get(made):
                self.engine.host_containers[name] = "exited"

    def serving(self) -> list[str]:
        """The images of the proxies that accept connections."""
        running = [name for name, state in self.engine.host_containers.items() if state == "running"]
        made = [self.identity(name) for name in running]
        return [each for each in made if each not in self.finishing | self.closed]

    def behind(self, name: str) -> str | None:
        """The image of the proxy behind a socket; None when it has ended."""
        path = self.folder / name
        if not path.exists():
            return None
        made = self.owners[path.stat().st_ino]
        running = [each for each, state in self.engine.host_containers.items() if state == "running"]
        return made if any(self.identity(each) == made for each in running) else None


class Workers:
    """The `Runtime` of these proxies."""

    def __init__(self, proxies: Proxies, links: Sockets) -> None:
        self.proxies, self.links = proxies, links

    def answers(self) -> bool:
        return self.proxies.behind(MASTER) is not None

    def loaded(self) -> str | None:
        return DIGEST if self.answers() else None

    def workers(self) -> list[Worker]:
        if not self.answers():
            raise ProxyError("the proxy does not answer")
        return [Worker(MASTER, "8"), *self.leaving()]

    def leaving(self) -> list[Worker]:
        return [Worker(name, "8") for name in self.links.others() if self.proxies.behind(name) is not None]

    def tell(self, worker: Worker, command: str) -> str:
        made = self.proxies.behind(worker.socket)
        if made is None:
            return ""
        if command == rows.stat(rows.SERVERS):
            state = "DOWN" if made in self.proxies.blind else "UP"
            return f"{COLUMNS}\nmymodel_blue,s1,0,{state},L7OK\nmymodel_blue,b1,0,no check,\n"
        if command.startswith("shutdown frontend "):
            assert command == "shutdown frontend listen_x"
            self.proxies.closed.add(made)
            return ""
        count, state = self.proxies.open.get(made, 0), "STOP" if made in self.proxies.closed else "OPEN"
        rest = "deployctl_self,FRONTEND,0,OPEN,"
        return f"{COLUMNS}\nlisten_x,FRONTEND,{count},{state},\n{rest}\nmymodel_blue,s1,{count},UP,L7OK\n"


class Stage:
    """A proxy that runs, and an image to replace it with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "run").mkdir(parents=True)
        self.engine = FakeEngineState()
        self.proxies = Proxies(self.engine, folder / "run")
        self.images = FakeHostImages(self.engine)
        self.faults = Faults()
        self.links = Sockets(folder)
        self.workers = Workers(self.proxies, self.links)
        self.progress = FakeProgress()
        self.time = 0.0
        ports: list[Any] = [Port("containers", self.proxies, self.faults), Port("images", self.images, self.faults)]
        self.names = Names("default")
        self.container = ProxyContainer(*ports, self.names, folder)
        self.container.start(self.progress.detail)
        self.old = self.proxies.identity(self.names.proxy)
        self.new = self.container.build(self.progress)
        links: Any = Port("sockets", self.links, self.faults)
        workers: Any = self.workers
        self.replacement = Replacement(links, workers, self.container, sleep=self.sleep, clock=lambda: self.time)
        self.faults.watch = self.watch

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def watch(self, name: str) -> None:
        assert self.proxies.serving(), f"after {name} no proxy accepts connections"

    def replace(self) -> None:
        self.replacement.replace(self.new, DIGEST, self.progress)

    def made(self, role: Any) -> str | None:
        return self.engine.host_made_from.get(self.container.name(role))

    def end(self) -> None:
        """Everything that was open has ended, and two more commands have run."""
        self.proxies.open.clear()
        self.proxies.end_idle()
        for _ in range(2):
            self.replacement.settle()

    def clean(self, serving: str) -> None:
        """Only one proxy is left, which serves, is kept running, and is the one that a next container is made from."""
        assert list(self.engine.host_containers.items()) == [(self.names.proxy, "running")]
        assert self.made(CURRENT) == serving
        assert self.proxies.behind(MASTER) == serving
        assert self.proxies.serving() == [serving]
        assert self.engine.kept_host_containers == {self.names.proxy}
        assert sorted(os.listdir(self.folder / "run")) == [LISTENERS, MASTER]
        assert self.engine.host_images[image_tag()] == serving


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "proxy")


def test_the_new_proxy_takes_the_place_of_the_old_one(stage: Stage) -> None:
    stage.replace()
    stage.end()
    stage.clean(stage.new)
    assert stage.old not in stage.engine.host_image_times, "nothing uses the old image any more"


def test_the_old_one_finishes_what_is_open(stage: Stage) -> None:
    stage.proxies.open[stage.old] = 2
    stage.replace()
    assert (stage.made(CURRENT), stage.made(PREVIOUS)) == (stage.new, stage.old)
    assert stage.replacement.leaving() == Leaving(2, 2)
    assert [worker.socket for worker in stage.workers.workers()] == [MASTER, sockets.PREVIOUS]
    assert stage.replacement.begun()
    for _ in range(2):
        assert stage.replacement.settle() == ""
    with pytest.raises(UsageError, match="still has 2 open request") as caught:
        stage.replace()
    assert "docker stop deployctl-proxy-previous" in caught.value.hint
    stage.end()
    assert stage.replacement.leaving() is None
    assert not stage.replacement.begun()
    stage.clean(stage.new)


@pytest.mark.parametrize("how", ["broken", "blind", "interrupted"])
def test_a_new_one_that_does_not_prove_itself_is_removed(stage: Stage, how: str) -> None:
    if how == "interrupted":
        stop = Interrupted("SIGINT", signal=2)

        def check() -> None:
            if stage.proxies.behind(MASTER) == stage.new:
                raise stop

        stage.proxies.blind.add(stage.new)
        stage.progress.check = check  # type: ignore[method-assign]
    else:
        getattr(stage.proxies, how).add(stage.new)
    with pytest.raises(Interrupted if how == "interrupted" else ProxyError) as caught:
        stage.replace()
    if how == "broken":
        assert str(caught.value).startswith("the new proxy ended; the old one keeps serving")
    if how == "blind":
        assert caught.value.why == "after 30 s it has no successful check of mymodel_blue/s1"
    stage.end()
    stage.clean(stage.old)
    assert stage.new not in stage.engine.host_image_times


def test_a_new_one_that_is_removed_finishes_what_it_has_accepted(stage: Stage) -> None:
    stage.proxies.blind.add(stage.new)
    stage.proxies.open = {stage.new: 1, stage.old: 1}
    with pytest.raises(ProxyError, match="cannot reach the containers"):
        stage.replace()
    assert (stage.made(CURRENT), stage.made(PREVIOUS)) == (stage.old, stage.new)
    assert stage.replacement.leaving() == Leaving(1, 1)
    stage.end()
    stage.clean(stage.old)


def calls(tmp_path: Path, open_requests: int) -> list[str]:
    counted = Stage(tmp_path / "counted")
    counted.proxies.open = {counted.old: open_requests}
    counted.faults.arm(None)
    counted.replace()
    return counted.faults.calls


@pytest.mark.parametrize("kind", ["killed", "refused"])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("open_requests", [0, 1])
def test_at_every_call(tmp_path: Path, kind: str, after: bool, open_requests: int) -> None:
    number = len(calls(tmp_path, open_requests))
    assert number > 20
    served = []
    for at in range(number):
        stage = Stage(tmp_path / f"at{at}")
        stage.proxies.open = {stage.old: open_requests, stage.new: open_requests}
        error: BaseException = Crash() if kind == "killed" else EngineError("the engine refused")
        stage.faults.arm(at, error, after=after)
        with suppress(Crash, EngineError, ProxyError):
            stage.replace()
        name = stage.faults.calls[-1]
        stage.faults.arm(None)
        stage.replacement.settle()
        stage.watch(f"call {at}: {name}")
        assert stage.proxies.behind(MASTER) is not None
        stage.end()
        last = stage.proxies.behind(MASTER)
        assert last in (stage.old, stage.new)
        stage.clean(last)
        served.append(last == stage.new)
    assert served == sorted(served), "undone until a certain call, finished from there on"
    assert set(served) == {False, True}


def states() -> Iterator[tuple[str, str]]:
    yield from ((word, role) for role in ("old", "new") for word in ("exited", "removed"))


@pytest.mark.parametrize(("how", "which"), list(states()))
def test_a_proxy_that_is_lost_in_the_middle(tmp_path: Path, how: str, which: str) -> None:
    """Killed at each call, and then one of the two is gone as well: the other one serves."""
    for at in range(len(calls(tmp_path, 1))):
        stage = Stage(tmp_path / f"at{at}")
        stage.proxies.open = {stage.old: 1, stage.new: 1}
        stage.faults.arm(at, Crash())
        with pytest.raises(Crash):
            stage.replace()
        stage.faults.arm(None)
        stage.faults.watch = lambda name: None
        other = stage.new if which == "old" else stage.old
        for name, made in list(stage.engine.host_made_from.items()):
            if made == getattr(stage, which) and stage.engine.host_containers.get(name) == "running":
                if how == "removed":
                    stage.proxies.remove(name)
                else:
                    stage.engine.host_containers[name] = "exited"
        served = other in stage.proxies.serving() and stage.proxies.behind(MASTER) is not None
        for _ in range(2):
            stage.replacement.settle()
            if not stage.workers.answers():
                stage.container.start(stage.progress.detail)  # as `up` does
        assert stage.workers.answers(), at
        if served:
            assert stage.proxies.behind(MASTER) == other, at
        assert stage.engine.host_containers[stage.names.proxy] == "running", at
        assert stage.container.name(NEXT) not in stage.engine.host_containers


def test_a_paused_proxy_that_was_replaced_goes_on(stage: Stage) -> None:
    stage.proxies.open[stage.old] = 1
    stage.replace()
    stage.engine.host_containers[stage.container.name(PREVIOUS)] = "paused"
    stage.replacement.settle()
    assert stage.engine.host_containers[stage.container.name(PREVIOUS)] == "running"


def test_a_running_proxy_without_the_socket_cannot_be_replaced(stage: Stage) -> None:
    (stage.folder / "run" / LISTENERS).unlink()
    with pytest.raises(ProxyError, match="cannot hand over its addresses"):
        stage.replace()
    stage.replacement.settle()
    assert stage.made(CURRENT) == stage.old
    assert stage.links.others() == []
