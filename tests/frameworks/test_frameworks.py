"""Real serving frameworks: two releases and a rollback, while clients send requests on keep-alive connections."""

from __future__ import annotations

import http.client
import http.cookies
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import FULL
from tests.engine.harness import Load, engine, until
from tests.frameworks import wheels
from tests.frameworks.deployed import BUILD_LIMIT, HERE, Deployed, Question, SlowLoad

# The model with the number n predicts 10 n for it.
ROW = [1, 2, 3, 4]
# What `scripts/test` runs.
SHORT = ["llama-cpp"]


def words(text: str) -> float:
    """The number in a text that repeats one word, such as v2."""
    (word,) = set(text.split())
    return float(word.removeprefix("v"))


def streamed(text: str) -> float:
    """The same for a text that was sent in pieces, up to its end."""
    *events, end = [line.removeprefix("data: ") for line in text.splitlines() if line]
    if end != "[DONE]":
        raise ValueError("the end is missing")
    return words("".join(json.loads(event)["choices"][0]["text"] for event in events))


@contextmanager
def gradio_session(app: Deployed) -> Iterator[None]:
    """A session goes on where it began, also across a release: what it has counted, and what it has asked for."""
    cookies = http.cookies.SimpleCookie()

    def ask(method: str, path: str, body: Any = None) -> str:
        """A request of a browser."""
        connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=30)
        sent = {"Cookie": "; ".join(f"{name}={each.value}" for name, each in cookies.items())} if cookies else {}
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json", **sent})
        answer = connection.getresponse()
        for value in answer.headers.get_all("Set-Cookie", []):
            cookies.load(value)
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, text
        return text

    def count() -> str:
        """What the session sees when it presses the button."""
        ask("POST", "/gradio_api/queue/join", {"data": [None], "fn_index": 1, "session_hash": "mine"})
        return ask("GET", "/gradio_api/queue/data?session_hash=mine")

    for number in (1, 2):
        assert f'"data":[null,{number}]' in count()
    event = json.loads(ask("POST", "/gradio_api/call/count", {"data": []}))["event_id"]
    before = cookies[f"deployctl-{app.name}"].value
    yield
    assert '"data":[null,3]' in count()
    assert ask("GET", f"/gradio_api/call/count/{event}") == "event: complete\ndata: [null, 1]\n\n"
    assert cookies[f"deployctl-{app.name}"].value == before


@dataclass(frozen=True)
class Case:
    """`question` is asked by most clients, `stream` by one. `around` is entered before the release of v3, and left
    after it. `exit_code` is that after SIGTERM.
    """

    question: Question
    exit_code: int
    stream: Question | None = None
    trained_in_image: bool = False
    around: Callable[[Deployed], AbstractContextManager[None]] = lambda app: nullcontext()


CASES = {
    "onnxruntime": Case(
        Question("/predict", {"inputs": [ROW]}, lambda text: json.loads(text)["outputs"][0][0] / 10),
        exit_code=143,
    ),
    "litserve": Case(
        Question("/predict", {"inputs": [ROW]}, lambda text: json.loads(text)["outputs"][0] / 10),
        exit_code=143,
    ),
    "llama-cpp": Case(
        Question("/completion", {"prompt": "Hello", "n_predict": 8}, lambda text: words(json.loads(text)["content"])),
        exit_code=0,
        stream=Question("/v1/completions", {"prompt": "Hello", "max_tokens": 1500, "stream": True}, streamed),
    ),
    "bentoml": Case(
        Question("/predict", {"inputs": [ROW]}, lambda text: json.loads(text)[0] / 10),
        exit_code=0,
    ),
    "mlserver": Case(
        Question(
            "/v2/models/linear/infer",
            {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": ROW}]},
            lambda text: json.loads(text)["outputs"][0]["data"][0] / 10,
        ),
        exit_code=0,
    ),
    "mlflow": Case(
        Question("/invocations", {"inputs": [ROW]}, lambda text: json.loads(text)["predictions"][0] / 10),
        exit_code=143,
        trained_in_image=True,
    ),
    "gradio": Case(
        Question("/gradio_api/run/predict", {"data": [4, 6]}, lambda text: json.loads(text)["data"][0] / 10),
        exit_code=143,
        around=gradio_session,
    ),
}


@pytest.fixture
def deployed(request: pytest.FixtureRequest, tmp_path: Path, index: str, layers: None) -> Iterator[Deployed]:
    framework = request.param
    wheels.fetch(HERE / framework / "requirements.txt")
    trained_in_image = CASES[framework].trained_in_image
    made = Deployed(framework, tmp_path / "app", tmp_path / "state", index, trained_in_image=trained_in_image)
    yield made
    made.clean()


@pytest.mark.parametrize("deployed", list(CASES) if FULL else SHORT, indirect=True)
def test_two_releases_and_a_rollback(deployed: Deployed) -> None:
    app, case = deployed, CASES[deployed.framework]
    app.run("release", limit=BUILD_LIMIT)
    with ExitStack() as stack:
        loads = [
            stack.enter_context(load)
            for load in (
                case.question.load(app.port, 4, pause=0.05),
                case.question.load(app.port, 1, SlowLoad),
                *([case.stream.load(app.port, 1)] if case.stream else []),
            )
        ]
        for version in ("v2", "v3"):
            app.write(version)
            with case.around(app) if version == "v3" else nullcontext():
                app.run("release", limit=BUILD_LIMIT)
            answered(loads, version)
        app.run("rollback")
        answered(loads, "v2")
        # The watchdog finds nothing to do, and the paths of a preset are those of the server.
        app.watch()
        assert [app.get(path)[0] for path in app.paths()] == [200] * len(app.paths())
    for load in loads:
        assert load.failures() == []
        assert [reply for reply in load.replies if reply.header != reply.version] == []
        assert {reply.version for reply in load.replies} == {"v1", "v2", "v3"}
        assert sorted(load.connections) == list(range(len(load))), "each client has kept its connection"
    # A server that is slow to accept a connection is shielded: its predecessor answers.
    shields = [found["shield"] for found in app.json("history")["deployments"] if found["shield"]]
    strays = sum(load.strays(["v1", "v2", "v3", "v2"]) for load in loads)
    assert strays <= sum(shield["rescued"] for shield in shields)
    assert [shield["lost"] for shield in shields if shield["lost"]] == []
    assert app.json("status")["problems"] == []
    app.run("verify")
    ended(app, case.exit_code)
    figures(app, loads)


def answered(loads: list[Load], version: str) -> None:
    """Waits until every client has an answer of a version."""
    for load in loads:
        done = len(load.replies)

        def waiting(load: Load = load, done: int = done) -> set[int]:
            seen = {reply.client for reply in load.replies[done:] if reply.version == version}
            return set(range(len(load))) - seen

        until(lambda waiting=waiting: not waiting(), f"an answer of {version} for each client", 60)


def ended(app: Deployed, exit_code: int) -> None:
    """The version that is stopped has ended by itself, and the one that serves has no error in its log: servers write
    one when a request ends in a way that they do not expect.
    """
    stopped = app.container("v3").attrs["State"]
    assert (stopped["Running"], stopped["ExitCode"]) == (False, exit_code)
    _, found, rest = app.container("v2").logs().decode().partition("Traceback")
    assert not found, rest


def figures(app: Deployed, loads: list[Load]) -> None:
    """Prints what docs/frameworks.md states; `pytest -rP` shows it."""
    memory = app.container("v2").stats(stream=False)["memory_stats"]
    cached = memory["stats"].get("inactive_file", memory["stats"].get("total_inactive_file", 0))
    found = {
        "image, MB": round(engine().images.get(f"{app.name}:v2").attrs["Size"] / 1e6),
        "memory, MB": round((memory["usage"] - cached) / 1e6),
        "build, s": [round(seconds, 1) for seconds in app.seconds("build")],
        "start, s": [round(seconds, 1) for seconds in app.seconds("probe")],
        "stop, s": [round(seconds, 1) for seconds in app.seconds("retire")],
        "requests": sum(len(load.replies) for load in loads),
        "failed": sum(len(load.failures()) for load in loads),
    }
    print(json.dumps({app.framework: found}))
