"""The copy of the model folder is the folder: empty folders, times, and what is left out."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orchestrator.config import Config, load
from orchestrator.errors import UsageError
from tests.unit.adapters.store.conftest import write
from tests.unit.builders import version
from tests.unit.stores import Stores


def model(tmp_path: Path) -> Path:
    return tmp_path / "app" / "model"


def tree(tmp_path: Path, name: str = "v1") -> Path:
    return tmp_path / "models" / "m" / name


def test_empty_folders_are_part_of_a_version(tmp_path: Path, store: Stores, config: Config) -> None:
    before = store.read(config, keep=False)
    (model(tmp_path) / "ensemble" / "1").mkdir(parents=True)
    taken = store.take(config)
    assert taken.files.keys() - before.files.keys() == {"model/ensemble/1"}
    assert store.read(config, keep=False) == taken
    assert (tree(tmp_path) / "ensemble" / "1").is_dir()
    assert oct((tree(tmp_path) / "ensemble" / "1").stat().st_mode & 0o777) == "0o755"
    assert store.models.faults("m", "v1", taken) == []
    kept = version("v1", app="m", manifest=taken.digest)
    (tree(tmp_path) / "ensemble" / "1").rmdir()
    assert [fault.partition("models/")[2] for fault in store.models.faults("m", "v1", taken)] == [
        "m/v1/ensemble/1 is not what was released"
    ]
    assert store.models.restore(kept, taken)
    assert (tree(tmp_path) / "ensemble" / "1").is_dir()
    (model(tmp_path) / "ensemble" / "1").rmdir()
    assert "model/ensemble" in store.read(config, keep=False).files


def test_only_empty_folders_are_no_model(tmp_path: Path, store: Stores, config: Config) -> None:
    for name in ("weights", "words/a", "words/b"):
        (model(tmp_path) / name).unlink()
    with pytest.raises(UsageError, match="is empty"):
        store.read(config, keep=False)


def test_empty_folders_of_the_context_are_not(tmp_path: Path, store: Stores, config: Config) -> None:
    before = store.read(config, keep=False)
    (tmp_path / "app" / "empty").mkdir()
    assert store.read(config, keep=False) == before


def test_what_a_hub_writes_beside_the_weights_is_no_part_of_a_version(
    tmp_path: Path, store: Stores, config: Config
) -> None:
    before = store.read(config, keep=False)
    hub = model(tmp_path) / ".cache" / "huggingface" / "download"
    hub.mkdir(parents=True)
    (hub / "weights.metadata").write_text(str(time.time()))
    (model(tmp_path) / "words" / ".DS_Store").write_text("")
    assert store.read(config, keep=False) == before


@pytest.mark.parametrize(
    ("ignore", "kept"),
    [
        ("[]", {"weights", "words/a", "words/b", ".DS_Store"}),
        ('["words", "!words/b"]', {"weights", "words/b", ".DS_Store"}),
        ('["*", "!**/a"]', {"words/a"}),
        ('["WEIGHTS"]', {"weights", "words/a", "words/b", ".DS_Store"}),
    ],
)
def test_model_ignore(tmp_path: Path, store: Stores, config: Config, ignore: str, kept: set[str]) -> None:
    (model(tmp_path) / ".DS_Store").write_text("")
    own = tmp_path / "app" / "deploy.toml"
    own.write_text(own.read_text() + f"ignore = {ignore}\n")
    changed = load(own)
    assert store.take(changed).below("model/").keys() == kept
    assert changed.run_digest() == config.run_digest(), "no new containers for it"


def test_a_file_that_changes_and_is_ignored(tmp_path: Path, store: Stores, config: Config) -> None:
    own = tmp_path / "app" / "deploy.toml"
    own.write_text(own.read_text() + 'ignore = ["*.log"]\n')
    os.mkfifo(model(tmp_path) / "server.log")
    assert "model/server.log" not in store.read(load(own), keep=False).files


# --- times -------------------------------------------------------------------------------------------------------


def seconds(place: Path) -> int:
    return int(place.stat().st_mtime)


def test_another_content_has_a_later_time(tmp_path: Path, store: Stores, config: Config) -> None:
    began = int(time.time())
    store.take(config, "v1")
    assert seconds(tree(tmp_path) / "weights") >= began
    write(tmp_path, "new")
    store.take(config, "v2")
    assert seconds(tree(tmp_path, "v2") / "weights") > seconds(tree(tmp_path, "v1") / "weights")
    # The content of v1 again: a client that has seen v2 must see a change.
    write(tmp_path, "old")
    taken = store.take(config, "v3")
    assert seconds(tree(tmp_path, "v3") / "weights") > seconds(tree(tmp_path, "v2") / "weights")
    assert (tree(tmp_path, "v3") / "weights").samefile(tree(tmp_path, "v1") / "weights")
    for name in ("v1", "v3"):
        assert store.models.faults("m", name, taken) == []


def test_the_same_content_keeps_its_time(tmp_path: Path, store: Stores, config: Config) -> None:
    store.take(config, "v1")
    before = (tree(tmp_path) / "weights").stat().st_mtime_ns
    store.take(config, "v2")
    assert (tree(tmp_path, "v2") / "weights").stat().st_mtime_ns == before
    assert (tree(tmp_path, "v1") / "weights").stat().st_mtime_ns == before


def test_a_write_into_the_store_is_seen_by_its_time(tmp_path: Path, store: Stores, config: Config) -> None:
    taken = store.take(config)
    place = tree(tmp_path) / "weights"
    place.chmod(0o644)
    place.write_text("bad")
    assert not store.models.restore(version("v1", app="m", manifest=taken.digest), taken)
