"""A release that does not fit beside the live version is refused before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.domain.engine import Machine
from orchestrator.domain.rollout.fit import Strategy
from orchestrator.domain.rollout.gpu_fit import Gpu, Gpus
from orchestrator.domain.version.manifest import File
from orchestrator.errors import EngineUnreachable, UsageError
from orchestrator.release.fit import release_fit
from orchestrator.release.observe import observe
from orchestrator.reports.plan import preview
from tests.fakes.world import APP, World

G = 1 << 30


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "world")
    yield found
    found.close()


def live(world: World, used: int, *, available: int, run: str = "") -> None:
    """v1 is live and uses so much; so much is available beside it."""
    world.run = run
    world.release("v1")
    [container] = world.workloads.containers()
    world.host.uses[container.id] = used
    world.host.available = available


def test_it_is_refused_and_nothing_changes(world: World) -> None:
    live(world, 9 * G, available=7 * G, run='memory = "9g"')
    before, files = world.facts(), sorted(world.folder.rglob("*"))
    with pytest.raises(UsageError, match=r"v2 does not fit .* run.memory allows it 9 GiB, v1 uses 9 GiB") as caught:
        world.release("v2")
    assert 'rollout.strategy = "recreate"' in caught.value.hint
    assert (world.facts(), sorted(world.folder.rglob("*"))) == (before, files)
    assert len(world.engine.built) == 1
    assert world.served() == "v1"
    assert "v2" not in world.ledger.versions(APP)


def test_its_model_is_not_copied_unless_it_is_forced(world: World) -> None:
    world.supply.files = (File("model/weights.bin", "file", "0644", 7, "sha256:1"),)
    live(world, 9 * G, available=7 * G, run='memory = "9g"')
    assert set(world.supply.stored) == {"sha256:1"}
    world.supply.files = (File("model/weights.bin", "file", "0644", 7, "sha256:2"),)
    with pytest.raises(UsageError):
        world.release("v2")
    assert set(world.supply.stored) == {"sha256:1"}
    world.release("v2", force=True)
    assert set(world.supply.stored) == {"sha256:1", "sha256:2"}


def test_recreate_runs_one_copy_at_a_time(world: World) -> None:
    live(world, 9 * G, available=7 * G, run='memory = "9g"')
    services, config = world.process(), world.config()
    strategies: tuple[Strategy, ...] = ("blue-green", "canary", "recreate")
    fits = {each: release_fit(services, config, observe(services, APP), "v2", each).verdict for each in strategies}
    assert fits == {"blue-green": "refused", "canary": "refused", "recreate": "fits"}
    world.keep_warm = '10m"\nstrategy = "recreate'
    world.release("v2")
    assert world.served() == "v2"


def test_plan_says_the_same(world: World) -> None:
    live(world, 9 * G, available=7 * G, run='memory = "9g"')
    world.supply.context = "sha256:v2"
    fit = preview(world.process(), world.config(), "release", "v2", ref=None).fit
    assert fit is not None and fit.verdict == "refused" and fit.memory is not None
    assert (fit.memory.needed, fit.memory.available, fit.memory.total) == (9 * G, 7 * G, 16 * G)
    with pytest.raises(UsageError) as caught:
        world.release("v2")
    assert (caught.value.message, caught.value.hint) == (fit.why, fit.advice)


def test_one_that_fits_says_so_when_run_memory_is_set(world: World) -> None:
    live(world, 2 * G, available=7 * G, run='memory = "3g"')
    result = world.release("v2")
    assert result.notes == ("memory: v2 needs up to 3 GiB beside the running v1; 7 GiB of 16 GiB are available",)
    assert world.reports.notes == list(result.notes)


def test_without_run_memory_nothing_is_said_unless_it_is_tight(world: World) -> None:
    live(world, 2 * G, available=7 * G)
    assert world.release("v2").notes == ()


def test_without_run_memory_the_live_version_shows_what_is_needed(world: World) -> None:
    live(world, 8 * G, available=7 * G)
    with pytest.raises(UsageError, match="it needs 8 GiB if it uses what v1 uses"):
        world.release("v2")
    world.run = 'memory = "4g"'
    world.release("v2")
    assert world.served() == "v2"


def test_the_warm_version_stops_first(world: World) -> None:
    live(world, 5 * G, available=9 * G, run='memory = "5g"')
    world.release("v2")
    [new] = (container for container in world.workloads.containers() if container.version == "v2")
    world.host.uses[new.id] = 5 * G
    world.host.available = 4 * G
    world.release("v3")
    assert world.served() == "v3"
    # Without it, only what is available counts.
    [warm] = (container for container in world.workloads.containers() if container.version == "v2")
    world.workloads.stop(warm)
    with pytest.raises(UsageError, match="4 GiB of 16 GiB are available"):
        world.host.uses = dict.fromkeys(world.engine.containers, 5 * G)
        world.release("v4")


def test_with_force_it_is_released_and_says_so(world: World) -> None:
    live(world, 9 * G, available=7 * G, run='memory = "9g"')
    world.release("v2", force=True)
    assert world.served() == "v2"
    assert any(note.startswith("released because of --force: v2 does not fit") for note in world.reports.notes)


def test_nothing_to_do_is_never_refused(world: World) -> None:
    live(world, 9 * G, available=7 * G, run='memory = "9g"')
    assert world.release().deployment is None
    assert preview(world.process(), world.config(), "release", None, ref=None).fit is None


def test_a_rollback_is_never_refused(world: World) -> None:
    live(world, 2 * G, available=7 * G, run='memory = "3g"')
    world.release("v2")
    [old] = (container for container in world.workloads.containers() if container.version == "v1")
    world.workloads.stop(old)
    world.host.available = 0
    world.rollback()
    assert world.served() == "v1"


@pytest.mark.parametrize("machine", [Machine(8 * G, "6.1.0-fake"), Machine(16 * G, "5.10")])
def test_an_engine_on_another_machine_is_not_judged_by_this_one(world: World, machine: Machine) -> None:
    world.engine.machine = machine
    live(world, 9 * G, available=0, run='memory = "9g"')
    world.release("v2")
    assert world.served() == "v2"


def test_an_engine_that_does_not_answer_is_not_judged(world: World) -> None:
    live(world, 9 * G, available=0, run='memory = "9g"')
    services, config = world.process(), world.config()
    observed = observe(services, APP)
    world.faults.arm(0, EngineUnreachable("the Docker engine does not answer"))
    assert release_fit(services, config, observed, "v2", "blue-green").verdict == "unknown"


def test_a_gpu_without_room_for_two(world: World) -> None:
    world.run = "gpus = 1"
    world.release("v1")
    [container] = world.workloads.containers()
    gpu = Gpu(0, "GPU-aa", 80 * G, 30 * G, {container.id: 50 * G})
    world.host.gpus_now = Gpus((gpu,))
    with pytest.raises(UsageError, match="v2 does not fit into GPU 0 beside the running v1"):
        world.release("v2")
    assert world.served() == "v1"
    world.host.gpus_now = Gpus((replace(gpu, free=50 * G),))
    world.release("v2")
    assert world.served() == "v2"


def test_a_slot_with_a_gpu_of_its_own(world: World) -> None:
    world.run = 'gpus = ["0", "1"]'
    world.release("v1")
    [container] = world.workloads.containers()
    first, second = Gpu(0, "GPU-aa", 80 * G, 0, {container.id: 50 * G}), Gpu(1, "GPU-bb", 80 * G, 49 * G)
    world.host.gpus_now = Gpus((first, second))
    with pytest.raises(UsageError, match=r"GPU 1 .* needs 50 GiB .* 49 GiB of 80 GiB are free"):
        world.release("v2")
    world.host.gpus_now = Gpus(trouble="nvidia-smi did not answer within 10 s")
    assert world.release("v2").notes == (
        "the memory of the GPUs is not checked: nvidia-smi did not answer within 10 s",
    )
