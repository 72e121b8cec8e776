"""An engine that maps users (userns-remap): root in a container is an ordinary user of the host."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from orchestrator.adapters.haproxy.container import image_tag
from tests.chaos.conftest import needs_root
from tests.chaos.private import PYTHON_IMAGE, PrivateEngine, python_image
from tests.engine.harness import App

MAP = "nobody:200000:65536\nnogroup:200000:65536\n"


def test_a_release_on_an_engine_that_maps_users(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, app: App
) -> None:
    needs_root()
    app.release("v1")  # so that the machine's engine has the image of the proxy
    python_image()
    folder = Path("/tmp") / f"deployctl-{secrets.token_hex(4)}"  # every folder above must be open to the mapped user
    folder.mkdir(mode=0o755)
    for name in ("subuid", "subgid"):
        (folder / name).write_text(MAP)
    maps = "".join(f"mount --bind {folder}/{name} /etc/{name}\n" for name in ("subuid", "subgid"))
    engine = PrivateEngine(folder, prepare=maps, options="--userns-remap nobody:nogroup")
    engine.make(PYTHON_IMAGE, image_tag())
    try:
        weights = tmp_path_factory.mktemp("weights")
        (weights / "w.bin").write_text("the weights")
        (weights / "w.bin").chmod(0o600)
        monkeypatch.setenv("MAPPED_TOKEN", "the secret")
        mapped = App(folder / "app", folder / "state", name="mapped", place=engine.place)
        mapped.config["model"] = {"path": str(weights), "mount": "/model"}
        mapped.config["run"]["secrets"] = {"token": "env:MAPPED_TOKEN"}
        mapped.release("v1")
        assert mapped.serving() == "v1"
        read = mapped.container("v1").exec_run(["cat", "/model/w.bin", "/run/secrets/token"])
        assert read.output.decode() == "the weightsthe secret"
        mapped.clean()
    finally:
        engine.close()
