"""The engines that each case runs on."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache

import docker
import pytest

from orchestrator.adapters.docker.client import connect
from orchestrator.adapters.docker.container_access import DockerContainerAccess
from orchestrator.adapters.docker.host_containers import DockerHostContainers
from orchestrator.adapters.docker.host_images import DockerHostImages
from orchestrator.adapters.docker.images import DockerImages
from orchestrator.adapters.docker.leftovers import DockerLeftovers
from orchestrator.adapters.docker.registry import DockerRegistry
from orchestrator.adapters.docker.workloads import DockerWorkloads
from orchestrator.domain.naming import Names
from tests.engine.contracts.rig import Rig
from tests.engine.harness import App
from tests.fakes.engine import (
    FakeContainerAccess,
    FakeEngineState,
    FakeHostContainers,
    FakeHostImages,
    FakeImages,
    FakeLeftovers,
    FakeRegistry,
    FakeWorkloads,
)


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest, make_app: Callable[..., App]) -> Iterator[Rig]:
    # Its state folder makes its names unique, and `make_app` removes all that is the folder's afterwards.
    app = make_app()
    names = Names.of(str(app.state_dir.resolve()))

    @cache
    def client() -> docker.DockerClient:
        return connect()

    if request.param == "fake":
        base = "sha256:base"
        state = FakeEngineState(
            names, host_images={"deployctl-base:bookworm": base}, host_image_times={base: time.time() - 60}
        )
        yield Rig(
            FakeWorkloads(state),
            FakeContainerAccess(state),
            FakeImages(state),
            FakeRegistry(state),
            FakeHostContainers(state),
            FakeLeftovers(state),
            FakeHostImages(state),
            names.state_id,
            app.folder,
            state,
            client,
        )
        return
    try:
        yield Rig(
            DockerWorkloads(client, names),
            DockerContainerAccess(client, names),
            DockerImages(client),
            DockerRegistry(client),
            DockerHostContainers(client, names),
            DockerLeftovers(client, names),
            DockerHostImages(client),
            names.state_id,
            app.folder,
            None,
            client,
        )
    finally:
        client().close()  # type: ignore[no-untyped-call]
        # Streams that the SDK leaves open are collected here, not during another test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
