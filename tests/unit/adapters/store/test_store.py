"""Copies of model folders: whole under their name, or not there, whenever the program dies."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.store import seen
from orchestrator.adapters.store.objects import Objects, digest
from orchestrator.adapters.store.store import ArtifactStore
from orchestrator.config import Config, load
from orchestrator.domain.version.manifest import Manifest
from orchestrator.errors import DeploymentFailed, UsageError
from tests.unit.builders import version


class Crash(BaseException):
    """The process dies here."""


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "app" / "model" / "words").mkdir(parents=True)
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "app" / "deploy.toml").write_text(
        '[app]\nname = "m"\nport = 8080\n[model]\npath = "model"\nmount = "/model"\n'
    )
    write(tmp_path, "old")
    return load(tmp_path / "app" / "deploy.toml")


def write(tmp_path: Path, text: str) -> None:
    for name in ("weights", "words/a", "words/b"):
        (tmp_path / "app" / "model" / name).write_text(text)


def take(store: ArtifactStore, config: Config, version: str = "v1") -> Manifest:
    made = store.manifest(config, keep=True)
    store.snapshot("m", version, made)
    return made


def content(tmp_path: Path) -> dict[str, dict[str, str]]:
    """The files of each copy, those that are not hidden."""
    return {
        copy.name: {str(path.relative_to(copy)): path.read_text() for path in copy.rglob("*") if path.is_file()}
        for copy in (tmp_path / "models" / "m").glob("[!.]*")
    }


def whole(text: str) -> dict[str, str]:
    return dict.fromkeys(("weights", "words/a", "words/b"), text)


def crashes(monkeypatch: pytest.MonkeyPatch, prepare: Callable[[], object], act: Callable[[], object]) -> Iterator[int]:
    """Does `act` again and again, and each time dies at one more change of the disk; yields after each death."""
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
    raise AssertionError("it has no end")


def test_a_copy_is_whole_or_not_there(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in crashes(monkeypatch, lambda: store.drop_snapshot("m", "v1"), lambda: take(store, config)):
        assert content(tmp_path) in ({}, {"v1": whole("old")}), number
        store.tidy("m")
        assert list((tmp_path / "models" / "m").glob(".*")) == []
    assert content(tmp_path) == {"v1": whole("old")}


def test_a_copy_that_is_made_anew_is_the_old_one_the_new_one_or_none(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare() -> None:
        write(tmp_path, "old")
        take(store, config)
        write(tmp_path, "new")

    for number in crashes(monkeypatch, prepare, lambda: take(store, config)):
        assert content(tmp_path) in ({}, {"v1": whole("old")}, {"v1": whole("new")}), number
        store.tidy("m")
        assert list((tmp_path / "models" / "m").glob(".*")) == []
    assert content(tmp_path) == {"v1": whole("new")}


def test_a_copy_that_is_removed_is_never_half_there(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in crashes(monkeypatch, lambda: take(store, config), lambda: store.drop_snapshot("m", "v1")):
        assert content(tmp_path) in ({}, {"v1": whole("old")}), number
        store.tidy("m")
        assert list((tmp_path / "models" / "m").glob(".*")) == []
    assert content(tmp_path) == {}


def test_tidying_takes_what_was_left_of_the_cache(tmp_path: Path, store: ArtifactStore) -> None:
    folder = tmp_path / "store" / "seen"
    folder.mkdir(parents=True)
    for name in ("m.json", "m.json.tmp", "n.json.tmp"):
        (folder / name).write_text("{}")
    store.tidy("m")
    assert sorted(path.name for path in folder.iterdir()) == ["m.json", "n.json.tmp"]


def test_tidying_touches_no_copy_and_no_other_app(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    take(store, config)
    (tmp_path / "models" / "other" / ".v1.tmp").mkdir(parents=True)
    store.tidy("m")
    store.tidy("never seen")
    assert content(tmp_path) == {"v1": whole("old")}
    assert (tmp_path / "models" / "other" / ".v1.tmp").is_dir()


# --- what is kept once -------------------------------------------------------------------------------------------


def objects(tmp_path: Path) -> dict[str, int]:
    """Every stored file by its content, with the number of links to it."""
    return {
        path.read_text(): path.stat().st_nlink for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()
    }


def test_one_object_for_each_content_and_links_for_the_rest(
    tmp_path: Path, store: ArtifactStore, config: Config
) -> None:
    take(store, config)
    (tmp_path / "app" / "model" / "words" / "b").write_text("new")
    take(store, config, "v2")
    assert objects(tmp_path) == {"old": 1 + 3 + 2, "new": 1 + 1}
    trees = tmp_path / "models" / "m"
    assert (trees / "v1" / "weights").samefile(trees / "v2" / "words" / "a")
    assert content(tmp_path)["v2"] == {"weights": "old", "words/a": "old", "words/b": "new"}


def test_what_is_stored_is_read_only_and_hidden_from_others(
    tmp_path: Path, store: ArtifactStore, config: Config
) -> None:
    take(store, config)
    for path in (tmp_path / "store" / "objects").rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o444 if path.is_file() else 0o700), path


def test_an_edit_in_place_changes_nothing_that_is_stored(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    take(store, config)
    with (tmp_path / "app" / "model" / "weights").open("r+") as file:
        file.write("bad")
    assert content(tmp_path) == {"v1": whole("old")}
    assert store.tree_faults("m", "v1", store.manifest(config, keep=False)) == [
        f"{tmp_path / 'models' / 'm' / 'v1' / 'weights'} is not what was released"
    ]


def test_what_no_tree_needs_is_collected_and_nothing_else(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    take(store, config)
    write(tmp_path, "newer")
    take(store, config, "v2")
    assert store.collect() == 0
    store.drop_snapshot("m", "v1")
    assert store.collect() == 3
    assert objects(tmp_path) == {"newer": 4}
    assert content(tmp_path) == {"v2": whole("newer")}


def test_nothing_is_collected_while_another_app_takes_files_in(
    tmp_path: Path, store: ArtifactStore, config: Config
) -> None:
    made = store.manifest(config, keep=True)  # taken in, and in no tree yet
    other = ArtifactStore(tmp_path)
    assert other.collect() == 0
    store.snapshot("m", "v1", made)
    assert content(tmp_path) == {"v1": whole("old")}
    write(tmp_path, "refused")
    store.manifest(config, keep=True)
    assert store.collect() == 7, "what was taken in for nothing"


def test_a_store_with_all_its_files_makes_a_tree_again(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    first = version("v1", app="m", manifest=take(store, config).digest)
    take(store, config, "v2")
    store.drop_snapshot("m", "v1")
    store.restore_snapshot(config, first)
    assert content(tmp_path)["v1"] == whole("old")
    for name in ("v1", "v2"):
        store.drop_snapshot("m", name)
    store.collect()
    with pytest.raises(DeploymentFailed, match="the weights of v1 are gone"):
        store.restore_snapshot(config, first)


def test_a_damaged_object_is_not_taken_again(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    take(store, config)
    damaged = next(path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file())
    damaged.write_text("XXX")
    for name in ("weights", "words/a", "words/b"):
        (tmp_path / "app" / "model" / name).touch()
    take(ArtifactStore(tmp_path), config, "v2")
    assert content(tmp_path)["v2"] == whole("old")


def test_a_damaged_object_is_not_taken_again_for_an_unchanged_file(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read of a file that was seen before: the damage must show all the same."""
    age(monkeypatch)
    take(store, config)
    damaged = next(path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file())
    size = damaged.stat().st_size
    damaged.chmod(0o644)
    damaged.write_bytes(b"X" * size)
    take(ArtifactStore(tmp_path), config, "v2")
    assert content(tmp_path)["v2"] == whole("old")


def test_an_object_that_was_only_touched_is_as_good_as_before(
    tmp_path: Path, store: ArtifactStore, config: Config
) -> None:
    first = version("v1", app="m", manifest=take(store, config).digest)
    objects = [path for path in (tmp_path / "store" / "objects").rglob("*") if path.is_file()]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in objects]
    for path in objects:
        path.touch()
    store.restore_snapshot(config, first)
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in objects] == before


def test_a_kept_version_without_its_tree_keeps_its_files(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    first = version("v1", app="m", manifest=take(store, config).digest)
    shutil.rmtree(tmp_path / "models" / "m" / "v1")
    store.keep(first)
    assert store.collect() == 0
    assert content(tmp_path) == {"v1": whole("old")}


def test_a_tree_with_a_missing_file_is_made_again(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    first = version("v1", app="m", manifest=take(store, config).digest)
    (tmp_path / "models" / "m" / "v1" / "weights").unlink()
    store.restore_snapshot(config, first)
    assert content(tmp_path) == {"v1": whole("old")}


def test_apps_keep_the_same_manifest_side_by_side(tmp_path: Path, config: Config) -> None:
    made = ArtifactStore(tmp_path).manifest(config, keep=True)
    stop = threading.Event()

    def tidy() -> None:
        while not stop.is_set():
            ArtifactStore(tmp_path).tidy("other")

    other = threading.Thread(target=tidy)
    other.start()
    try:
        for _ in range(50):
            ArtifactStore(tmp_path).snapshot("m", "v1", made)
    finally:
        stop.set()
        other.join()


@pytest.mark.parametrize("inside", ["app", "app/model"])
def test_a_state_folder_among_the_sources_is_refused(tmp_path: Path, config: Config, inside: str) -> None:
    store = ArtifactStore(tmp_path / inside / "state")
    (tmp_path / inside / "state").mkdir()
    (tmp_path / inside / "state" / "ledger.db").write_text("")
    with pytest.raises(UsageError, match=r"(build\.context|model\.path): the state folder .* is in there"):
        store.manifest(config, keep=True)


def test_reading_much_is_told(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    (tmp_path / "app" / "model" / "weights").write_bytes(bytes(2 << 20))
    said: list[str] = []
    store.manifest(config, keep=True, progress=said.append)
    assert said == [f"{number} of 4 files read" for number in range(1, 5)]


# --- what counts as unchanged ------------------------------------------------------------------------------------


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were really read."""
    found: list[str] = []

    def reading(source: Path, *rest: Any, **more: Any) -> Any:
        found.append(source.name)
        return digest(source, *rest, **more)

    monkeypatch.setattr("orchestrator.adapters.store.store.digest", reading)
    monkeypatch.setattr("orchestrator.adapters.store.objects.digest", reading)
    return found


def age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits until files are old enough to be remembered: the margin is a tick here."""
    monkeypatch.setattr(seen, "MARGIN", 20_000_000)
    time.sleep(0.05)


def test_what_has_not_changed_is_not_read_again(
    tmp_path: Path, store: ArtifactStore, config: Config, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    age(monkeypatch)
    first = store.manifest(config, keep=True)
    assert sorted(reads) == ["Dockerfile", "a", "b", "weights"], "once, though the model is in the context too"
    store.snapshot("m", "v1", first)
    reads.clear()
    assert store.manifest(config, keep=True) == first
    assert reads == []
    (tmp_path / "app" / "model" / "words" / "a").write_text("new")
    store.manifest(config, keep=True)
    assert set(reads) == {"a"}


def test_what_is_gone_from_the_store_is_read_again(
    tmp_path: Path, store: ArtifactStore, config: Config, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    age(monkeypatch)
    store.manifest(config, keep=True)
    store.collect()
    reads.clear()
    take(store, config)
    assert sorted(reads) == ["a", "b", "weights"]
    assert content(tmp_path) == {"v1": whole("old")}


def test_an_edit_of_the_same_size_at_the_same_time_is_seen(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(monkeypatch)
    weights = tmp_path / "app" / "model" / "weights"
    first = store.manifest(config, keep=False)
    before = weights.stat()
    weights.write_text("OLD")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = weights.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert store.manifest(config, keep=False) != first


def test_what_was_written_a_moment_ago_is_not_remembered(
    tmp_path: Path, store: ArtifactStore, config: Config, reads: list[str]
) -> None:
    # An edit in the same tick of the clock would leave the same times.
    store.manifest(config, keep=False)
    reads.clear()
    store.manifest(config, keep=False)
    assert "weights" in reads


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 3}', '{"%s": [1, 2]}'])
def test_a_damaged_cache_is_an_empty_one(tmp_path: Path, store: ArtifactStore, config: Config, text: str) -> None:
    first = store.manifest(config, keep=False)
    cache = tmp_path / "store" / "seen" / "m.json"
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(text.replace("%s", str(tmp_path / "app" / "model" / "weights")))
    assert store.manifest(config, keep=False) == first


# --- what changes meanwhile --------------------------------------------------------------------------------------


def test_a_file_that_changes_all_the_time_stops_the_release(
    tmp_path: Path, store: ArtifactStore, config: Config
) -> None:
    weights = tmp_path / "app" / "model" / "weights"
    weights.write_bytes(bytes(8 << 20))
    stop = threading.Event()

    def scribble() -> None:
        with weights.open("r+b", buffering=0) as file:
            while not stop.is_set():
                file.seek(0)
                file.write(os.urandom(64))

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        with pytest.raises(UsageError, match="weights changes while it is read"):
            store.manifest(config, keep=True)
    finally:
        stop.set()
        writer.join()
    assert list((tmp_path / "store" / "incoming").iterdir()) == []


def test_what_is_replaced_meanwhile_is_one_of_both_whole(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
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
                take(store, config, f"v{number}")
            except UsageError:
                continue  # the writer was faster three times: the release says so
            assert (tmp_path / "models" / "m" / f"v{number}" / "weights").read_bytes() in states
    finally:
        stop.set()
        writer.join()


def test_a_context_that_changes_after_it_was_read_is_named(
    tmp_path: Path, store: ArtifactStore, config: Config
) -> None:
    made = store.manifest(config, keep=True)
    assert store.changed(config, made) is None
    (tmp_path / "app" / "Dockerfile").write_text("FROM another\n")
    assert store.changed(config, made) == "Dockerfile"
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    made = store.manifest(config, keep=True)
    (tmp_path / "app" / "extra").write_text("")
    assert store.changed(config, made) == "extra"
    (tmp_path / "app" / "extra").unlink()
    (tmp_path / "app" / "Dockerfile").unlink()
    assert store.changed(config, made) == "Dockerfile"


# --- what cannot be kept -----------------------------------------------------------------------------------------


def test_a_link_into_a_cache_becomes_what_it_leads_to(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    model = tmp_path / "app" / "model"
    (tmp_path / "blob").write_text("cached")
    (model / "out").symlink_to(tmp_path / "blob")
    (model / "words" / "up").symlink_to("../weights")
    made = take(store, config)
    tree = tmp_path / "models" / "m" / "v1"
    assert not (tree / "out").is_symlink()
    assert (tree / "out").read_text() == "cached"
    assert str((tree / "words" / "up").readlink()) == "../weights"
    assert {path: made.files[f"model/{path}"].kind for path in ("out", "words/up")} == {
        "out": "file",
        "words/up": "link",
    }


def test_a_link_that_leaves_and_comes_back_becomes_a_file(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    (tmp_path / "app" / "model" / "back").symlink_to("../model/weights")
    take(store, config)
    assert not (tmp_path / "models" / "m" / "v1" / "back").is_symlink()


def test_a_folder_that_changes_while_it_is_taken_is_no_version(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flush(self: Objects) -> None:
        (tmp_path / "app" / "model" / "words" / "a").write_text("new")

    monkeypatch.setattr(Objects, "flush", flush)
    with pytest.raises(UsageError, match="words/a changed while the folder was taken"):
        store.manifest(config, keep=True)
    assert objects(tmp_path) == {}


@pytest.mark.parametrize("what", ["pipe", "broken", "folder", "loop"])
def test_what_is_no_file_is_refused(tmp_path: Path, store: ArtifactStore, config: Config, what: str) -> None:
    place = tmp_path / "app" / "model" / "odd"
    (tmp_path / "app" / ".dockerignore").write_text("model\n")
    if what == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to({"folder": tmp_path, "broken": tmp_path / "nowhere", "loop": tmp_path / "loop"}[what])
        (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="odd"):
        store.manifest(config, keep=True)


def test_a_pointer_that_git_lfs_did_not_fetch_is_refused(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (tmp_path / "app" / "model" / "weights").write_text(pointer)
    for _ in range(2):
        with pytest.raises(UsageError, match=r"weights.*only a pointer of Git LFS") as caught:
            store.manifest(config, keep=True)
        assert "git lfs pull" in caught.value.hint
    assert objects(tmp_path) == {}


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    Path(os.fsdecode(bytes(tmp_path / "app") + b"/caf\xe9")).write_text("")
    with pytest.raises(UsageError, match="is not UTF-8"):
        store.manifest(config, keep=False)


def test_a_model_without_a_folder_is_named(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    shutil.rmtree(tmp_path / "app" / "model")
    with pytest.raises(UsageError, match=r"model\.path: .*model is no folder"):
        store.manifest(config, keep=True)


def test_an_empty_folder_is_no_model(tmp_path: Path, store: ArtifactStore, config: Config) -> None:
    shutil.rmtree(tmp_path / "app" / "model")
    (tmp_path / "app" / "model").mkdir()
    with pytest.raises(UsageError, match=r"model\.path: .*model is empty"):
        store.manifest(config, keep=True)


def test_what_is_not_new_needs_no_room(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(store, config)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=3))
    (tmp_path / "app" / "model" / "weights").write_text("new")
    (tmp_path / "app" / "model" / "words" / "a").touch()
    take(store, config, "v2")
    assert content(tmp_path)["v2"] == {"weights": "new", "words/a": "old", "words/b": "old"}


def test_what_does_not_fit_is_refused_before_it_is_copied(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("weights", "words/a", "words/b")):
        (tmp_path / "app" / "model" / name).write_text(f"ne{number}")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=8))
    with pytest.raises(UsageError, match=r"model\.path: its files cannot be kept") as caught:
        store.manifest(config, keep=True)
    assert "9 bytes are new, 8 are free" in caught.value.why
    assert objects(tmp_path) == {}


def test_more_links_than_the_file_system_counts_become_copies(
    tmp_path: Path, store: ArtifactStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.manifest(config, keep=True)

    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EMLINK, "Too many links", str(target))

    monkeypatch.setattr(os, "link", link)
    store.snapshot("m", "v1", made)
    assert content(tmp_path) == {"v1": whole("old")}
    assert store.tree_faults("m", "v1", made) == []


def test_memory_does_not_grow_with_the_files(tmp_path: Path, config: Config) -> None:
    for name in ("weights", "words/a"):
        with (tmp_path / "app" / "model" / name).open("wb") as file:
            file.truncate(300 << 20)
    (tmp_path / "app" / ".dockerignore").write_text("model\n")
    program = (
        "import sys; from pathlib import Path; from orchestrator.adapters.store.store import ArtifactStore;"
        " from orchestrator.config import load; store = ArtifactStore(Path(sys.argv[1]));"
        " config = load(Path(sys.argv[1], 'app', 'deploy.toml'));"
        " store.snapshot('m', 'v1', store.manifest(config, keep=True));"
        " print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150 * 1024, "KiB"
