"""Engines that cannot be used, and what the engine's errors mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.docker import workloads
from orchestrator.adapters.docker.errors import refusal
from orchestrator.adapters.docker.listening import _of_process
from orchestrator.adapters.docker.workloads import DockerWorkloads
from orchestrator.domain.naming import Names
from orchestrator.errors import UsageError


class Client:
    """The used part of the SDK's client."""

    def __init__(self, options: list[str] | None) -> None:
        self.options = options

    @property
    def api(self) -> Client:
        return self

    def info(self) -> dict[str, Any]:
        return {"SecurityOptions": self.options}


def check(options: list[str] | None) -> None:
    DockerWorkloads(lambda: Client(options), Names("default")).check()  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("options", [None, [], ["name=seccomp,profile=default"], ["name=userns"]])
def test_an_engine_that_runs_as_root(options: list[str] | None) -> None:
    check(options)


def test_a_rootless_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "_is_initial_user_namespace", lambda: True)
    with pytest.raises(UsageError, match="rootless") as caught:
        check(["name=seccomp,profile=default", "name=rootless"])
    assert "DOCKER_HOST" in caught.value.hint
    # In the engine's own namespace its containers can be reached.
    monkeypatch.setattr(workloads, "_is_initial_user_namespace", lambda: False)
    check(["name=rootless"])


@pytest.mark.parametrize(
    ("text", "initial"),
    [("         0          0 4294967295\n", True), ("0 1000 1\n1 100000 65536\n", False), ("", False)],
)
def test_the_user_namespace(tmp_path: Path, text: str, initial: bool) -> None:
    (tmp_path / "uid_map").write_text(text)
    assert workloads._is_initial_user_namespace(tmp_path / "uid_map") is initial
    assert workloads._is_initial_user_namespace(tmp_path / "none") is True


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('exec: "docker-init": executable file not found in $PATH', "run.init = false"),
        ('exec: "/app/none": stat /app/none: no such file or directory: unknown', "run.command"),
        ('exec: "gunicorn": executable file not found in $PATH: unknown', "run.command"),
        ('exec: "/app/run.sh": permission denied: unknown', "chmod +x"),
        ("exec /app/run.sh: exec format error", "another platform"),
    ],
)
def test_a_container_that_cannot_be_started(text: str, hint: str) -> None:
    assert hint in refusal("start the container m-1", text).hint


def test_only_the_container_s_own_process_tells_its_sockets(tmp_path: Path) -> None:
    process = tmp_path / "7"
    (process / "net").mkdir(parents=True)
    (process / "net" / "tcp").write_text("the table")
    (process / "mountinfo").write_text("/var/lib/docker/containers/c0ffee/hosts /etc/hosts")
    assert _of_process(7, "c0ffee", tmp_path) == "the table"
    (process / "net" / "tcp6").write_text("the other")
    assert _of_process(7, "c0ffee", tmp_path) == "the table\nthe other"
    assert _of_process(7, "decaf", tmp_path) is None
    assert _of_process(8, "c0ffee", tmp_path) is None
    assert _of_process(0, "c0ffee", tmp_path) is None
