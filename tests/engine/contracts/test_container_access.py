"""The contract of `ContainerAccess`."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable

import pytest

from orchestrator.adapters.docker import listening
from orchestrator.domain.health.sockets import Listener, parse
from orchestrator.domain.rollout.workload import Mount
from orchestrator.errors import EngineError
from tests.engine.contracts.rig import Rig
from tests.engine.harness import HERE_PLACE, until
from tests.fakes.engine import FakeContainerAccess

pytestmark = pytest.mark.engine


def test_a_program_runs_only_in_a_running_container(rig: Rig) -> None:
    container = rig.create(rig.build())
    out, err = io.BytesIO(), io.BytesIO()
    with pytest.raises(EngineError):
        rig.access.execute(container, ["echo", "hello"], out, err)
    rig.workloads.start(container)
    assert rig.access.execute(container, ["echo", "hello"], out, err) == 0
    assert b"hello" in out.getvalue()


def test_a_program_s_exit_code_comes_back(rig: Rig) -> None:
    container = rig.run(rig.build())
    out, err = io.BytesIO(), io.BytesIO()
    assert rig.access.execute(container, ["sh", "-c", "echo bad; exit 3"], out, err) == 3
    assert b"bad" in out.getvalue()


def test_nothing_can_be_read_of_a_container_that_is_gone(rig: Rig) -> None:
    container = rig.create(rig.build())
    rig.workloads.remove(container)
    refused: list[Callable[[], object]] = [
        lambda: list(rig.access.logs(container, tail=1)),
        lambda: rig.access.execute(container, ["true"], io.BytesIO(), io.BytesIO()),
        lambda: rig.access.files_in(container, "/model"),
    ]
    for call in refused:
        with pytest.raises(EngineError):
            call()


def test_the_last_lines_of_the_log(rig: Rig) -> None:
    container = rig.run(rig.build(ends=True))
    rig.ended(container)
    lines = list(rig.access.logs(container, tail=10))
    assert len(lines) == 2
    assert "hello" in lines[0]
    assert list(rig.access.logs(container, tail=1)) == lines[1:]
    assert list(rig.access.logs(container, tail=10, follow=True)) == lines, "it follows until the end"


def test_all_lines_of_the_log(rig: Rig) -> None:
    container = rig.run(rig.build(ends=True))
    rig.ended(container)
    assert list(rig.access.logs(container, tail=None)) == list(rig.access.logs(container, tail=10))


SOCKETS = (
    "import socket, time; "
    "a = socket.create_server(('127.0.0.1', 5000)); b = socket.create_server(('', 8080)); time.sleep(600)"
)
LISTENS = f'{HERE_PLACE.layers}\nCMD ["python3", "-c", "{SOCKETS}"]\n'


def test_the_sockets_of_a_container(rig: Rig) -> None:
    container = rig.run(rig.build(text=LISTENS))
    expected = (Listener("127.0.0.1", 5000), Listener("0.0.0.0", 8080))
    if isinstance(rig.access, FakeContainerAccess):
        rig.access.sockets[container.name] = expected
    until(lambda: rig.access.listening(container) == expected, "it listens")


def test_a_container_that_listens_on_nothing(rig: Rig) -> None:
    container = rig.run(rig.build())
    if isinstance(rig.access, FakeContainerAccess):
        rig.access.sockets[container.name] = ()
    assert rig.access.listening(container) == ()
    rig.workloads.stop(container)
    with pytest.raises(EngineError):
        rig.access.listening(container)


def test_the_sockets_are_the_same_from_inside(rig: Rig) -> None:
    if rig.fake is not None:
        return
    container = rig.run(rig.build(text=LISTENS))
    until(lambda: len(rig.access.listening(container) or ()) == 2, "it listens")
    table = listening._of_exec(rig.client().api, container.id)
    assert table is not None
    assert parse(table) == rig.access.listening(container)
    own = listening._of_process(os.getpid(), container.id)
    assert own is None, "a process that is not the container's tells nothing about it"


def test_the_files_that_a_container_sees(rig: Rig) -> None:
    model = rig.folder / "model"
    (model / "layers").mkdir(parents=True)
    (model / "weights.bin").write_bytes(b"weights")
    (model / "layers" / "1").write_bytes(b"")
    (model / "latest").symlink_to("weights.bin")
    container = rig.run(rig.build(), mounts=(Mount(model, "/model"),))
    expected = {
        "weights.bin": hashlib.sha256(b"weights").hexdigest(),
        "layers/1": hashlib.sha256(b"").hexdigest(),
        "latest": hashlib.sha256(b"weights.bin").hexdigest(),
    }
    if isinstance(rig.access, FakeContainerAccess):
        rig.access.files[container.name] = expected
    assert rig.access.files_in(container, "/model") == expected


def test_a_container_that_had_memory_enough(rig: Rig) -> None:
    container = rig.run(rig.build())
    assert rig.access.memory_kills(container, time.time() - 60) == 0


def test_containers_say_what_they_are(rig: Rig) -> None:
    assert rig.access.evidence() == ()
    version = rig.build()
    stopped, running = rig.create(version, "green", 2), rig.run(version, environment={"SIZE": "7", "EMPTY": ""})
    evidence = rig.access.evidence()
    assert [item.container for item in evidence] == [rig.now(running), stopped]
    assert [item.record for item in evidence] == ["the record"] * 2
    assert [dict(item.environment) for item in evidence] == [{"SIZE": "7", "EMPTY": ""}, {}]
    assert [item.app_number for item in evidence] == [rig.app_number] * 2
    assert all(len(item.created) == len("2031-01-01T00:00:00.000Z") and item.created[-1] == "Z" for item in evidence)


def test_a_detached_container_tells_its_app_number_too(rig: Rig) -> None:
    container = rig.run(rig.build())
    rig.disconnect(container)
    (item,) = rig.access.evidence()
    assert item.app_number == rig.app_number
