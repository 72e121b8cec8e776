"""What is taken as left on an engine, by its own lists and by the output of buildx."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from orchestrator.adapters.docker import leftovers
from orchestrator.adapters.docker.leftovers import DockerLeftovers, size_in
from orchestrator.domain.naming import Names
from orchestrator.domain.version.build import Leftover
from orchestrator.errors import EngineError

OWN, OTHER = {"deployctl.state": "default"}, {"deployctl.state": "1a2b3c4d"}


class Engine:
    """The used part of the SDK's client."""

    def __init__(self) -> None:
        self.dangling: list[dict[str, Any]] = []
        self.usage: dict[str, Any] = {}
        self.asked: list[Any] = []

    @property
    def api(self) -> Engine:
        return self

    def df(self) -> dict[str, Any]:
        return self.usage

    def images(self, filters: dict[str, Any]) -> list[dict[str, Any]]:
        assert filters == {"dangling": True}
        return self.dangling

    def volumes(self, filters: dict[str, Any]) -> dict[str, Any]:
        assert filters == {"dangling": "true", "label": "deployctl.state=default"}
        return {"Volumes": [{"Name": "lost"}]}

    def prune_builds(self) -> dict[str, Any]:
        self.asked.append("prune_builds")
        return {"CachesDeleted": ["a"], "SpaceReclaimed": 7}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(leftovers, "has_buildx", lambda: False)
    return Engine()


def left(engine: Engine) -> DockerLeftovers:
    return DockerLeftovers(lambda: engine, Names("default"))  # type: ignore[arg-type, return-value]


def test_what_others_may_need_stays(engine: Engine) -> None:
    labels = {"stage": {}, "own": OWN, "kept": OWN, "of another state folder": OTHER, "used": {}}
    engine.dangling = [{"Id": name, "Size": 100, "Labels": label} for name, label in labels.items()]
    engine.dangling.append({"Id": "none", "Size": 100, "Labels": None})
    engine.usage = {
        "Images": [
            {"Id": "stage", "SharedSize": 60, "Containers": 0},
            {"Id": "own", "SharedSize": -1, "Containers": -1},
            {"Id": "used", "SharedSize": 0, "Containers": 1},
        ],
        "BuildCache": [
            {"Size": 1, "InUse": False, "Shared": False, "Type": "regular"},
            {"Size": 2, "InUse": True, "Shared": False, "Type": "regular"},
            {"Size": 4, "InUse": False, "Shared": True, "Type": "regular"},
            {"Size": 8, "InUse": False, "Shared": False, "Type": "internal"},
        ],
        "Volumes": [{"Name": "lost", "UsageData": {"Size": 3}}],
    }
    assert left(engine).find({"kept"}) == (
        Leftover("image", "stage", 40),
        Leftover("image", "own", 100),
        Leftover("image", "none", 100),
        Leftover("cache", "", 1),
        Leftover("volume", "lost", 3),
    )


def test_the_cache_of_the_engine(engine: Engine) -> None:
    engine.usage = {"BuildCache": None, "Images": None, "Volumes": None}
    assert [each.kind for each in left(engine).find(())] == ["volume"]
    assert left(engine).remove(Leftover("cache", "", 1)) == 7
    assert engine.asked == ["prune_builds"]


INSPECTED = """\
Name:          {name}
Driver:        {driver}
Last Activity: 2031-01-02 03:04:05 +0000 UTC

Nodes:
Name:             {name}0
Endpoint:         unix:///var/run/docker.sock
Status:           {status}
"""


@pytest.mark.parametrize(
    ("driver", "status", "caches"),
    [
        ("docker", "running", []),
        ("docker-container", "running", [Leftover("cache", "mine", 1_500_000_000)]),
        ("docker-container", "inactive", []),
    ],
)
def test_a_builder_with_a_cache_of_its_own(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, driver: str, status: str, caches: list[Leftover]
) -> None:
    commands = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command[2:])
        outputs = {
            "inspect": INSPECTED.format(name="mine", driver=driver, status=status),
            "du": "ID  RECLAIMABLE  SIZE\nabc*  true  1.5GB\nReclaimable:\t1.5GB\nTotal:\t\t2GB\n",
            "prune": "ID  RECLAIMABLE  SIZE\nTotal:\t1.5GB\n",
        }
        return subprocess.CompletedProcess(command, 0, outputs[command[2]], "")

    monkeypatch.setattr(leftovers, "has_buildx", lambda: True)
    monkeypatch.setattr(subprocess, "run", run)
    assert [each for each in left(engine).find(()) if each.kind == "cache"] == caches
    for cache in caches:
        assert left(engine).remove(cache) == 1_500_000_000
        assert commands[-1] == ["prune", "--force", "--builder", "mine"]


def test_a_builder_that_cannot_be_asked(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", 'something\nERROR: no builder "x" found\n')
    monkeypatch.setattr(leftovers, "has_buildx", lambda: True)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: failed)
    with pytest.raises(EngineError, match='docker buildx inspect failed: no builder "x" found'):
        left(engine).find(())


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Total:\t0B\n", 0),
        ("Total:\t12.5kB", 12_500),
        ("Total:  3MB\n", 3_000_000),
        ("x\nTotal:\t1TB\n", 10**12),
        ("", 0),
    ],
)
def test_sizes_in_the_output_of_buildx(text: str, size: int) -> None:
    assert size_in(text, "Total") == size
