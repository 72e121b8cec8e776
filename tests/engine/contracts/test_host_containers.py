"""The contract of `HostContainers`."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from orchestrator.domain.naming import LABEL_STATE
from orchestrator.domain.rollout.workload import HostContainerSpec
from orchestrator.errors import BuildFailed, EngineError
from tests.engine.contracts.rig import STAYS, Rig
from tests.engine.harness import until

pytestmark = pytest.mark.engine


def wanted(rig: Rig, *, last: str = STAYS) -> HostContainerSpec:
    """A helper of this state folder; its image is removed with all that is the folder's."""
    return HostContainerSpec(
        name=f"helper-{rig.state_id}",
        image=f"helper-{rig.state_id}:1",
        dockerfile=f"ARG BASE\nFROM ${{BASE}}\nENV HELPER={rig.state_id}\n{last}\n",
        bases={"BASE": "deployctl-base:bookworm"},
        folder=rig.folder,
        target="/helper",
        user=f"{os.getuid()}:{os.getgid()}",
        labels={LABEL_STATE: rig.state_id},
    )


def break_builds(rig: Rig, spec: HostContainerSpec) -> None:
    if rig.fake is not None:
        rig.fake.broken_builds.add(spec.image)


def test_a_helper_is_built_once_and_runs(rig: Rig) -> None:
    spec, reports = wanted(rig), []
    assert rig.hosts.state(spec.name) == "missing"
    assert rig.host_images.find(spec.image) is None
    for _ in range(2):
        rig.hosts.start(spec, reports.append)
        assert rig.hosts.state(spec.name) == "running"
    assert rig.host_images.find(spec.image) == rig.host_images.of(spec.name)
    assert reports == [f"building the image {spec.image} (once)"]
    assert rig.workloads.containers() == (), "it belongs to no app"
    rig.hosts.remove(spec.name)
    rig.hosts.start(spec, reports.append)
    assert len(reports) == 1


def test_a_helper_whose_image_cannot_be_built_is_missing(rig: Rig) -> None:
    spec = wanted(rig, last="RUN false")
    break_builds(rig, spec)
    with pytest.raises(BuildFailed) as caught:
        rig.hosts.start(spec, lambda text: None)
    assert "RUN false" in caught.value.details
    assert rig.hosts.state(spec.name) == "missing"


def test_a_program_runs_in_a_helper(rig: Rig) -> None:
    spec = wanted(rig)
    with pytest.raises(EngineError):
        rig.hosts.execute(spec.name, ["echo", "hello"])
    rig.hosts.start(spec, lambda text: None)
    code, output = rig.hosts.execute(spec.name, ["echo", "hello"])
    assert code == 0
    assert "hello" in output
    code, output = rig.hosts.execute(spec.name, ["sh", "-c", "echo bad >&2; exit 3"])
    assert code == 3
    assert "bad" in output


def test_the_log_of_a_helper(rig: Rig) -> None:
    spec = wanted(rig)
    assert rig.hosts.logs(spec.name, 5) == []
    rig.hosts.start(spec, lambda text: None)
    until(lambda: len(rig.hosts.logs(spec.name, 5)) == 2, "it says two lines")
    (line,) = rig.hosts.logs(spec.name, 1)
    assert "waits" in line


def test_a_helper_is_restarted_and_removed(rig: Rig) -> None:
    spec = wanted(rig)
    rig.hosts.restart(spec.name)
    assert rig.hosts.state(spec.name) == "missing"
    rig.hosts.start(spec, lambda text: None)
    rig.hosts.restart(spec.name)
    assert rig.hosts.state(spec.name) == "running"
    assert rig.hosts.remove(spec.name) is True
    assert rig.hosts.remove(spec.name) is False
    assert rig.hosts.state(spec.name) == "missing"


@pytest.mark.parametrize("state", ["paused", "exited"])
def test_a_helper_that_does_not_run_is_started(rig: Rig, state: str) -> None:
    spec = wanted(rig)
    rig.hosts.start(spec, lambda text: None)
    if rig.fake is not None:
        rig.fake.host_containers[spec.name] = state
    else:
        container = rig.client().containers.get(spec.name)
        container.pause() if state == "paused" else container.kill()
    assert rig.hosts.state(spec.name) == state
    rig.hosts.start(spec, lambda text: None)
    assert rig.hosts.state(spec.name) == "running"


def test_a_helper_that_was_created_runs_when_it_is_started(rig: Rig) -> None:
    spec = wanted(rig)
    with pytest.raises(EngineError):
        rig.hosts.create(spec)
    rig.host_images.build(spec, spec.image, rig.progress)
    rig.hosts.create(spec)
    assert rig.hosts.state(spec.name) == "created"
    assert kept(rig, spec.name) is False
    with pytest.raises(EngineError):
        rig.hosts.create(spec)
    rig.hosts.start(spec, lambda text: None)
    assert rig.hosts.state(spec.name) == "running"
    for keep in (True, True, False):
        rig.hosts.keep_running(spec.name, keep=keep)
        assert kept(rig, spec.name) is keep
    rig.hosts.keep_running("nobody", keep=True)


def test_a_running_helper_gets_another_name(rig: Rig) -> None:
    spec = wanted(rig)
    other = replace(spec, name=f"{spec.name}-other")
    with pytest.raises(EngineError):
        rig.hosts.rename(spec.name, other.name)
    rig.hosts.start(spec, lambda text: None)
    image = rig.host_images.of(spec.name)
    rig.hosts.rename(spec.name, other.name)
    assert (rig.hosts.state(spec.name), rig.hosts.state(other.name)) == ("missing", "running")
    assert rig.host_images.of(other.name) == image
    assert kept(rig, other.name) is True
    rig.hosts.start(spec, lambda text: None)
    with pytest.raises(EngineError):
        rig.hosts.rename(other.name, spec.name)
    assert rig.hosts.state(spec.name) == rig.hosts.state(other.name) == "running"


def test_a_helper_is_asked_to_finish(rig: Rig) -> None:
    ends = 'CMD ["sh", "-c", "trap \\"exit 0\\" USR1; echo ready; while :; do sleep 0.05; done"]'
    spec = wanted(rig, last=ends)
    rig.hosts.finish(spec.name)
    rig.hosts.start(spec, lambda text: None)
    until(lambda: rig.hosts.logs(spec.name, 5), "it has set its trap")
    rig.hosts.finish(spec.name)
    # The engine does not start it again, although it restarts helpers that end.
    until(lambda: rig.hosts.state(spec.name) == "exited", "it has ended")
    rig.hosts.finish(spec.name)
    assert rig.hosts.state(spec.name) == "exited"


def kept(rig: Rig, name: str) -> bool:
    """Whether the engine restarts a helper whenever it ends."""
    if rig.fake is not None:
        return name in rig.fake.kept_host_containers
    policy = rig.client().containers.get(name).attrs["HostConfig"]["RestartPolicy"]["Name"]
    return {"always": True, "no": False}[policy]


def test_somebody_else_s_container_of_that_name_is_not_touched(rig: Rig) -> None:
    spec = wanted(rig)
    if rig.fake is not None:
        rig.fake.foreign.add(spec.name)
        theirs = None
    else:
        theirs = rig.client().containers.create("deployctl-base:bookworm", ["sleep", "600"], name=spec.name)
    try:
        for call in (
            lambda: rig.hosts.state(spec.name),
            lambda: rig.hosts.start(spec, lambda text: None),
            lambda: rig.hosts.restart(spec.name),
            lambda: rig.hosts.rename(spec.name, "other"),
            lambda: rig.hosts.keep_running(spec.name, keep=True),
            lambda: rig.hosts.finish(spec.name),
            lambda: rig.hosts.remove(spec.name),
            lambda: rig.hosts.execute(spec.name, ["true"]),
            lambda: rig.hosts.logs(spec.name, 1),
        ):
            with pytest.raises(EngineError, match="exists and is not deployctl's"):
                call()
    finally:
        if theirs is not None:
            theirs.remove(force=True)
