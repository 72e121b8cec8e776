"""Servers that may answer at several paths: the one that was found is used by the proxy and by every later look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import parse
from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.errors import ProbeFailed
from orchestrator.release.rebuild import rebuild_ledger
from orchestrator.reports.verify import verify
from tests.fakes.world import APP, World

PRESET = '[health]\npreset = "openai"\n'
MODELS, HEALTH = "/v1/models", "/health"


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    world = worlds()
    world.more = PRESET
    world.prober.paths = {"v1": {MODELS}, "v2": {MODELS}, "v3": {HEALTH}}
    return world


def checked(world: World) -> dict[str, ProbeSpec]:
    """What the proxy asks, by slot."""
    known = world.ledger.proxy_app(APP)
    assert known is not None
    return {slot: endpoints.probe for slot, endpoints in known.slots.items()}


def test_the_proxy_asks_at_the_path_that_was_found(world: World) -> None:
    world.release("v1")
    assert checked(world)["blue"].paths == (MODELS,)
    assert "GET /v1/models HTTP/1.1" in world.proxy.files["haproxy.cfg"]
    again = world.process().ledger.proxy_app(APP)
    assert again is not None
    assert again.slots["blue"].probe == world.config().probe_spec().at(MODELS), "as a restarted proxy gets it"


def test_a_version_with_the_same_path_needs_no_reload(world: World) -> None:
    world.release("v1")
    reloads = world.proxy.reloads
    world.release("v2")
    assert checked(world) == {"blue": checked(world)["green"], "green": checked(world)["green"]}
    assert world.proxy.reloads == reloads


def test_each_slot_has_its_own_path(world: World) -> None:
    world.release("v2")
    world.release("v3")
    assert {slot: probe.path for slot, probe in checked(world).items()} == {"blue": MODELS, "green": HEALTH}
    assert [text for text in verify(world.process(), APP).problems if "health check" in text] == []
    world.rollback()
    assert world.served() == "v2"
    assert {slot: probe.path for slot, probe in checked(world).items()} == {"blue": MODELS, "green": HEALTH}


def test_the_watchdog_asks_at_the_path_that_was_found(world: World) -> None:
    world.release("v1")
    assert world.watch().outcome == "healthy"
    world.prober.paths["v1"] = set()
    assert world.watch().outcome == "degraded"


def test_a_rebuilt_ledger_finds_the_path_again(world: World) -> None:
    world.release("v1")
    for file in world.folder.glob("ledger.db*"):
        file.write_bytes(b"damaged")
    rebuild_ledger(world.process())
    assert checked(world)["blue"].path == MODELS


def test_a_server_with_none_of_the_paths_is_not_ready(world: World) -> None:
    world.prober.paths["v1"] = {"/"}
    with pytest.raises(ProbeFailed) as caught:
        world.release("v1")
    assert "neither /health nor /v1/models" in caught.value.why
    assert caught.value.hint.startswith('set health.path = "/"')


def test_a_live_path_is_asked_alone() -> None:
    text = '[app]\nname = "m"\n[health]\npreset = "openai"\nlive_path = "/live"\n'
    spec = parse(text, file="deploy.toml", base=Path("/")).live_spec()
    assert spec is not None
    assert spec.paths == ("/live",)
