"""Which engine is asked: DOCKER_HOST, the docker context, and the engine that the ledger knows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.adapters.docker import client as connection
from orchestrator.adapters.docker.context import DEFAULT, follow
from orchestrator.domain.engine import Engine
from orchestrator.errors import UsageError


def configured(
    folder: Path, current: str, *, host: Any = "unix:///run/other.sock", tls: bool = False
) -> dict[str, str]:
    """The environment of a user with a docker context `other`, and `current` as the chosen one."""
    docker = folder / ".docker"
    place = hashlib.sha256(b"other").hexdigest()
    meta = docker / "contexts" / "meta" / place
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Name": "other", "Endpoints": {"docker": {"Host": host}}}))
    if tls:
        (docker / "contexts" / "tls" / place / "docker").mkdir(parents=True)
    (docker / "config.json").write_text(json.dumps({"currentContext": current} if current else {}))
    return {"HOME": str(folder)}


def test_the_chosen_context_is_followed(tmp_path: Path) -> None:
    environ = configured(tmp_path, "other")
    assert follow(environ) == "unix:///run/other.sock"
    assert environ["DOCKER_HOST"] == "unix:///run/other.sock"
    assert follow(environ) == "unix:///run/other.sock"


@pytest.mark.parametrize("current", ["", "default"])
def test_without_a_context_it_is_the_local_engine(tmp_path: Path, current: str) -> None:
    environ = configured(tmp_path, current)
    assert follow(environ) == DEFAULT
    assert environ == {"HOME": str(tmp_path)}
    assert follow({"HOME": str(tmp_path / "nobody")}) == DEFAULT


def test_variables_come_before_the_chosen_context(tmp_path: Path) -> None:
    base = configured(tmp_path, "other")
    environ = {**base, "DOCKER_HOST": "tcp://here:2375", "DOCKER_CONTEXT": "missing"}
    assert follow(environ) == "tcp://here:2375"
    # The docker CLI would refuse both; what is started gets the same engine.
    assert "DOCKER_CONTEXT" not in environ
    assert follow({**base, "DOCKER_CONTEXT": "default"}) == DEFAULT
    (tmp_path / ".docker" / "config.json").write_text("{}")
    assert follow({**base, "DOCKER_CONTEXT": "other"}) == "unix:///run/other.sock"
    assert follow({"DOCKER_CONFIG": str(tmp_path / ".docker"), "DOCKER_CONTEXT": "other"}) == "unix:///run/other.sock"


def test_a_context_with_keys(tmp_path: Path) -> None:
    environ = configured(tmp_path, "other", host="tcp://far:2376", tls=True)
    assert follow(environ) == "tcp://far:2376"
    assert environ["DOCKER_TLS_VERIFY"] == "1"
    assert environ["DOCKER_CERT_PATH"].endswith("/docker")


@pytest.mark.parametrize("host", [5, {"a": 1}])
def test_a_context_that_cannot_be_used_is_refused(tmp_path: Path, host: Any) -> None:
    with pytest.raises(UsageError, match="the docker context 'other' cannot be used"):
        follow(configured(tmp_path, "other", host=host))
    with pytest.raises(UsageError, match="'gone' cannot be used: No such file"):
        follow({"HOME": str(tmp_path), "DOCKER_CONTEXT": "gone"})


# --- the recorded engine -----------------------------------------------------------------------------------------

HERE = Engine("id /var/lib/docker", "here", "unix:///run/other.sock")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Connects to an engine that does not exist; records when its identity is asked."""
    import docker

    requests: list[str] = []

    def info() -> dict[str, str]:
        requests.append("info")
        return {"ID": "id", "DockerRootDir": "/var/lib/docker", "Name": "here"}

    api = SimpleNamespace(trust_env=True, base_url="http+docker://localhost", info=info)
    monkeypatch.setattr(docker.DockerClient, "from_env", lambda **_: SimpleNamespace(api=api))
    monkeypatch.setattr(connection, "_api_version", lambda _: "1.41")
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", configured(tmp_path, "other")["HOME"])
    monkeypatch.setenv("DOCKER_HOST", "")  # so that it is as before at the end
    return requests


def test_the_same_address_costs_no_request(asked: list[str]) -> None:
    connection.connect(lambda: HERE)
    connection.connect(lambda: None)
    assert asked == []


def test_the_same_engine_at_another_address_is_used(asked: list[str]) -> None:
    connection.connect(lambda: Engine(HERE.id, "here", DEFAULT))
    assert asked == ["info"]


def test_another_engine_is_refused_with_both_names(asked: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        connection.connect(lambda: Engine("id /other", "there", DEFAULT))
    assert "on there (unix:///var/run/docker.sock), not on here (unix:///run/other.sock)" in refused.value.message
    assert "DOCKER_HOST=unix:///var/run/docker.sock" in refused.value.hint
