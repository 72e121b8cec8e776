"""Manifests: reading sources, the cache of digests, and sources that are refused."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.store import digest as digests
from orchestrator.adapters.store import manifests
from orchestrator.adapters.store.digest import digest
from orchestrator.adapters.store.objects import Objects
from orchestrator.config import Config
from orchestrator.errors import StorageError, UsageError
from tests.fakes.progress import FakeProgress
from tests.unit.stores import Stores, age, content, objects, whole


@pytest.mark.parametrize("inside", ["app", "app/model"])
def test_a_state_folder_among_the_sources_is_refused(tmp_path: Path, config: Config, inside: str) -> None:
    store = Stores(tmp_path / inside / "state")
    (tmp_path / inside / "state").mkdir()
    (tmp_path / inside / "state" / "ledger.db").write_text("")
    with pytest.raises(UsageError, match=r"(build\.context|model\.path) contains the state folder"):
        store.read(config, keep=True)


def test_reading_many_bytes_reports_progress(tmp_path: Path, store: Stores, config: Config) -> None:
    (tmp_path / "app" / "model" / "weights").write_bytes(bytes(2 << 20))
    checks: list[bool] = []
    progress = FakeProgress(lambda: checks.append(True))
    store.manifests.read(config, keep=True, progress=progress)
    assert len(checks) >= 4
    assert progress.details[-1] == "2 MiB of 2 MiB read, 4 of 4 files"


def test_a_large_file_reports_its_bytes(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "_REPORT_INTERVAL", 0.001)
    (tmp_path / "app" / "model" / "weights").write_bytes(bytes(32 << 20))
    progress = FakeProgress()
    store.manifests.read(config, keep=True, progress=progress)
    partly = [text for text in progress.details if re.fullmatch(r"[0-9.]+ MiB of 32 MiB read, 0 of 4 files", text)]
    assert len(partly) > 1


# --- what counts as unchanged ------------------------------------------------------------------------------------


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read."""
    found: list[str] = []

    def reading(source: Path, *rest: Any, **more: Any) -> Any:
        found.append(source.name)
        return digest(source, *rest, **more)

    monkeypatch.setattr("orchestrator.adapters.store.manifests.digest", reading)
    monkeypatch.setattr("orchestrator.adapters.store.objects.digest", reading)
    return found


def test_what_has_not_changed_is_not_read_again(
    tmp_path: Path, store: Stores, config: Config, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    age(monkeypatch)
    first = store.read(config, keep=True)
    assert sorted(reads) == ["Dockerfile", "a", "b", "weights"], "once, though the model is in the context too"
    store.models.keep("m", "v1", first)
    reads.clear()
    assert store.read(config, keep=True) == first
    assert reads == []
    (tmp_path / "app" / "model" / "words" / "a").write_text("new")
    store.read(config, keep=True)
    assert set(reads) == {"a"}


def test_what_is_missing_in_the_store_is_read_again(
    tmp_path: Path, store: Stores, config: Config, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    age(monkeypatch)
    store.read(config, keep=True)
    store.models.collect()
    reads.clear()
    store.take(config)
    assert sorted(reads) == ["a", "b", "weights"]
    assert content(tmp_path) == {"v1": whole("old")}


def test_an_edit_of_the_same_size_at_the_same_time_is_seen(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(monkeypatch)
    weights = tmp_path / "app" / "model" / "weights"
    first = store.read(config, keep=False)
    before = weights.stat()
    weights.write_text("OLD")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = weights.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert store.read(config, keep=False) != first


def test_what_was_written_just_now_is_not_cached(
    tmp_path: Path, store: Stores, config: Config, reads: list[str]
) -> None:
    # An edit in the same tick of the clock would leave the same times.
    store.read(config, keep=False)
    reads.clear()
    store.read(config, keep=False)
    assert "weights" in reads


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 3}', '{"%s": [1, 2]}'])
def test_a_damaged_cache_is_an_empty_one(tmp_path: Path, store: Stores, config: Config, text: str) -> None:
    first = store.read(config, keep=False)
    cache = tmp_path / "store" / "seen" / "m.json"
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(text.replace("%s", str(tmp_path / "app" / "model" / "weights")))
    assert store.read(config, keep=False) == first


# --- what changes meanwhile --------------------------------------------------------------------------------------


def test_a_file_that_changes_during_each_read_stops_the_release(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "app" / "model" / "weights"
    weights.write_bytes(bytes(8 << 20))
    write = digests._write

    def change_and_write(copy: Any, data: memoryview) -> None:
        with weights.open("r+b") as file:
            file.write(os.urandom(64))
        write(copy, data)

    monkeypatch.setattr(digests, "_write", change_and_write)
    with pytest.raises(UsageError, match="weights changes while it is read"):
        store.read(config, keep=True)
    assert list((tmp_path / "store" / "incoming").iterdir()) == []


def test_a_file_that_is_replaced_meanwhile_is_one_of_both(tmp_path: Path, store: Stores, config: Config) -> None:
    weights = tmp_path / "app" / "model" / "weights"
    states = [bytes([n]) * (4 << 20) for n in (1, 2)]
    weights.write_bytes(states[0])
    stop = threading.Event()

    def replace() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            weights.with_suffix(".new").write_bytes(states[number % 2])
            weights.with_suffix(".new").rename(weights)

    (tmp_path / "app" / ".dockerignore").write_text("model\n")
    writer = threading.Thread(target=replace)
    writer.start()
    try:
        for number in range(1, 6):
            try:
                store.take(config, f"v{number}")
            except UsageError:
                continue  # the file changed during three attempts, which is an error
            assert (tmp_path / "models" / "m" / f"v{number}" / "weights").read_bytes() in states
    finally:
        stop.set()
        writer.join()


def test_a_context_that_changes_after_it_was_read_is_named(tmp_path: Path, store: Stores, config: Config) -> None:
    made = store.read(config, keep=True)
    assert store.manifests.changed(config, made) is None
    (tmp_path / "app" / "Dockerfile").write_text("FROM another\n")
    assert store.manifests.changed(config, made) == "Dockerfile"
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    made = store.read(config, keep=True)
    (tmp_path / "app" / "extra").write_text("")
    assert store.manifests.changed(config, made) == "extra"
    (tmp_path / "app" / "extra").unlink()
    (tmp_path / "app" / "Dockerfile").unlink()
    assert store.manifests.changed(config, made) == "Dockerfile"


# --- what cannot be stored ---------------------------------------------------------------------------------------


def test_a_link_into_a_cache_becomes_its_target(tmp_path: Path, store: Stores, config: Config) -> None:
    model = tmp_path / "app" / "model"
    (tmp_path / "blob").write_text("cached")
    (model / "out").symlink_to(tmp_path / "blob")
    (model / "words" / "up").symlink_to("../weights")
    made = store.take(config)
    tree = tmp_path / "models" / "m" / "v1"
    assert not (tree / "out").is_symlink()
    assert (tree / "out").read_text() == "cached"
    assert str((tree / "words" / "up").readlink()) == "../weights"
    assert {path: made.files[f"model/{path}"].kind for path in ("out", "words/up")} == {
        "out": "file",
        "words/up": "link",
    }


def test_a_link_that_leaves_and_comes_back_becomes_a_file(tmp_path: Path, store: Stores, config: Config) -> None:
    (tmp_path / "app" / "model" / "back").symlink_to("../model/weights")
    store.take(config)
    assert not (tmp_path / "models" / "m" / "v1" / "back").is_symlink()


def test_a_folder_that_changes_while_it_is_copied_is_refused(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flush(self: Objects) -> None:
        (tmp_path / "app" / "model" / "words" / "a").write_text("new")

    monkeypatch.setattr(Objects, "flush", flush)
    with pytest.raises(UsageError, match="words/a changed while the folder was copied"):
        store.read(config, keep=True)
    assert objects(tmp_path) == {}


@pytest.mark.parametrize("what", ["pipe", "broken", "folder", "loop"])
def test_what_is_not_a_file_is_refused(tmp_path: Path, store: Stores, config: Config, what: str) -> None:
    place = tmp_path / "app" / "model" / "odd"
    (tmp_path / "app" / ".dockerignore").write_text("model\n")
    if what == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to({"folder": tmp_path, "broken": tmp_path / "nowhere", "loop": tmp_path / "loop"}[what])
        (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="odd"):
        store.read(config, keep=True)


def test_a_pointer_that_git_lfs_did_not_fetch_is_refused(tmp_path: Path, store: Stores, config: Config) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tmp_path / "app" / "model" / "weights").write_text(pointer)
    for _ in range(2):
        with pytest.raises(UsageError, match=r"weights.*a Git LFS pointer") as caught:
            store.read(config, keep=True)
        assert "git lfs pull" in caught.value.hint
    assert objects(tmp_path) == {}


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path, store: Stores, config: Config) -> None:
    Path(os.fsdecode(bytes(tmp_path / "app") + b"/caf\xe9")).write_text("")
    with pytest.raises(UsageError, match="is not UTF-8"):
        store.read(config, keep=False)


def test_a_model_without_a_folder_is_named(tmp_path: Path, store: Stores, config: Config) -> None:
    shutil.rmtree(tmp_path / "app" / "model")
    with pytest.raises(UsageError, match=r"model\.path: .*model is not a folder"):
        store.read(config, keep=True)


def test_an_empty_model_folder_is_refused(tmp_path: Path, store: Stores, config: Config) -> None:
    shutil.rmtree(tmp_path / "app" / "model")
    (tmp_path / "app" / "model").mkdir()
    with pytest.raises(UsageError, match=r"model\.path: .*model is empty"):
        store.read(config, keep=True)


def test_only_new_content_needs_disk_space(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.take(config)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=3))
    (tmp_path / "app" / "model" / "weights").write_text("new")
    (tmp_path / "app" / "model" / "words" / "a").touch()
    store.take(config, "v2")
    assert content(tmp_path)["v2"] == {"weights": "new", "words/a": "old", "words/b": "old"}


def test_what_does_not_fit_is_refused_before_it_is_copied(
    tmp_path: Path, store: Stores, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("weights", "words/a", "words/b")):
        (tmp_path / "app" / "model" / name).write_text(f"ne{number}")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=8))
    with pytest.raises(StorageError, match=r"model\.path: its files cannot be stored") as caught:
        store.read(config, keep=True)
    assert "9 bytes are new, 8 are free" in caught.value.why
    assert objects(tmp_path) == {}


PROGRAM = """
import sys
from pathlib import Path
from orchestrator.adapters.store.manifests import StoreManifests
from orchestrator.adapters.store.model_files import StoreModelFiles
from orchestrator.adapters.store.objects import Objects
from orchestrator.config import load
class Progress:
    def update(self, text): pass
    def check(self): pass
state = Path(sys.argv[1])
objects = Objects(state / "store", state / "models")
manifests = StoreManifests(state, objects, checkouts=state / "checkouts")
manifest = manifests.read(load(state / "app" / "deploy.toml"), keep=True, progress=Progress())
StoreModelFiles(state, objects).keep("m", "v1", manifest)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_memory_does_not_grow_with_the_files(tmp_path: Path, config: Config) -> None:
    for name in ("weights", "words/a"):
        with (tmp_path / "app" / "model" / name).open("wb") as file:
            file.truncate(300 << 20)
    (tmp_path / "app" / ".dockerignore").write_text("model\n")
    done = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150 * 1024, "KiB"
