"""Failed releases name their cause: from what the engine and the server are asked, with fakes of both."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from orchestrator.domain.health.probe import ProbeSpec, Reply
from orchestrator.domain.health.sockets import Listener
from orchestrator.errors import EngineError, ProbeFailed, UsageError
from orchestrator.reports.doctor import doctor
from tests.fakes.world import APP, World


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    world = worlds()
    world.release("v1")
    world.prober.silent.add("v2")
    return world


def fails(world: World) -> ProbeFailed:
    with pytest.raises(ProbeFailed) as caught:
        world.release("v2")
    assert world.served() == "v1"
    assert [container.version for container in world.workloads.containers(APP)] == ["v1"]
    return caught.value


def listening(world: World, *sockets: Listener) -> None:
    for index in (1, 2):
        world.access.sockets[world.workloads.name(APP, "v2", "green", index)] = sockets


def answering(world: World, answer: Callable[[ProbeSpec], Reply | None]) -> None:
    """`v2` answers what `answer` returns; where it returns None, as without it."""
    usual = world.prober.probe

    def probe(address: str, spec: ProbeSpec) -> Reply:
        new = any(c.version == "v2" and c.address == address for c in world.workloads.containers(APP))
        return (answer(spec) if new else None) or usual(address, spec)

    world.prober.probe = probe  # type: ignore[method-assign]


def test_the_sockets_are_read_when_connections_are_refused(world: World) -> None:
    listening(world, Listener("127.0.0.1", 8080))
    error = fails(world)
    assert error.why.startswith("it listens on 127.0.0.1:8080 only")
    assert "0.0.0.0:8080" in error.hint
    history = world.ledger.deployments(APP, 1)[0]
    assert "127.0.0.1:8080" in history.reason


def test_the_probes_are_tried_on_other_ports(world: World) -> None:
    listening(world, Listener("0.0.0.0", 4000), Listener("0.0.0.0", 5000))
    answering(world, lambda spec: Reply(status=200) if spec.port == 5000 else None)
    error = fails(world)
    assert "port 5000 answers the probes" in error.why
    assert "app.port = 5000" in error.hint


def test_other_paths_are_tried_when_the_path_is_unknown(world: World) -> None:
    answering(world, lambda spec: Reply(status=200 if spec.path == "/ping" else 404))
    error = fails(world)
    assert 'health.path = "/ping"' in error.hint


def test_the_protocol_is_asked_for_when_there_is_no_http_answer(world: World) -> None:
    world.prober.speaks = "tls"
    answering(world, lambda spec: Reply(error="closed without an answer"))
    assert "the server speaks TLS on port 8080" in fails(world).why


def test_an_image_that_names_another_port(world: World) -> None:
    world.engine.image_ports["v2"] = (5000,)
    error = fails(world)
    assert "the image names port 5000" in error.why
    assert "app.port = 5000" in error.hint


def test_a_container_that_ended_says_why(world: World) -> None:
    world.engine.exits.add("v2")
    world.access.output["v2"] = ["starting", 'nginx: [emerg] chown("/x", 33) failed (1: Operation not permitted)']
    error = fails(world)
    assert error.message.endswith("did not become ready")
    assert error.why.startswith("it exited with exit code 1; its log says: nginx: [emerg] chown(")
    assert "run.cap_add" in error.hint


@pytest.mark.parametrize(
    ("code", "out_of_memory", "why", "hint"),
    [
        (137, True, "out of memory", "increase run.memory (now 64 MiB)"),
        (1, True, "out of memory", "increase run.memory (now 64 MiB)"),
        (132, False, "SIGILL, illegal instruction", "AVX"),
        (139, False, "SIGSEGV, segmentation fault", "deployctl logs v2"),
        (3, False, "exit code 3", "deployctl logs v2"),
    ],
)
def test_how_it_ended(world: World, code: int, out_of_memory: bool, why: str, hint: str) -> None:
    world.engine.exits.add("v2")
    world.engine.exit_code, world.engine.exits_out_of_memory = code, out_of_memory
    world.run = 'memory = "64m"'
    error = fails(world)
    assert why in error.why
    assert hint in error.hint


def test_kills_while_it_runs(world: World) -> None:
    answering(world, lambda spec: Reply(status=503))
    world.engine.kills_while_starting["v2"] = 3
    error = fails(world)
    assert "killed 3 of its processes for lack of memory" in error.why
    assert "run.memory" in error.hint


def test_the_first_lines_are_shown_and_kept_and_probes_are_not(world: World) -> None:
    world.engine.exits.add("v2")
    noise = '10.0.0.1 - - [x] "GET /healthz HTTP/1.1" 503 -'
    world.access.output["v2"] = ["the reason", *["more", noise] * 300, "the end"]
    details = fails(world).details
    assert "first lines of mymodel-v2-green-1" in details
    assert "the reason" in details
    assert "the end" in details
    assert "(272 lines left out)" in details
    assert noise not in details
    steps = world.ledger.steps(world.ledger.deployments(APP, 1)[0].id)
    [kept] = [step.detail["log"] for step in steps if "log" in step.detail]
    assert "the reason" in kept
    assert "the end" in kept
    assert noise not in kept


def test_a_secret_in_the_line_that_names_the_cause_is_masked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    world.secrets = 'token = "env:TOKEN"'
    world.engine.exits.add("v2")
    world.access.output["v2"] = ["MemoryError: hunter2hunter2"]
    error = fails(world)
    assert "MemoryError" in error.why
    assert "hunter2" not in f"{error.why} {error.hint} {error.details}"


def test_a_diagnosis_that_fails_changes_nothing(world: World) -> None:
    def broken(*arguments: object) -> None:
        raise EngineError("the sockets cannot be read")

    world.access.listening = broken  # type: ignore[method-assign, assignment]
    assert "connection refused" in fails(world).why


def test_an_engine_that_cannot_be_used_is_refused_before_the_build(world: World) -> None:
    built = list(world.engine.built)
    world.engine.unsupported = "its containers are elsewhere"
    with pytest.raises(UsageError, match="its containers are elsewhere"):
        world.release("v3")
    assert world.engine.built == built
    [check] = [check for check in doctor(world.process(), world.config()).checks if check.name == "engine"]
    assert not check.ok
    assert "elsewhere" in check.message
