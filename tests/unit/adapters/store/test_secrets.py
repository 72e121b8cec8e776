"""run.secrets: the configuration, the sources, the copies, and that no output contains a value."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import stat
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.adapters.store.secrets import SecretStore
from orchestrator.config import Config, json_schema, load, parse
from orchestrator.config.secrets import LARGEST, exposed_secrets, read_secrets, wrong_secrets
from orchestrator.domain.record import labels as record
from orchestrator.errors import ConfigError, DeploymentFailed, SecretUnavailable, StorageError, UsageError
from orchestrator.release.observe import observe
from orchestrator.release.preparation import PreparedRelease, prepare_release
from orchestrator.release.rebuild import rebuild_ledger
from orchestrator.supply.source import Source
from tests.fakes.world import APP, Crash, World
from tests.unit.builders import version

HEAD = '[app]\nname = "mymodel"\nport = 8080\n'


def toml(secrets: str, more: str = "") -> str:
    return f"{HEAD}[run]\nsecrets = {secrets}\n{more}"


def parsed(secrets: str, more: str = "") -> Config:
    return parse(toml(secrets, more), file="deploy.toml", base=Path("/srv/mymodel"))


def findings(secrets: str, more: str = "") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parsed(secrets, more)
    return [str(found) for found in caught.value.findings]


# --- the file ------------------------------------------------------------------------------------------------------


def test_what_the_file_says() -> None:
    config = parsed('{ hf_token = "env:HF_TOKEN", "db.txt" = "file:secrets/db.txt", "-a" = "file:/x y:z" }')
    assert config.run.secrets == {"hf_token": "env:HF_TOKEN", "db.txt": "file:secrets/db.txt", "-a": "file:/x y:z"}
    assert Config.from_snapshot(json.loads(json.dumps(config.snapshot()))) == config
    assert parsed("{}").run.secrets == {}


def test_a_configuration_that_was_stored_before_there_were_secrets() -> None:
    stored = parsed("{}").snapshot()
    del stored["run"]["secrets"]
    assert Config.from_snapshot(stored).run.secrets == {}


SOURCE = 'expected "env:NAME" or "file:PATH": where the value is, not the value'


@pytest.mark.parametrize(
    ("secrets", "path", "words"),
    [
        ('{ hf_token = "hunter2" }', "run.secrets.hf_token", SOURCE),
        ('{ hf_token = "http://hunter2" }', "run.secrets.hf_token", SOURCE),
        ('{ hf_token = "ENV:hunter2" }', "run.secrets.hf_token", SOURCE),
        ('{ hf_token = "" }', "run.secrets.hf_token", SOURCE),
        ('{ hf_token = "env:" }', "run.secrets.hf_token", "expected a variable of letters"),
        ('{ hf_token = "env:hunter2-x" }', "run.secrets.hf_token", "expected a variable of letters"),
        ('{ hf_token = "env:HF_TOKEN\\n" }', "run.secrets.hf_token", "expected a variable of letters"),
        ('{ hf_token = "file:" }', "run.secrets.hf_token", "must not be empty"),
        ('{ hf_token = "file:  " }', "run.secrets.hf_token", "must not be empty"),
        ('{ hf_token = "file:hunter2\\n" }', "run.secrets.hf_token", "must be one line"),
        ('{ hf_token = "file:hunter2\\u0000" }', "run.secrets.hf_token", "must not contain control characters"),
        ('{ hf_token = ["hunter2"] }', "run.secrets.hf_token", "expected text, got a list"),
        ("{ hf_token = 2222222 }", "run.secrets.hf_token", "expected text, got a number"),
        ('"hunter2"', "run.secrets", "expected a table, got text"),
        ('{ ".hidden" = "env:A" }', 'run.secrets.".hidden"', "expected a file name of letters"),
        ('{ "a/b" = "env:A" }', 'run.secrets."a/b"', "expected a file name of letters"),
        ('{ ".." = "env:A" }', 'run.secrets.".."', "expected a file name of letters"),
        ('{ "" = "env:A" }', 'run.secrets.""', "expected a file name of letters"),
        (f'{{ {"a" * 129} = "env:A" }}', f'run.secrets."{"a" * 59}\\u2026"', "expected a file name of letters"),
    ],
)
def test_every_mistake_is_explained_and_quotes_no_value(secrets: str, path: str, words: str) -> None:
    [found] = findings(secrets)
    assert found.startswith(f"{path}: {words}")
    assert "hunter2" not in found
    assert "222" not in found


@pytest.mark.parametrize("target", ["/run/secrets", "/run/secrets/db", "/var/run/secrets", "/run/./secrets/"])
def test_nothing_else_is_mounted_there(target: str) -> None:
    [found] = findings('{ a = "env:A" }', f'volumes = ["/srv:{target}"]')
    assert "is taken by run.secrets (mount it somewhere else)" in found
    assert found.startswith("run.volumes[0]: ")
    [found] = findings('{ a = "env:A" }', f'[model]\npath = "m"\nmount = "{target}"')
    assert found.startswith("model.mount: ")
    # Without secrets it is a folder like any other; and so are its neighbours.
    parsed("{}", f'volumes = ["/srv:{target}"]')
    parsed('{ a = "env:A" }', 'volumes = ["/a:/run", "/b:/run/secrets2"]')


def test_the_schema_tells_what_may_stand_there() -> None:
    found = json_schema()["$defs"]["Run"]["properties"]["secrets"]["patternProperties"]
    [(names, values)] = found.items()
    for name, good in (("hf_token", True), ("db.txt", True), (".a", False), ("a/b", False), ("", False)):
        assert bool(re.search(names, name)) is good, name
    for value, good in (("env:A", True), ("file:a b", True), ("env:1", False), ("file: ", False), ("hunter2", False)):
        assert bool(re.search(values["pattern"], value)) is good, value


# --- the sources ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a deploy.toml, with a build context beside the secrets."""
    found = tmp_path / "app"
    (found / "src").mkdir(parents=True)
    (found / "src" / "Dockerfile").write_text("FROM scratch\n")
    (found / "secrets").mkdir()
    return found


def written(
    folder: Path, secrets: str = '{ db = "file:secrets/db", token = "env:SECRET_TOKEN" }', more: str = ""
) -> Config:
    (folder / "deploy.toml").write_text(toml(secrets, more + '[build]\ncontext = "src"\n'))
    return load(folder / "deploy.toml")


def test_values_are_read_byte_for_byte(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "secrets" / "db").write_bytes(b"\xff\x00\r\nline\n")
    monkeypatch.setenv("SECRET_TOKEN", "ü\udcff =\n")
    values = {"db": b"\xff\x00\r\nline\n", "token": "ü".encode() + b"\xff =\n"}
    assert read_secrets(written(folder)) == (values, {})
    assert wrong_secrets(written(folder)) == ([], [])


def broken_sources(folder: Path) -> dict[str, str]:
    """Files that cannot be used, and the reasons."""
    place = folder / "secrets"
    (place / "folder").mkdir()
    os.mkfifo(place / "pipe")
    (place / "loop").symlink_to("loop")
    (place / "empty").touch()
    (place / "large").write_bytes(b"x" * (LARGEST + 1))
    return {
        "missing": f"there is no file {place}/missing",
        "folder": f"{place}/folder is a folder",
        "pipe": f"{place}/pipe is not a regular file",
        "loop": f"{place}/loop cannot be read: Too many levels of symbolic links",
        "empty": f"{place}/empty is empty",
        "large": f"{place}/large is larger than 1 MiB",
        "x" * 300: f"{place}/{'x' * 300} cannot be read: File name too long",
        "../../../../dev/zero": "/dev/zero is not a regular file",
    }


def test_every_reason_that_a_source_cannot_be_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Reading a pipe would block, and /dev/zero has no end.
    reasons = {name: why for name, why in broken_sources(folder).items() if "dev" not in name}
    for name, why in reasons.items():
        config = written(folder, f'{{ a = "file:secrets/{name}" }}')
        assert read_secrets(config) == ({}, {"a": why})
        assert [str(found) for found in wrong_secrets(config)[0]] == [f"run.secrets.a: {why}"]
    assert read_secrets(written(folder, '{ a = "file:/dev/zero" }'))[1] == {"a": "/dev/zero is not a regular file"}
    config = written(folder, '{ a = "env:SECRET_TOKEN" }')
    name = b"SECRET_TOKEN"
    for there, why in (({}, "not set"), ({name: b""}, "empty"), ({name: b"x" * (LARGEST + 1)}, "larger than 1 MiB")):
        monkeypatch.setattr(os, "environb", there)  # the kernel takes no variable that large
        [found] = wrong_secrets(config)[1]
        assert str(found) == f"run.secrets.a: the variable SECRET_TOKEN is {why}"
    (folder / "secrets" / "full").write_bytes(b"x" * LARGEST)
    assert read_secrets(written(folder, '{ a = "file:secrets/full" }'))[1] == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / "secrets" / "db").write_text("hunter2")
    (folder / "secrets" / "db").chmod(0)
    assert "cannot be read: Permission denied" in read_secrets(written(folder))[1]["db"]


def test_a_secret_in_the_build_context_is_refused(folder: Path) -> None:
    source = folder / "src" / "keys" / "db"
    source.parent.mkdir()
    source.write_text("hunter2hunter2")
    (folder / "secrets" / "link").symlink_to(source)
    for path in ("src/keys/db", "secrets/link", "secrets/../src/keys/db"):
        config = written(folder, f'{{ db = "file:{path}" }}')
        [found] = exposed_secrets(config)
        assert found.path == "run.secrets.db"
        assert "is in the build context, and would become part of the image" in found.message
        assert found.hint == "add keys/db to .dockerignore, or keep it somewhere else"
        with pytest.raises(UsageError, match=r"a secret file is part of the build: run\.secrets\.db"):
            SecretStore(folder / "state").check(config)
    ignore = folder / "src" / ".dockerignore"
    for text, safe in (("keys\n", True), ("#keys\n", False), ("keys/*\n!keys/db\n", False), ("**/db\n", True)):
        ignore.write_text(text)
        assert (exposed_secrets(config) == []) is safe, text
    # Where there is a file beside the Dockerfile, builds go by it alone.
    own = folder / "src" / "Dockerfile.dockerignore"
    own.write_text("other\n")
    [found] = exposed_secrets(config)
    assert found.hint == "add keys/db to Dockerfile.dockerignore, or keep it somewhere else"
    own.write_text("keys\n")
    assert exposed_secrets(config) == []
    ignore.unlink()
    assert exposed_secrets(config) == []
    # A link in the context is sent as a link: its target is not.
    outside = folder / "secrets" / "db"
    outside.write_text("hunter2hunter2")
    (folder / "src" / "outside").symlink_to(outside)
    assert exposed_secrets(written(folder, '{ db = "file:src/outside" }')) == []


def test_a_secret_in_the_model_folder_is_refused(folder: Path) -> None:
    (folder / "weights").mkdir()
    (folder / "weights" / "db").write_text("hunter2hunter2")
    config = written(folder, '{ db = "file:weights/db" }', '[model]\npath = "weights"\n')
    [found] = exposed_secrets(config)
    assert "is in the model folder, which every version copies" in found.message
    # A link that leads out of the folder is followed when the model is copied.
    (folder / "weights" / "link").symlink_to(folder / "secrets" / "db")
    (folder / "secrets" / "db").write_text("hunter2hunter2")
    assert len(exposed_secrets(written(folder, '{ db = "file:weights/link" }', '[model]\npath = "weights"\n'))) == 1


# --- the copies ----------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path / "state" / "secrets")


@pytest.fixture
def config(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    (tmp_path / "state").mkdir()
    (folder / "secrets" / "db").write_bytes(b"old\n\xff")
    monkeypatch.setenv("SECRET_TOKEN", "token 1")
    return written(folder)


def copies(tmp_path: Path) -> dict[str, dict[str, bytes]]:
    """The files of each copy, by its place."""
    root = tmp_path / "state" / "secrets" / APP
    found: dict[str, dict[str, bytes]] = {}
    for copy in root.glob("*/[!.]*"):
        found[str(copy.relative_to(root))] = {path.name: path.read_bytes() for path in copy.iterdir()}
    return found


def left_over(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "state").rglob("*") if ".tmp" in path.name]


OLD = {"db": b"old\n\xff", "token": b"token 1"}
NEW = {"db": b"new", "token": b"token 1"}


def rotate(folder: Path) -> None:
    (folder / "secrets" / "db").write_bytes(b"new")


def test_only_the_owner_gets_at_a_copy_and_every_user_of_a_container(
    tmp_path: Path, store: SecretStore, config: Config
) -> None:
    before = os.umask(0o077)
    try:
        store.store(config, "v1", 7, order=("source",))
    finally:
        os.umask(before)
    assert copies(tmp_path) == {"v1/7": OLD}
    root = tmp_path / "state" / "secrets"
    modes = {str(path.relative_to(root.parent)): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert modes == {
        f"secrets/{APP}": 0o700,
        f"secrets/{APP}/v1": 0o700,
        f"secrets/{APP}/v1/7": 0o755,
        f"secrets/{APP}/v1/7/db": 0o444,
        f"secrets/{APP}/v1/7/token": 0o444,
    }
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    # Somebody opened it meanwhile.
    root.chmod(0o755)
    store.store(config, "v1", 8, order=("source",))
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_names_that_are_anothers_temporary_name(tmp_path: Path, store: SecretStore, folder: Path) -> None:
    (tmp_path / "state").mkdir()
    names = ["a", "a.tmp", "a.tmp.tmp", "db"]
    for name in names:
        (folder / "secrets" / name).write_text(name)
    config = written(folder, "{ " + ", ".join(f'"{name}" = "file:secrets/{name}"' for name in reversed(names)) + " }")
    for _ in range(2):
        store.store(config, "v1", 1, order=("source",))
        assert copies(tmp_path) == {"v1/1": {name: name.encode() for name in names}}
        (folder / "secrets" / "db").write_text("db")


def test_without_secrets_there_is_nothing(tmp_path: Path, store: SecretStore, folder: Path) -> None:
    config = written(folder, "{}")
    store.check(config)
    store.store(config, "v1", 1, order=("source",))
    assert not store.changed(config, "v1", 1)
    store.drop(APP, "v1", 1)
    store.tidy(APP)
    assert store.kept(APP) == {}
    assert store.mask(APP, "text") == "text"
    assert not (tmp_path / "state").exists()


def test_where_a_value_comes_from(
    tmp_path: Path, store: SecretStore, config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.store(config, "v1", 1, order=("source",))
    assert not store.changed(config, "v1", 1)
    rotate(folder)
    assert store.changed(config, "v1", 1)
    assert store.changed(config, "v1", 2)
    # A new deployment has the rotated value, and the one before keeps what it had.
    store.store(config, "v1", 2, order=("source", "copy"))
    assert copies(tmp_path) == {"v1/1": OLD, "v1/2": NEW}
    # A copy that is there is as it should be, when it comes first.
    store.store(config, "v1", 1, order=("copy", "source"))
    assert copies(tmp_path)["v1/1"] == OLD
    # Each value by itself: one source is gone, the other is not.
    monkeypatch.delenv("SECRET_TOKEN")
    (folder / "secrets" / "db").write_bytes(b"newer")
    store.check(config, "v1")
    store.store(config, "v1", 3, order=("source", "copy"))
    assert copies(tmp_path)["v1/3"] == {"db": b"newer", "token": b"token 1"}
    assert store.kept(APP) == {"v1": (1, 2, 3)}


def test_a_copy_that_lost_a_file_gets_it_back(tmp_path: Path, store: SecretStore, config: Config, folder: Path) -> None:
    store.store(config, "v1", 1, order=("source",))
    place = tmp_path / "state" / "secrets" / APP / "v1" / "1"
    inode = place.stat().st_ino
    (place / "db").unlink()
    (place / "stranger").touch()
    rotate(folder)
    store.store(config, "v1", 1, order=("copy", "source"))
    assert copies(tmp_path) == {"v1/1": NEW}
    assert place.stat().st_ino == inode, "a container's mount is of this folder"


def test_what_is_nowhere_is_named_with_its_source(
    tmp_path: Path, store: SecretStore, config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_TOKEN")
    with pytest.raises(SecretUnavailable) as caught:
        store.check(config)
    assert str(caught.value) == (
        "secret token is not available: run.secrets.token: the variable SECRET_TOKEN is not set"
    )
    (folder / "secrets" / "db").unlink()
    with pytest.raises(SecretUnavailable) as caught:
        store.check(config, "v1")
    assert str(caught.value) == (
        f"2 secrets are not available: run.secrets.db: there is no file {folder}/secrets/db, and no copy of it is kept"
        " with v1; run.secrets.token: the variable SECRET_TOKEN is not set, and no copy of it is kept with v1"
    )
    assert caught.value.hint
    with pytest.raises(SecretUnavailable, match="2 secrets are not available"):
        store.store(config, "v1", 1, order=("source", "copy"))
    assert copies(tmp_path) == {}
    # Another version's copy is not this one's.
    (folder / "secrets" / "db").write_text("db")
    monkeypatch.setenv("SECRET_TOKEN", "1")
    store.store(config, "v2", 1, order=("source",))
    monkeypatch.delenv("SECRET_TOKEN")
    with pytest.raises(SecretUnavailable, match="SECRET_TOKEN is not set"):
        store.check(config, "v1")
    store.check(config, "v2")
    # A release goes by the sources alone.
    with pytest.raises(SecretUnavailable, match="SECRET_TOKEN is not set"):
        store.check(config)
    with pytest.raises(SecretUnavailable, match="SECRET_TOKEN is not set"):
        store.store(config, "v2", 2, order=("source",))


def test_dropping_and_tidying(tmp_path: Path, store: SecretStore, config: Config) -> None:
    for deployment in (9, 10):
        store.store(config, "v1", deployment, order=("source",))
    assert store.kept(APP) == {"v1": (9, 10)}
    for name in (".11.tmp", ".9.old.tmp"):
        (tmp_path / "state" / "secrets" / APP / "v1" / name).mkdir()
    (tmp_path / "state" / "secrets" / "other" / "v1" / ".1.tmp").mkdir(parents=True)
    store.tidy(APP)
    assert copies(tmp_path) == {"v1/9": OLD, "v1/10": OLD}
    assert [path.name for path in left_over(tmp_path)] == [".1.tmp"]
    store.drop(APP, "v1", 9)
    store.drop(APP, "v1", 9)
    assert copies(tmp_path) == {"v1/10": OLD}
    store.drop(APP, "v1", 10)
    store.tidy("other")
    assert list((tmp_path / "state").iterdir()) == []


CHANGES = ("mkdir", "chmod", "rename", "replace", "unlink", "rmdir", "write", "fsync")


def crashes(monkeypatch: pytest.MonkeyPatch, prepare: Callable[[], object], act: Callable[[], object]) -> Iterator[int]:
    """Runs `act` repeatedly, and each time crashes it one change of the disk later; yields after each crash."""
    for number in range(200):
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

            for name in CHANGES:
                patch.setattr(os, name, dying(getattr(os, name)))
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


def test_a_new_copy_is_whole_or_not_there(
    tmp_path: Path, store: SecretStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare() -> None:
        shutil.rmtree(tmp_path / "state" / "secrets", ignore_errors=True)

    deaths = 0
    for number in crashes(monkeypatch, prepare, lambda: store.store(config, "v1", 1, order=("source",))):
        assert copies(tmp_path) in ({}, {"v1/1": OLD}), number
        store.tidy(APP)
        assert left_over(tmp_path) == []
        store.store(config, "v1", 1, order=("source",))
        assert copies(tmp_path) == {"v1/1": OLD}
        deaths += 1
    assert deaths > 12
    assert copies(tmp_path) == {"v1/1": OLD}


def test_a_copy_that_is_replaced_has_only_complete_files(
    tmp_path: Path, store: SecretStore, config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare() -> None:
        shutil.rmtree(tmp_path / "state" / "secrets", ignore_errors=True)
        (folder / "secrets" / "db").write_bytes(b"old\n\xff")
        store.store(config, "v1", 1, order=("source",))
        rotate(folder)

    for number in crashes(monkeypatch, prepare, lambda: store.store(config, "v1", 1, order=("source", "copy"))):
        assert copies(tmp_path) in ({"v1/1": OLD}, {"v1/1": NEW}), number
        store.tidy(APP)
        assert left_over(tmp_path) == []
        store.store(config, "v1", 1, order=("source", "copy"))
        assert copies(tmp_path) == {"v1/1": NEW}


def test_a_copy_that_is_removed_is_complete_or_not_there(
    tmp_path: Path, store: SecretStore, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare() -> None:
        store.store(config, "v1", 1, order=("source",))

    for number in crashes(monkeypatch, prepare, lambda: store.drop(APP, "v1", 1)):
        assert copies(tmp_path) in ({}, {"v1/1": OLD}), number
        store.tidy(APP)
        assert left_over(tmp_path) == []
    assert not (tmp_path / "state" / "secrets").exists()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_changes_nothing_and_tells_no_value(
    tmp_path: Path, store: SecretStore, config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.store(config, "v1", 1, order=("source",))
    (folder / "secrets" / "db").write_bytes(b"hunter2 " * 1000)
    told = []
    with files_of_at_most(4000), pytest.raises(StorageError) as caught:
        store.store(config, "v1", 2, order=("source",))
    told.append(caught.value)

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("write", "fsync", "mkdir", "rename"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(StorageError) as caught:
                store.store(config, "v1", 2, order=("source",))
        told.append(caught.value)
    for error in told:
        assert error.message == "the secrets of v1 cannot be stored in the state folder"
        assert error.why in ("File too large", "No space left on device")
        assert error.hint == "check that the disk is not full"
        assert "hunter2" not in "".join(traceback.format_exception(error))
    assert copies(tmp_path) == {"v1/1": OLD}
    assert left_over(tmp_path) == []


def test_what_a_log_says_of_a_secret_is_masked(
    tmp_path: Path, store: SecretStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir()
    (folder / "secrets" / "db").write_bytes(b"-- BEGIN --\nhunter2hunter2\n  \xff indented line\n")
    monkeypatch.setenv("SECRET_TOKEN", "short")
    store.store(written(folder), "v1", 1, order=("source",))
    text = "short: password=hunter2hunter2;\n\ufffd indented line -- BEGIN --"
    assert store.mask(APP, text) == "short: password=***;\n*** ***"
    assert store.mask("other", text) == text


# --- no value anywhere ---------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(min_size=8, max_size=60) | st.text(min_size=8, max_size=30).map(lambda text: text.encode()),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=8, max_size=30),
)
def test_no_output_contains_a_value(tmp_path_factory: pytest.TempPathFactory, content: bytes, variable: str) -> None:
    place = tmp_path_factory.mktemp("app")
    (place / "src").mkdir()
    # Hypothesis knows the words of this program, and an "interval" is told in many places.
    content, variable = content[:4] + b"qX9#" + content[4:], variable[:4] + "qX9#" + variable[4:]
    (place / "db").write_bytes(content)
    os.environ["SECRET_TOKEN"] = variable
    try:
        config = written(place, '{ db = "file:db", token = "env:SECRET_TOKEN" }')
        store = SecretStore(place / "secrets")
        told = [repr(config), str(config), json.dumps(config.snapshot()), config.model_dump_json()]
        told += [record.write(version("v1"), config.snapshot()), config.run_digest()]
        digest = config.run_digest()
        store.store(config, "v1", 1, order=("source",))
        assert copies_of(place) == {"db": content, "token": os.fsencode(variable)}
        told += [str(path) for path in place.rglob("*")]
        with files_of_at_most(4), pytest.raises(StorageError) as full:
            store.store(config, "v1", 2, order=("source",))
        (place / "db").unlink()
        del os.environ["SECRET_TOKEN"]
        with pytest.raises(SecretUnavailable) as missing:
            store.check(config)
        with pytest.raises(ConfigError) as mistaken:
            parsed('{ db = "x" }')
        for error in (full.value, missing.value, mistaken.value):
            told += ["".join(traceback.format_exception(error)), error.hint, error.details, repr(error)]
        # The digest says what containers are started with; that it does not depend on the values is the point.
        (place / "db").write_bytes(b"another one")
        assert config.run_digest() == digest
    finally:
        os.environ.pop("SECRET_TOKEN", None)
    everything = "\n".join(told)
    for value in (content, os.fsencode(variable)):
        assert value not in everything.encode(errors="surrogateescape")
        assert value.decode(errors="replace") not in everything


def copies_of(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (place / "secrets" / APP / "v1" / "1").iterdir()}


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=8, max_size=40).filter(lambda text: not text.startswith(("env:", "file:"))))
def test_a_value_in_the_file_by_mistake_is_not_shown(value: str) -> None:
    def escape(character: str) -> str:
        plain = character.isalnum() and character.isascii()
        return character if plain else f"\\U{ord(character):08x}"

    value = value[:4] + "qX9#" + value[4:]
    for text in (value, f"env:{value}-"):
        written = "".join(map(escape, text))
        with pytest.raises(ConfigError) as caught:
            parsed(f'{{ db = "{written}" }}')
        told = "".join(traceback.format_exception(caught.value)) + caught.value.details
        assert value not in told
        assert written not in told


# --- releases and rollbacks ----------------------------------------------------------------------------------------


@pytest.fixture
def world(worlds: Callable[[], World]) -> World:
    found = worlds()
    found.secrets = 'token = "file:token"'
    (found.folder / ".dockerignore").write_text("token\n")
    (found.folder / "token").write_text("the old one")
    return found


def tokens(world: World) -> dict[str, str]:
    """The content of /run/secrets/token in each container, by version and deployment."""
    root = world.folder / "secrets" / APP
    return {
        f"{c.version} {c.slot}": (root / c.version / str(c.deployment) / "token").read_text()
        for c in world.workloads.containers(APP)
    }


def prepared_release(world: World, name: str) -> PreparedRelease:
    services, config = world.process(), world.config()
    return prepare_release(services, Source(config, config), name, observe(services, APP))


def test_a_release_of_the_live_version_with_another_value_starts_it_anew(world: World) -> None:
    world.release("v1")
    assert world.release("v1").deployment is None
    (world.folder / "token").write_text("the new one")
    assert prepared_release(world, "v1").choice.action == "reuse"
    assert world.release("v1").deployment is not None
    assert tokens(world) == {"v1 green": "the new one"}
    assert world.kept_secrets() == {"v1": (2,)}
    assert world.release("v1").deployment is None


def test_a_failed_one_leaves_the_value_of_what_serves(world: World) -> None:
    world.release("v1")
    (world.folder / "token").write_text("a wrong one")
    world.prober.unready.add("v1")
    with pytest.raises(DeploymentFailed):
        world.release("v1")
    assert tokens(world) == {"v1 blue": "the old one"}
    assert world.kept_secrets() == {"v1": (1,)}


def test_a_release_needs_its_sources_and_says_so_before_anything_happens(world: World) -> None:
    world.release("v1")
    before = world.facts()
    (world.folder / "token").unlink()
    for name in ("v1", "v2"):
        with pytest.raises(SecretUnavailable, match=r"run\.secrets\.token: there is no file"):
            world.release(name)
        with pytest.raises(SecretUnavailable, match=r"run\.secrets\.token: there is no file"):
            prepared_release(world, name)
    assert world.facts() == before
    assert len(world.ledger.deployments(APP)) == 1
    # Everything else goes on.
    assert not world.recover().anything
    assert world.watch().good


def remove_containers(world: World, name: str) -> None:
    for container in world.workloads.containers(APP):
        if container.version == name:
            world.workloads.remove(container)


def test_a_rollback_takes_what_was_rotated_and_else_the_copy(world: World) -> None:
    world.release("v1")
    world.release("v2")
    remove_containers(world, "v1")
    (world.folder / "token").write_text("the new one")
    world.rollback()
    assert tokens(world)["v1 blue"] == "the new one"
    assert tokens(world)["v2 green"] == "the old one"
    assert world.kept_secrets() == {"v1": (3,), "v2": (2,)}
    world.release("v3")
    remove_containers(world, "v1")
    (world.folder / "token").unlink()
    world.rollback("v1")
    assert tokens(world)["v1 blue"] == "the new one"


def test_a_rollback_to_kept_containers_needs_no_source(world: World) -> None:
    world.keep_warm = "0s"
    world.release("v1")
    world.release("v2")
    (world.folder / "token").unlink()
    assert world.rollback().version == "v1"
    assert tokens(world)["v1 blue"] == "the old one"


def test_a_rollback_without_source_and_copy_changes_nothing(world: World) -> None:
    world.release("v1")
    world.release("v2")
    remove_containers(world, "v1")
    (world.folder / "token").unlink()
    shutil.rmtree(world.folder / "secrets" / APP / "v1")
    before = world.recover() and world.facts()
    with pytest.raises(SecretUnavailable, match=r"there is no file .*, and no copy of it is kept with v1"):
        world.rollback()
    assert world.facts() == before
    assert len(world.ledger.deployments(APP)) == 2


def test_healing_gives_a_replica_what_the_others_have(world: World) -> None:
    world.replicas = 2
    world.release("v1")
    (world.folder / "token").write_text("the new one")
    world.workloads.remove(world.workloads.containers(APP)[0])
    assert world.recover().anything
    assert set(tokens(world).values()) == {"the old one"}
    # So the next release still finds that they have not what they should have.
    assert world.release("v1").deployment is not None
    assert set(tokens(world).values()) == {"the new one"}
    # With none left, what was rotated wins; without a source, the copy is good enough.
    (world.folder / "token").write_text("a newer one")
    remove_containers(world, "v1")
    world.recover()
    assert set(tokens(world).values()) == {"a newer one"}
    (world.folder / "token").unlink()
    remove_containers(world, "v1")
    world.recover()
    assert set(tokens(world).values()) == {"a newer one"}
    # A copy that somebody removed is written again before a container is started that needs it.
    (world.folder / "token").write_text("the newest")
    for container in world.workloads.containers(APP):
        world.workloads.stop(container)
    shutil.rmtree(world.folder / "secrets")
    assert world.recover().failed == []
    assert set(tokens(world).values()) == {"the newest"}


def test_healing_without_source_and_copy_says_what_is_missing(world: World) -> None:
    world.release("v1")
    remove_containers(world, "v1")
    (world.folder / "token").unlink()
    shutil.rmtree(world.folder / "secrets")
    [failed] = world.recover().failed
    assert "run.secrets.token: there is no file" in failed
    assert "and no copy of it is kept with v1" in failed
    passed = world.watch()
    assert not passed.good
    assert any("run.secrets.token" in problem for problem in passed.problems)


def test_copies_go_with_their_versions_and_never_before_their_containers(world: World) -> None:
    world.versions = 2
    for number in range(1, 5):
        world.release(f"v{number}")
    assert sorted(world.kept_secrets()) == ["v3", "v4"]
    assert {container.version for container in world.workloads.containers(APP)} <= {"v3", "v4"}
    remove_containers(world, "v3")
    world.recover()
    assert sorted(world.kept_secrets()) == ["v3", "v4"], "a rollback to v3 may need it"


def test_a_version_that_never_was_live_leaves_no_copy(world: World) -> None:
    world.prober.unready.add("v1")
    with pytest.raises(DeploymentFailed):
        world.release("v1")
    assert world.kept_secrets() == {}
    assert not (world.folder / "secrets").exists()
    world.engine.broken_builds.add("v2")
    with pytest.raises(DeploymentFailed):
        world.release("v2")
    assert not (world.folder / "secrets").exists()


def test_what_a_failing_model_says_of_its_secret_is_neither_shown_nor_recorded(world: World) -> None:
    (world.folder / "token").write_text("gives up")  # the fake container says so
    world.prober.unready.add("v1")
    with pytest.raises(DeploymentFailed) as caught:
        world.release("v1")
    assert "says hello" in caught.value.details
    assert "gives up" not in caught.value.details
    log = [step.detail["log"] for step in world.ledger.steps(1) if "log" in step.detail]
    assert "***" in log[0]
    assert "gives up" not in log[0]


def test_a_lost_ledger_comes_back_without_the_values(world: World) -> None:
    world.release("v1")
    world.release("v2")
    kept = world.kept_secrets()
    world.services.ledger.close()
    for path in world.folder.glob("ledger.db*"):
        path.unlink()
    assert rebuild_ledger(world.process()) == [APP]
    world.recover()
    assert world.kept_secrets() == kept
    assert Config.from_snapshot(world.ledger.settings(APP, "v2")).run.secrets == {"token": "file:token"}
    (world.folder / "token").unlink()
    remove_containers(world, "v1")
    world.rollback()
    assert tokens(world)["v1 blue"] == "the old one"


def test_a_secret_that_a_commit_has_is_seen_in_its_checkout(tmp_path: Path, store: SecretStore) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "Dockerfile").write_text("FROM scratch\n")
    (here / "password").write_text("hunter2hunter2")
    (here / ".dockerignore").write_text("password\n")  # today; the commit did not have it
    now, then = (parse(toml('{ db = "file:password" }'), file="deploy.toml", base=folder) for folder in (here, there))
    store.check(now, building=then)
    (there / "password").write_text("hunter1hunter1")
    with pytest.raises(UsageError, match="a secret file is part of the build") as caught:
        store.check(now, building=then)
    assert "hunter" not in str(caught.value) + caught.value.hint
