"""Symlinks in a commit: a checkout takes no file of the host along."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import Config, load
from orchestrator.errors import UsageError
from tests.repositories import commit, git
from tests.unit.stores import Stores


@pytest.fixture
def store(tmp_path: Path) -> Stores:
    return Stores(tmp_path / "state")


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with an app, and beside it a file of the host."""
    monkeypatch.setenv("HOME", str(tmp_path))
    made = tmp_path / "app"
    (made / "model").mkdir(parents=True)
    (made / "Dockerfile").write_text("FROM scratch\n")
    (made / "deploy.toml").write_text('[app]\nname = "m"\nport = 8080\n[model]\npath = "model"\n')
    (made / "model" / "weights").write_text("weights")
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "id_rsa").write_text("secret of the host")
    git(made, "init", "-q")
    return made


def checked_out(app: Path, store: Stores, change: Path, target: str) -> None:
    """Commits a link, and reads the commit as a release does."""
    change.symlink_to(target)
    made = commit(app, "with a link")
    with store.source_control.at(load(app / "deploy.toml"), made) as (_, building):
        store.read(building, keep=False)


@pytest.mark.parametrize(
    "target", ["{host}/id_rsa", "../../../../../../../../../../../../../../../../../../{host}/id_rsa"]
)
@pytest.mark.parametrize("name", ["model/more", "model/deeper/more"])
def test_a_link_in_the_model_folder_of_a_commit(
    app: Path, store: Stores, tmp_path: Path, target: str, name: str
) -> None:
    (app / "model" / "deeper").mkdir()
    with pytest.raises(
        UsageError, match=f"{name.removeprefix('model/')} is a symlink to {tmp_path}/host/id_rsa"
    ) as caught:
        checked_out(app, store, app / name, target.format(host=tmp_path / "host"))
    assert "the commit does not contain that file" in caught.value.why
    assert list((tmp_path / "state" / "checkouts").glob("*")) == []


def test_a_link_to_a_link_of_the_commit(app: Path, store: Stores, tmp_path: Path) -> None:
    (app / "shared").symlink_to(tmp_path / "host")
    with pytest.raises(UsageError, match="more is a symlink to"):
        checked_out(app, store, app / "model" / "more", "../shared/id_rsa")


def test_a_link_to_another_file_of_the_commit(app: Path, store: Stores, tmp_path: Path) -> None:
    (app / "shared").mkdir()
    (app / "shared" / "labels").write_text("cat")
    (app / "model" / "labels").symlink_to("../shared/labels")
    (app / "model" / "same").symlink_to("weights")
    config: Config = load(app / "deploy.toml")
    with store.source_control.at(config, commit(app, "with a link")) as (_, building):
        assert store.read(building, keep=False).below("model/").keys() == {"weights", "labels", "same"}
        assert [name for name, _ in store.manifests.followed(building)] == ["labels"]


def test_a_build_context_that_is_a_link(app: Path, store: Stores, tmp_path: Path) -> None:
    (tmp_path / "host" / "Dockerfile").write_text("FROM scratch\n")
    (app / "deploy.toml").write_text('[app]\nname = "m"\nport = 8080\n[build]\ncontext = "source"\n')
    (app / "source").symlink_to(tmp_path / "host")
    made = commit(app, "with a link")
    (app / "source").unlink()
    (app / "source").mkdir()
    with pytest.raises(UsageError, match=r"build\.context") as caught:
        store.source_control.at(load(app / "deploy.toml"), made).__enter__()
    assert f"leads to {tmp_path}/host, which the commit does not contain" in caught.value.why


def test_a_configuration_that_is_a_link(app: Path, store: Stores, tmp_path: Path) -> None:
    own = app / "deploy.toml"
    config = load(own)
    (tmp_path / "host" / "deploy.toml").write_text(own.read_text())
    own.unlink()
    own.symlink_to(tmp_path / "host" / "deploy.toml")
    made = commit(app, "with a link")
    with pytest.raises(UsageError, match=r"the deploy\.toml of commit .* cannot be used") as caught:
        store.source_control.at(config, made).__enter__()
    assert caught.value.why == "it is a symlink that leads out of the commit"
