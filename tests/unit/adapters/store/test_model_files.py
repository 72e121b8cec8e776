"""Model files of versions: complete or missing, whenever the program ends."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import Config
from orchestrator.errors import StorageError
from orchestrator.supply.model_files import protect, restore
from tests.fakes.world import Crash
from tests.unit.builders import version
from tests.unit.stores import Stores, age, content, objects, whole, write


def crashes(monkeypatch: pytest.MonkeyPatch, prepare: Callable[[], object], act: Callable[[], object]) -> Iterator[int]:
    """Runs `act` repeatedly, and each time crashes it one change of the disk later; yields after each crash."""
    for number in range(100):
        prepare()
        count = 0
        with monkeypatch.context() as patch:

            def dying(real: Callable[..., Any], number: int = number) -> Callable[..., Any]:
                def call(*arguments: Any, **options: Any) -> Any:
                    nonlocal count
                    count += 1
                    if count > number:
                        raise Crash
                    return real(*arguments, **options)

                return call

            for place, name in (*((os, name) for name in ("mkdir", "rename", "replace", "link", "unlink", "rmdir")),):
                patch.setattr(place, name, dying(getattr(place, name)))
            try:
                act()
                died = False
            except Crash:
                died = True
        if died:
            yield number
            continue
        assert number > 2
        return
    raise AssertionError("it does not end")


def test_a_copy_is_complete_or_not_there(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in crashes(monkeypatch, lambda: store.models.drop("m", "v1"), lambda: store.take(config)):
        assert content(tmp_path) in ({}, {"v1": whole("old")}), number
        store.models.tidy("m")
        assert list((tmp_path / "models" / "m").glob(".*")) == []
    assert content(tmp_path) == {"v1": whole("old")}


def test_a_copy_that_is_replaced_is_the_old_one_the_new_one_or_none(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare() -> None:
        write(tmp_path, "old")
        store.take(config)
        write(tmp_path, "new")

    for number in crashes(monkeypatch, prepare, lambda: store.take(config)):
        assert content(tmp_path) in ({}, {"v1": whole("old")}, {"v1": whole("new")}), number
        store.models.tidy("m")
        assert list((tmp_path / "models" / "m").glob(".*")) == []
    assert content(tmp_path) == {"v1": whole("new")}


def test_a_copy_that_is_removed_is_complete_or_not_there(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in crashes(monkeypatch, lambda: store.take(config), lambda: store.models.drop("m", "v1")):
        assert content(tmp_path) in ({}, {"v1": whole("old")}), number
        store.models.tidy("m")
        assert list((tmp_path / "models" / "m").glob(".*")) == []
    assert content(tmp_path) == {}


def test_tidy_removes_the_temporary_file_of_the_cache(tmp_path: Path, store: Stores) -> None:
    folder = tmp_path / "store" / "seen"
    folder.mkdir(parents=True)
    other = ".n.json.0123456789abcdef.tmp"
    for name in ("m.json", ".m.json.0123456789abcdef.tmp", other):
        (folder / name).write_text("{}")
    store.models.tidy("m")
    assert sorted(path.name for path in folder.iterdir()) == [other, "m.json"]


def test_tidy_changes_no_copy_and_no_other_app(tmp_path: Path, store: Stores, config: Config) -> None:
    store.take(config)
    (tmp_path / "models" / "other" / ".v1.tmp").mkdir(parents=True)
    store.models.tidy("m")
    store.models.tidy("never seen")
    assert content(tmp_path) == {"v1": whole("old")}
    assert (tmp_path / "models" / "other" / ".v1.tmp").is_dir()


# --- what is kept once -------------------------------------------------------------------------------------------


def test_one_object_for_each_content_and_links_for_the_rest(tmp_path: Path, store: Stores, config: Config) -> None:
    store.take(config)
    (tmp_path / "app" / "model" / "words" / "b").write_text("new")
    store.take(config, "v2")
    assert objects(tmp_path) == {"old": 1 + 3 + 2, "new": 1 + 1}
    trees = tmp_path / "models" / "m"
    assert (trees / "v1" / "weights").samefile(trees / "v2" / "words" / "a")
    assert content(tmp_path)["v2"] == {"weights": "old", "words/a": "old", "words/b": "new"}


def test_what_is_stored_is_read_only_and_hidden_from_others(tmp_path: Path, store: Stores, config: Config) -> None:
    store.take(config)
    for path in (tmp_path / "store" / "objects").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o444 if path.is_file() else 0o700), path


def test_an_edit_in_place_changes_nothing_that_is_stored(tmp_path: Path, store: Stores, config: Config) -> None:
    store.take(config)
    with (tmp_path / "app" / "model" / "weights").open("r+") as file:
        file.write("bad")
    assert content(tmp_path) == {"v1": whole("old")}
    assert store.models.faults("m", "v1", store.read(config, keep=False)) == [
        f"{tmp_path / 'models' / 'm' / 'v1' / 'weights'} is not what was released"
    ]


def test_collect_removes_only_what_no_version_needs(tmp_path: Path, store: Stores, config: Config) -> None:
    store.take(config)
    write(tmp_path, "newer")
    store.take(config, "v2")
    assert store.models.collect() == 0
    store.models.drop("m", "v1")
    assert store.models.collect() == 3
    assert objects(tmp_path) == {"newer": 4}
    assert content(tmp_path) == {"v2": whole("newer")}


def test_nothing_is_collected_while_another_app_adds_files(tmp_path: Path, store: Stores, config: Config) -> None:
    made = store.read(config, keep=True)  # stored, and part of no version yet
    other = Stores(tmp_path)
    assert other.models.collect() == 0
    store.models.keep("m", "v1", made)
    assert content(tmp_path) == {"v1": whole("old")}
    write(tmp_path, "refused")
    store.read(config, keep=True)
    assert store.models.collect() == 7, "what was stored and not kept"


def test_a_folder_is_restored_from_the_store(tmp_path: Path, store: Stores, config: Config) -> None:
    first = version("v1", app="m", manifest=store.take(config).digest)
    store.take(config, "v2")
    store.models.drop("m", "v1")
    restore(store, config, first, store.progress)
    assert content(tmp_path)["v1"] == whole("old")
    for name in ("v1", "v2"):
        store.models.drop("m", name)
    store.models.collect()
    with pytest.raises(StorageError, match="the model files of v1 are not available"):
        restore(store, config, first, store.progress)


def test_a_damaged_object_is_replaced(tmp_path: Path, store: Stores, config: Config) -> None:
    store.take(config)
    damaged = next(path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file())
    damaged.write_text("XXX")
    for name in ("weights", "words/a", "words/b"):
        (tmp_path / "app" / "model" / name).touch()
    Stores(tmp_path).take(config, "v2")
    assert content(tmp_path)["v2"] == whole("old")


def test_a_damaged_object_is_replaced_for_an_unchanged_file(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unchanged file is not read, but the damage must be detected."""
    age(monkeypatch)
    store.take(config)
    damaged = next(path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file())
    size = damaged.stat().st_size
    damaged.chmod(0o644)
    damaged.write_bytes(b"X" * size)
    Stores(tmp_path).take(config, "v2")
    assert content(tmp_path)["v2"] == whole("old")


def test_an_object_with_a_new_time_and_the_old_content_is_kept(tmp_path: Path, store: Stores, config: Config) -> None:
    first = version("v1", app="m", manifest=store.take(config).digest)
    objects = [path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()]
    # The fraction of a second says that the content is known.
    before = [(path.stat().st_ino, path.stat().st_mtime_ns % 10**9) for path in objects]
    for path in objects:
        path.touch()
    restore(store, config, first, store.progress)
    assert [(path.stat().st_ino, path.stat().st_mtime_ns % 10**9) for path in objects] == before


def test_a_kept_version_without_its_folder_keeps_its_files(tmp_path: Path, store: Stores, config: Config) -> None:
    first = version("v1", app="m", manifest=store.take(config).digest)
    shutil.rmtree(tmp_path / "models" / "m" / "v1")
    protect(store, first)
    assert store.models.collect() == 0
    assert content(tmp_path) == {"v1": whole("old")}


def test_a_folder_with_a_missing_file_is_restored(tmp_path: Path, store: Stores, config: Config) -> None:
    first = version("v1", app="m", manifest=store.take(config).digest)
    (tmp_path / "models" / "m" / "v1" / "weights").unlink()
    restore(store, config, first, store.progress)
    assert content(tmp_path) == {"v1": whole("old")}


def test_apps_store_the_same_manifest_at_the_same_time(tmp_path: Path, config: Config) -> None:
    made = Stores(tmp_path).read(config, keep=True)
    stop = threading.Event()

    def tidy() -> None:
        while not stop.is_set():
            Stores(tmp_path).models.tidy("other")

    other = threading.Thread(target=tidy)
    other.start()
    try:
        for _ in range(50):
            Stores(tmp_path).models.keep("m", "v1", made)
    finally:
        stop.set()
        other.join()


def test_links_beyond_the_limit_of_the_file_system_become_copies(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.read(config, keep=True)

    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EMLINK, "Too many links", str(target))

    monkeypatch.setattr(os, "link", link)
    store.models.keep("m", "v1", made)
    assert content(tmp_path) == {"v1": whole("old")}
    assert store.models.faults("m", "v1", made) == []
