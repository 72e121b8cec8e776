"""Pushing and pulling: the requests to the engine, the retries, and the error messages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests.exceptions

from orchestrator.adapters.docker import transfer
from orchestrator.adapters.docker.registry import DockerRegistry
from orchestrator.errors import EngineUnreachable, RegistryError, TagTaken, UsageError
from tests.fakes.progress import FakeProgress
from tests.unit.builders import APP, REGISTRY, version

V1 = f"{REGISTRY}:v1"
DIGEST = "sha256:" + "d" * 64
PINNED = f"{REGISTRY}@{DIGEST}"
HOST = "registry.example.com:5000"
TAG = f"http+docker://localhost/v1.41/distribution/{V1}/json"
DONE = {"progressDetail": {}, "aux": {"Tag": "v1", "Digest": DIGEST, "Size": 7}}


class Answer:
    """The answer of the engine to one request: a status and messages. A message that is an exception is raised."""

    def __init__(self, *messages: Any, status: int = 200) -> None:
        self.messages, self.status_code, self.ok = messages, status, status < 400
        self.text = ""
        self.closed = False

    def json(self) -> Any:
        return self.messages[0]

    def iter_lines(self) -> Iterator[bytes]:
        for message in self.messages:
            if isinstance(message, BaseException):
                raise message
            yield json.dumps(message).encode()

    def close(self) -> None:
        self.closed = True


class Image:
    def __init__(self, image_id: str, labels: dict[str, str], tags: list[str], client: Client) -> None:
        self.id, self.labels, self.tags, self.client = image_id, labels, tags, client

    def tag(self, repository: str, tag: str) -> None:
        self.client.did.append(f"tag {repository}:{tag}")
        self.tags.append(f"{repository}:{tag}")


class Client:
    """The used part of the SDK's client: returns the answers in order, and records the calls."""

    base_url, api_version = "http+docker://localhost", "1.41"

    def __init__(self, *answers: Answer, image: Image | None = None) -> None:
        self.answers, self.did, self.asked = list(answers), [], []  # type: tuple[list[Answer], list[str], list[Any]]
        self.api = self.images = self
        # What the registry answers about the tag before a push; None: the next of the answers.
        self.tags: Answer | None = Answer({"message": "manifest unknown"}, status=404)
        self.image = image or Image("sha256:1", {}, ["mymodel:v1", V1], self)
        self.image.client = self

    def post(self, url: str, *, params: Any, headers: Any, stream: bool, timeout: float) -> Answer:
        self.asked.append((url.removeprefix(f"{self.base_url}/v1.41"), params))
        return self.answers.pop(0)

    def get(self, what: str, **more: Any) -> Any:
        if what.startswith("http"):
            self.asked.append(what)
            return self.answers.pop(0) if self.tags is None else self.tags
        return self.image

    def tag(self, image_id: str, repository: str, tag: str) -> None:
        self.did.append(f"tag {repository}:{tag}")

    def remove(self, reference: str) -> None:
        self.did.append(f"remove {reference}")

    def ping(self) -> None:
        self.did.append("ping")


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[float]:
    """The pauses between two attempts, which take no time; without the login of the user."""
    taken: list[float] = []
    monkeypatch.setattr(time, "sleep", taken.append)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("DEPLOYCTL_REGISTRY_TIMEOUT", raising=False)
    return taken


def push(client: Client, progress: FakeProgress | None = None) -> str:
    adapter = DockerRegistry(lambda: client)  # type: ignore[arg-type, return-value]
    return adapter.push("sha256:1", V1, progress or FakeProgress())


def pull(client: Client) -> str:
    adapter = DockerRegistry(lambda: client)  # type: ignore[arg-type, return-value]
    wanted = version("v1", image_id="sha256:1", image="mymodel:v1", manifest="sha256:m", pushed=PINNED)
    return adapter.pull(wanted, FakeProgress())


# --- requests to the engine -------------------------------------------------------------------------------------------


def test_a_push_tags_the_image_only_temporarily() -> None:
    client = Client(Answer({"status": "Preparing", "id": "a"}, DONE))
    assert push(client) == PINNED
    assert client.asked == [TAG, (f"/images/{REGISTRY}/push", {"tag": "v1"})]
    assert client.did == [f"tag {V1}", f"remove {V1}"]


def test_the_last_name_of_an_image_stays() -> None:
    client = Client(Answer(DONE), image=Image("sha256:1", {}, [V1], None))  # type: ignore[arg-type]
    push(client)
    assert client.did == [f"tag {V1}"]


def test_a_pull_is_by_digest_and_ends_under_the_old_name() -> None:
    client = Client(Answer({"status": "Pull complete", "id": "a"}), image=Image("sha256:1", {}, [], None))  # type: ignore[arg-type]
    assert pull(client) == "sha256:1"
    assert client.asked == [("/images/create", {"fromImage": REGISTRY, "tag": DIGEST})]
    assert client.did == ["tag mymodel:v1", f"remove {PINNED}"]


def test_another_id_with_the_same_labels_is_the_same_image() -> None:
    labels = {"deployctl.app": APP, "deployctl.version": "v1", "deployctl.manifest": "sha256:m", "more": ""}
    client = Client(Answer(), image=Image("sha256:2", labels, [], None))  # type: ignore[arg-type]
    assert pull(client) == "sha256:2"


def test_another_image_is_refused_and_removed() -> None:
    client = Client(Answer(), image=Image("sha256:2", {"deployctl.app": "theirs"}, [], None))  # type: ignore[arg-type]
    with pytest.raises(RegistryError, match="is not the image mymodel:v1 that was pushed"):
        pull(client)
    assert client.did == [f"remove {PINNED}"]


def test_a_push_without_a_digest_fails() -> None:
    with pytest.raises(RegistryError, match="the engine reported no digest"):
        push(Client(Answer({"status": "Preparing", "id": "a"})))


# --- retries and messages --------------------------------------------------------------------------


def refused(text: str) -> Answer:
    return Answer({"errorDetail": {"message": text}, "error": text})


@pytest.mark.parametrize(
    "text",
    [
        'Get "https://registry.example.com:5000/v2/": dial tcp 192.0.2.1:5000: connect: connection refused',
        "EOF",
        "received unexpected HTTP status: 502 Bad Gateway",
        "toomanyrequests: too many requests",
        'Get "https://registry.example.com:5000/v2/": dial tcp: lookup registry.example.com: i/o timeout',
    ],
)
def test_a_transient_error_is_retried(text: str, naps: list[float]) -> None:
    progress = FakeProgress()
    assert push(Client(refused(text), Answer({"message": text}, status=500), Answer(DONE)), progress) == PINNED
    assert naps == [1, 2]
    assert progress.details == [f"{text}: trying again in 1 s", f"{text}: trying again in 2 s"]


def test_retries_are_limited(naps: list[float]) -> None:
    client = Client(*[refused("EOF")] * 9)
    with pytest.raises(RegistryError) as caught:
        push(client)
    assert naps == [1, 2, 4]
    assert str(caught.value) == f"{V1} could not be pushed: EOF"
    assert caught.value.hint == f"check that the registry {HOST} runs and that the engine can reach it"
    assert client.did[-1] == f"remove {V1}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("no basic auth credentials", f"docker login {HOST}, "),
        ("unauthorized: authentication required", f"docker login {HOST}, "),
        ("denied: requested access to the resource is denied", f"docker login {HOST}, "),
        (
            'Get "https://registry.example.com:5000/v2/": x509: certificate signed by unknown authority',
            f"the engine does not know the CA that signed the registry's certificate: put the CA's certificate into"
            f" /etc/docker/certs.d/{HOST}/ca.crt",
        ),
        ("x509: certificate is valid for other.example.com, not registry.example.com", "check the name and the dates"),
        ("x509: certificate has expired or is not yet valid", "check the name and the dates"),
        ("http: server gave HTTP response to HTTPS client", f"set up TLS for the registry, or add {HOST} to "),
        ("write /var/lib/registry/x: no space left on device", "free some disk"),
        ("manifest unknown: manifest unknown", "it was removed"),
    ],
)
@pytest.mark.parametrize("how", [refused, lambda text: Answer({"message": text}, status=500)])
def test_a_permanent_error_has_no_retry(text: str, hint: str, how: Callable[[str], Answer], naps: list[float]) -> None:
    for ask, what in ((push, f"{V1} could not be pushed"), (pull, f"{PINNED} could not be pulled")):
        with pytest.raises(RegistryError) as caught:
            ask(Client(how(text)))
        assert (caught.value.exit_code, caught.value.message, caught.value.why) == (3, what, text)
        assert caught.value.hint.startswith(hint)
    assert naps == []


def test_an_answer_that_is_not_json() -> None:
    answer = Answer(status=502)
    answer.text = "<html>"
    answer.json = lambda: json.loads("<html>")  # type: ignore[method-assign]
    with pytest.raises(RegistryError, match="502 <html>"):
        push(Client(*[answer] * 4))


def test_a_silent_registry_reaches_the_time_limit(monkeypatch: pytest.MonkeyPatch, naps: list[float]) -> None:
    monkeypatch.setenv("DEPLOYCTL_REGISTRY_TIMEOUT", "7")
    client = Client(Answer({"status": "Pushing", "id": "a"}, requests.exceptions.ConnectionError("Read timed out.")))
    with pytest.raises(RegistryError) as caught:
        push(client)
    assert caught.value.why == f"the registry {HOST} made no progress for 7 s"
    assert "DEPLOYCTL_REGISTRY_TIMEOUT=14" in caught.value.hint
    assert "ping" in client.did, "it may be the engine that hangs"
    assert naps == []


def test_a_layer_that_restarts_again_and_again_is_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setenv("DEPLOYCTL_REGISTRY_TIMEOUT", "10")
    progress = FakeProgress()

    def messages() -> Iterator[bytes]:
        nonlocal now
        while now < 99:
            for current in (1000, 2000):
                yield json.dumps(
                    {"id": "a", "status": "Pushing", "progressDetail": {"current": current, "total": 9000000}}
                ).encode()
                now += 1
            yield json.dumps({"id": "a", "status": "Retrying in 5 seconds"}).encode()
            now += 5

    answer = Answer()
    answer.iter_lines = messages  # type: ignore[method-assign]
    with pytest.raises(RegistryError, match="made no progress for 10 s"):
        push(Client(answer), progress)
    assert now < 20
    assert "pushed 0 of 1 layers, 0.0 of 9.0 MB" in progress.details
    assert "layer a: the connection was lost, retrying in 5 seconds" in progress.details


def test_a_closed_connection_to_the_engine_is_not_the_registry() -> None:
    error = requests.exceptions.ChunkedEncodingError("Connection broken")
    with pytest.raises(EngineUnreachable):
        push(Client(Answer(error)))


@pytest.mark.parametrize("text", ["0", "-1", "5s", "1.5", "٥", "86401", "9" * 20])
def test_an_invalid_time(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DEPLOYCTL_REGISTRY_TIMEOUT", text)
    with pytest.raises(UsageError, match="DEPLOYCTL_REGISTRY_TIMEOUT"):
        transfer.patience()


@pytest.mark.parametrize(
    ("answer", "good"),
    [
        (Answer({}), True),
        (Answer({"message": "manifest unknown: manifest unknown"}, status=404), True),
        (Answer({"message": "unauthorized: authentication required"}, status=401), False),
        (Answer({"message": "x509: certificate signed by unknown authority"}, status=500), False),
    ],
)
def test_the_check(answer: Answer, good: bool) -> None:
    client = Client(answer)
    client.tags = None
    adapter = DockerRegistry(lambda: client)  # type: ignore[arg-type, return-value]
    if good:
        adapter.check(REGISTRY)
    else:
        with pytest.raises(RegistryError, match=f"the check of {REGISTRY} failed"):
            adapter.check(REGISTRY)
    assert client.asked == [f"http+docker://localhost/v1.41/distribution/{REGISTRY}:v1/json"]


def test_a_check_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*asked: Any, **more: Any) -> Any:
        raise requests.exceptions.ReadTimeout("Read timed out.")

    client = Client()
    adapter = DockerRegistry(lambda: client)  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(client, "get", late)
    with pytest.raises(RegistryError, match="no answer within 20 s"):
        adapter.check(REGISTRY)
    assert client.did == ["ping"]


# --- tags that exist --------------------------------------------------------------------------------------------------

OTHER = "sha256:" + "e" * 64


def there(digest: str) -> Answer:
    return Answer({"Descriptor": {"digest": digest, "size": 7}})


def push_again(client: Client, *replaces: str) -> str:
    adapter = DockerRegistry(lambda: client)  # type: ignore[arg-type, return-value]
    return adapter.push("sha256:1", V1, FakeProgress(), replaces=replaces)


def test_a_tag_of_another_image_is_not_moved() -> None:
    client = Client(Answer({"status": "Already exists", "id": "a"}), image=Image("sha256:2", {}, [], None))  # type: ignore[arg-type]
    client.tags = there(OTHER)
    with pytest.raises(TagTaken) as caught:
        push_again(client, f"{REGISTRY}@{DIGEST}")
    assert OTHER in caught.value.why
    assert caught.value.message == f"{V1} is another image in the registry"
    assert client.did == [f"remove {REGISTRY}@{OTHER}"], "nothing was pushed, and nothing is left"


def test_a_tag_of_the_same_image_is_pushed_again() -> None:
    client = Client(Answer({"status": "Already exists", "id": "a"}), Answer(DONE))
    client.tags = there(DIGEST)
    assert push_again(client) == PINNED


def test_a_login_that_may_only_push_pushes() -> None:
    client = Client(Answer(DONE))
    client.tags = Answer({"message": "denied: requested access to the resource is denied"}, status=403)
    assert push_again(client) == PINNED


def test_a_registry_that_does_not_answer_about_the_tag_is_not_pushed_to(naps: list[float]) -> None:
    client = Client()
    client.tags = Answer({"message": "EOF"}, status=500)
    with pytest.raises(RegistryError, match="could not be pushed: EOF"):
        push_again(client)
    assert naps == [1, 2, 4]
    assert client.did == []


def test_a_tag_of_an_earlier_attempt_is_moved_and_said() -> None:
    client = Client(Answer(DONE))
    client.tags = there(OTHER)
    progress = FakeProgress()
    adapter = DockerRegistry(lambda: client)  # type: ignore[arg-type, return-value]
    assert adapter.push("sha256:1", V1, progress, replaces=[f"{REGISTRY}@{OTHER}"]) == PINNED
    assert progress.details == [f"{V1} is moved from {OTHER}, which an earlier attempt pushed"]


@pytest.mark.parametrize(
    "text",
    [
        "tag invalid: The image tag 'v1' already exists in the 'x' repository and cannot be overwritten because the"
        " repository is immutable.",
        "unknown: Failed to process request due to 'mymodel:v1' configured as immutable.",
        "manifest invalid: cannot update tag v1. The repository has enabled tag immutability",
        "denied: Repository does not allow updating assets: docker-hosted",
    ],
)
def test_an_immutable_tag_is_tried_once(text: str, naps: list[float]) -> None:
    with pytest.raises(TagTaken) as caught:
        push(Client(refused(text)))
    assert caught.value.why == text
    assert naps == []


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "name unknown: The repository with name 'x' does not exist in the registry with id '1'",
            "create the repository",
        ),
        ("denied: adding 12.3 MiB of storage resource, which will exceed the configured upper limit", "no room left"),
        ("denied: Your account has exceeded its storage quota", "no room left"),
        ("received unexpected HTTP status: 507 Insufficient Storage", "no room left"),
        ("received unexpected HTTP status: 413 Request Entity Too Large", "client_max_body_size"),
        ("error parsing HTTP 413 response body: invalid character '<'", "client_max_body_size"),
        ("toomanyrequests: You have reached your unauthenticated pull rate limit.", "docker login"),
        ("unsupported: The operation is unsupported.", "does not accept this request"),
        ("manifest invalid: manifest invalid", "does not accept this request"),
        ("received unexpected HTTP status: 405 Method Not Allowed", "does not accept this request"),
    ],
)
def test_other_final_answers_are_tried_once(text: str, hint: str, naps: list[float]) -> None:
    with pytest.raises(RegistryError) as caught:
        push(Client(refused(text)))
    assert hint in caught.value.hint
    assert naps == []


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_statuses_that_may_pass_are_retried(status: int, naps: list[float]) -> None:
    assert push(Client(refused(f"received unexpected HTTP status: {status} x"), Answer(DONE))) == PINNED
    assert naps == [1]
