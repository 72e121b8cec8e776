"""The same cases against the engine in memory and against the real one: what the fake says is what Docker does."""

from __future__ import annotations

import gc
import io
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator.adapters.docker.engine import DockerEngine, connect
from orchestrator.config import Config, parse
from orchestrator.domain import naming
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.workload import Container
from orchestrator.domain.traffic.slot import Slot
from orchestrator.domain.version.version import Version
from orchestrator.errors import EngineError
from orchestrator.ports.old import Engine
from tests.engine.harness import App
from tests.engine.registries import registry
from tests.unit.fakes import FakeEngine

pytestmark = pytest.mark.engine

ENDS = 'CMD ["sh", "-c", "echo hello; echo gives up; exit 1"]'
STAYS = 'CMD ["sh", "-c", "echo hello; echo waits; exec sleep 600"]'


@dataclass
class Rig:
    """An engine with one app, whose name and state folder nobody else has."""

    engine: Engine
    config: Config
    state_id: str
    block: int = 3
    built: int = 0

    @property
    def app(self) -> str:
        return self.config.app.name

    def build(self, name: str = "v1", *, ends: bool = False, text: str = "") -> Version:
        """Builds a version whose containers stay, or end at once. Each build makes a new image."""
        self.built += 1
        text = text or f"FROM deployctl-base:bookworm\nENV BUILD={self.built}\n{ENDS if ends else STAYS}\n"
        self.config.dockerfile_path.write_text(text)
        if ends and isinstance(self.engine, FakeEngine):
            self.engine.exits.add(name)
        labels = {naming.LABEL_APP: self.app, naming.LABEL_VERSION: name, naming.LABEL_STATE: self.state_id}
        found = self.engine.build(self.config, name, labels=labels, progress=lambda text: None, cancelled=lambda: None)
        return Version(
            app=self.app,
            name=name,
            image=naming.image(self.app, name),
            image_id=found,
            manifest="",
            parent=None,
            author="somebody",
            created_at="2031-01-01T00:00:00.000Z",
        )

    def create(self, version: Version, slot: Slot = "blue", index: int = 1, *, at: int | None = None) -> Container:
        """Creates a container, at its own address or at that of replica `at`."""
        address = naming.address(self.engine.ensure_network(), self.block, slot, at or index)
        return self.engine.create(
            self.config, version, slot, index, deployment=7, address=address, settings="digest of the settings"
        )

    def run(self, version: Version, slot: Slot = "blue", index: int = 1) -> Container:
        made = self.create(version, slot, index)
        self.engine.start(made)
        return self.now(made)

    def now(self, container: Container) -> Container:
        found = self.engine.inspect(container.id)
        assert found is not None
        return found

    def ended(self, container: Container) -> Container:
        """The container when it has ended by itself."""
        limit = time.monotonic() + 20
        while (found := self.now(container)).state != "exited":
            assert time.monotonic() < limit, found
            time.sleep(0.02)
        return found


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest, tmp_path: Path, make_app: Callable[..., App]) -> Iterator[Rig]:
    # Its folder tells it from all others, and `make_app` takes everything of that folder off the engine afterwards.
    mine = make_app()
    state_id = Names.of(str(mine.state_dir.resolve())).state_id
    text = f'[app]\nname = "c{state_id}"\nport = 8080\n[run]\nstop_timeout = "1s"\n[proxy]\nlisten = "127.0.0.1:8000"\n'
    config = parse(text, file="deploy.toml", base=mine.folder)
    if request.param == "fake":
        yield Rig(FakeEngine(), config, state_id)
        return

    @cache
    def client() -> docker.DockerClient:
        return connect()

    try:
        yield Rig(
            DockerEngine(client, Names(state_id), mine.state_dir / "models", mine.state_dir / "secrets"),
            config,
            state_id,
        )
    finally:
        client().close()  # type: ignore[no-untyped-call]
        # What the SDK leaves open of a stream is collected here, and not in the middle of another test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def test_the_engine_says_what_it_is(rig: Rig) -> None:
    assert sorted(rig.engine.ping()) == ["api", "version"]


def test_a_created_container_is_as_it_was_asked_for(rig: Rig) -> None:
    version = rig.build()
    made = rig.create(version, "green", 2)
    assert made.name.startswith(f"{rig.app}-v1-green-2")
    assert (made.app, made.version, made.slot, made.index, made.deployment) == (rig.app, "v1", "green", 2, 7)
    assert (made.image_id, made.state, made.kept_running) == (version.image_id, "created", False)
    assert made.address == naming.address(rig.engine.ensure_network(), rig.block, "green", 2)
    assert (made.exit_code, made.restarts) == (0, 0)
    assert rig.engine.inspect(made.id) == made
    assert rig.engine.containers() == (made,)
    assert rig.engine.settings_of(made) == "digest of the settings"
    assert list(rig.engine.logs(made, tail=10)) == []


def test_start_stop_and_start_again(rig: Rig) -> None:
    made = rig.create(rig.build())
    rig.engine.start(made)
    assert rig.now(made) == replace(made, state="running")
    rig.engine.start(made)
    assert rig.now(made) == replace(made, state="running"), "the start of a running one changes nothing"
    rig.engine.set_restart(made, "always")
    assert rig.now(made) == replace(made, state="running", kept_running=True)
    for _ in range(2):
        rig.engine.stop(made)
        stopped = rig.now(made)
        assert (stopped.state, stopped.kept_running, stopped.address) == ("exited", False, made.address)
    rig.engine.start(made)
    assert rig.now(made).running


def test_a_restart_leaves_everything_else_as_it_was(rig: Rig) -> None:
    made = rig.run(rig.build())
    rig.engine.set_restart(made, "always")
    before = rig.now(made)
    rig.engine.restart(made)
    assert rig.now(made) == before
    assert rig.engine.oom_kills(made, 0) == 0
    rig.engine.stop(made)
    rig.engine.restart(made)
    assert rig.now(made).running
    rig.engine.remove(made)
    with pytest.raises(EngineError):
        rig.engine.restart(made)


def test_to_stop_what_was_never_started_changes_nothing(rig: Rig) -> None:
    made = rig.create(rig.build())
    rig.engine.stop(made)
    assert rig.now(made) == made


def test_remove(rig: Rig) -> None:
    version = rig.build()
    created, running, stopped = rig.create(version), rig.run(version, index=2), rig.run(version, index=3)
    rig.engine.stop(stopped)
    for container in (created, running, stopped):
        rig.engine.remove(container)
        rig.engine.remove(container)
        assert rig.engine.inspect(container.id) is None
    assert rig.engine.containers() == ()


def test_what_is_gone_can_be_stopped_and_nothing_else(rig: Rig) -> None:
    made = rig.create(rig.build())
    rig.engine.remove(made)
    rig.engine.stop(made)
    refused: list[Callable[[], Any]] = [
        lambda: rig.engine.start(made),
        lambda: rig.engine.set_restart(made, "always"),
        lambda: list(rig.engine.logs(made, tail=1)),
        lambda: rig.engine.settings_of(made),
        lambda: rig.engine.execute(made, ["true"], io.BytesIO(), io.BytesIO()),
    ]
    for call in refused:
        with pytest.raises(EngineError):
            call()


def test_a_name_is_given_once(rig: Rig) -> None:
    version = rig.build()
    made = rig.create(version)
    with pytest.raises(EngineError):
        rig.create(version)
    assert rig.engine.containers() == (made,)
    rig.engine.remove(made)
    assert rig.create(version).name == made.name


def test_an_address_is_used_by_one_at_a_time(rig: Rig) -> None:
    version = rig.build()
    first, second = rig.create(version, index=1), rig.create(version, index=2, at=1)
    assert first.address == second.address
    rig.engine.start(first)
    with pytest.raises(EngineError):
        rig.engine.start(second)
    assert not rig.now(second).running
    rig.engine.stop(first)
    rig.engine.start(second)
    assert rig.now(second).running


def test_no_container_without_its_image(rig: Rig) -> None:
    version = replace(rig.build(), image_id="sha256:" + "f" * 64)
    with pytest.raises(EngineError):
        rig.create(version)
    assert rig.engine.containers() == ()


def test_what_ends_at_once_was_started_all_the_same(rig: Rig) -> None:
    made = rig.run(rig.build(ends=True))
    ended = rig.ended(made)
    assert (ended.exit_code, ended.restarts, ended.kept_running) == (1, 0, False)
    assert len(list(rig.engine.logs(ended, tail=10))) == 2
    (line,) = rig.engine.logs(ended, tail=1)
    assert "gives up" in line


def test_containers_come_in_order_of_their_names_and_by_app(rig: Rig) -> None:
    version = rig.build()
    theirs = replace(version, app=f"a{rig.state_id}")
    made = [rig.create(version, "green"), rig.create(version, "blue", 2), rig.create(version, "blue", 1)]
    rig.block += 1
    made.append(rig.create(theirs))
    expected = tuple(sorted(made, key=lambda container: container.name))
    assert rig.engine.containers() == expected
    assert rig.engine.containers(rig.app) == tuple(c for c in expected if c.app == rig.app)
    assert rig.engine.containers(theirs.app) == tuple(c for c in expected if c.app == theirs.app)
    assert rig.engine.containers("nobody") == ()


def test_the_network_lives_as_long_as_it_is_used(rig: Rig) -> None:
    assert rig.engine.remove_network_if_unused() is False
    subnet = rig.engine.ensure_network()
    assert rig.engine.ensure_network() == subnet
    assert rig.engine.remove_network_if_unused() is True
    assert rig.engine.remove_network_if_unused() is False
    made = rig.create(rig.build())
    assert rig.engine.remove_network_if_unused() is False
    rig.engine.remove(made)
    assert rig.engine.remove_network_if_unused() is True


def test_an_image_is_found_by_name_and_by_id_until_it_is_removed(rig: Rig) -> None:
    version = rig.build()
    assert rig.engine.image_id(version.image) == version.image_id
    assert rig.engine.image_id(version.image_id) == version.image_id
    assert rig.engine.image_id(f"{rig.app}:v9") is None
    assert rig.engine.remove_image(version.image, version.image_id) is True
    assert rig.engine.image_id(version.image) is None
    assert rig.engine.image_id(version.image_id) is None
    assert rig.engine.remove_image(version.image, version.image_id) is False


def test_images_with_the_same_parent_are_removed_side_by_side(rig: Rig) -> None:
    for number in range(5):
        text = f"FROM deployctl-base:bookworm\nENV ROUND={number}\n{STAYS}\n"
        made = [rig.build(f"v{version}", text=text) for version in range(6)]
        with ThreadPoolExecutor(len(made)) as pool:
            removed = list(pool.map(lambda one: rig.engine.remove_image(one.image, one.image_id), made))
        assert removed == [True] * len(made)
        assert all(rig.engine.image_id(one.image_id) is None for one in made)


def test_an_image_that_a_container_uses_stays(rig: Rig) -> None:
    version = rig.build()
    made = rig.create(version)
    assert rig.engine.remove_image(version.image, version.image_id) is False
    assert rig.engine.image_id(version.image) == version.image_id
    rig.engine.remove(made)
    assert rig.engine.remove_image(version.image, version.image_id) is True


def test_an_image_that_lost_its_tag_is_found_by_its_id(rig: Rig) -> None:
    old, new = rig.build(), rig.build()
    assert old.image_id != new.image_id
    assert rig.engine.image_id(new.image) == new.image_id
    assert rig.engine.image_id(old.image_id) == old.image_id
    assert rig.engine.remove_image(old.image, old.image_id) is True
    assert rig.engine.image_id(old.image_id) is None
    assert rig.engine.image_id(new.image) == new.image_id, "the tag is the new image's"


def test_a_program_runs_only_in_a_running_container(rig: Rig) -> None:
    made = rig.create(rig.build())
    out, err = io.BytesIO(), io.BytesIO()
    with pytest.raises(EngineError):
        rig.engine.execute(made, ["echo", "hello"], out, err)
    rig.engine.start(made)
    assert rig.engine.execute(made, ["echo", "hello"], out, err) == 0
    assert b"hello" in out.getvalue()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("registry")
    with registry(folder, folder / "images") as found:
        yield found


def test_an_image_goes_to_a_registry_and_comes_back(rig: Rig, host: str) -> None:
    quietly: dict[str, Any] = {"progress": lambda text: None, "cancelled": lambda: None}
    version = rig.build(text="FROM scratch\nCOPY version /\n")
    reference = f"{host}/{rig.app}:v1"
    pushed = rig.engine.push(version.image_id, reference, **quietly)
    assert pushed.startswith(f"{host}/{rig.app}@sha256:")
    assert rig.engine.push(version.image_id, reference, **quietly) == pushed, "done twice it is the same"
    assert rig.engine.untag(reference) is False, "the name is gone already"
    assert rig.engine.remove_image(version.image, version.image_id) is True
    assert rig.engine.image_id(version.image_id) is None
    version = replace(version, pushed=pushed)
    for _ in range(2):
        assert rig.engine.pull(version, **quietly) == version.image_id
        assert rig.engine.image_id(version.image) == version.image_id
    assert rig.engine.untag(pushed) is False
    assert rig.engine.remove_image(version.image, version.image_id) is True
    assert rig.engine.image_id(version.image_id) is None
    rig.engine.check_registry(f"{host}/{rig.app}")
    with pytest.raises(EngineError, match="could not be pulled"):
        rig.engine.pull(replace(version, pushed=f"{host}/{rig.app}@sha256:" + "0" * 64), **quietly)
    with pytest.raises(EngineError):
        rig.engine.push(version.image_id, reference, **quietly)
