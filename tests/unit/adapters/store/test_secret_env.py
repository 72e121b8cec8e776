"""run.secret_env and build.secrets: the configuration, the sources, and the file that a shell reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.adapters.store.secrets import SecretStore
from orchestrator.config import Config, load, parse
from orchestrator.config.secrets import ENVIRONMENT, LARGEST_VARIABLE, build_secrets, exposed_secrets, wrong_secrets
from orchestrator.errors import ConfigError, SecretUnavailable, UsageError
from orchestrator.release.workloads import workload_spec
from tests.fakes.world import World
from tests.unit.builders import version

HEAD = '[app]\nname = "mymodel"\nport = 8080\n'


def parsed(text: str, base: Path = Path("/srv/mymodel")) -> Config:
    return parse(HEAD + text, file="deploy.toml", base=base)


def findings(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    return [str(found) for found in caught.value.findings]


def test_what_contradicts_it(tmp_path: Path) -> None:
    assert findings('[run]\nsecret_env = { A = "hunter2" }')[0].startswith("run.secret_env.A: expected")
    assert findings('[run]\nsecret_env = { "a.b" = "env:A" }')[0].startswith('run.secret_env."a.b": expected letters')
    assert findings('[run]\nsecret_env = { A = "env:A" }\nenv = { A = "x" }') == [
        "run.secret_env.A: is also in run.env, which docker inspect shows (remove one)"
    ]
    [found] = findings('[run]\nsecret_env = { A = "env:A" }\nvolumes = ["/x:/run/secrets"]')
    assert found.startswith("run.volumes[0]: /run/secrets is taken by run.secret_env")
    assert findings('[build]\nbuilder = "classic"\nsecrets = { a = "env:A" }') == [
        'build.secrets: needs BuildKit (set build.builder = "auto" or "buildkit")'
    ]
    (tmp_path / "a.env").write_text("A=hunter2\n")
    (tmp_path / "deploy.toml").write_text(HEAD + '[run]\nsecret_env = { A = "env:A" }\nenv_file = "a.env"\n')
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "deploy.toml")
    [finding] = caught.value.findings
    assert str(finding) == "run.secret_env.A: is also in run.env_file, which docker inspect shows (remove one)"


VALUES = ["plain", 'it\'s "$HOME" `id` \\ %s', "two\nlines\n\n", "ü\u202e", " spaces ", "-n", "'", "\\'"]


def test_a_shell_sets_the_very_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, value in enumerate(VALUES):
        monkeypatch.setenv(f"SOURCE_{number}", value)
    names = ", ".join(f'A{number} = "env:SOURCE_{number}"' for number in range(len(VALUES)))
    config = parsed(f'[run]\nsecret_env = {{ {names} }}\nsecrets = {{ a = "env:SOURCE_0" }}\n')
    store = SecretStore(tmp_path)
    store.check(config)
    store.store(config, "v1", 1, order=("source",))
    copy = store.folder("mymodel", "v1", 1)
    command = ["sh", "-c", '. "$0" && exec "$@"', str(copy / ENVIRONMENT), "env", "-0"]
    done = subprocess.run(command, capture_output=True, check=True)
    seen = dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)
    assert [seen[f"A{number}"] for number in range(len(VALUES))] == VALUES
    assert (copy / "a").read_text() == "plain"
    assert not store.changed(config, "v1", 1)
    monkeypatch.setenv("SOURCE_1", "rotated")
    assert store.changed(config, "v1", 1)
    # The file that the shell reads is renewed with the values; what is up to date is not written again.
    store.store(config, "v1", 1, order=("source",))
    assert b"export A1='rotated'\n" in (copy / ENVIRONMENT).read_bytes()
    (copy / ENVIRONMENT).write_text("stale")
    store.store(config, "v1", 1, order=("source",))
    assert b"rotated" in (copy / ENVIRONMENT).read_bytes()
    assert store.mask("mymodel", "a rotated b's `id` \\ %s spaces") == "a rotated b's `id` \\ %s spaces"
    monkeypatch.setenv("SOURCE_1", "rotated-token's")
    store.store(config, "v1", 1, order=("source",))
    assert store.mask("mymodel", "it is rotated-token's.") == "it is ***."


def test_a_rollback_has_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = parsed('[run]\nsecret_env = { A = "env:SOURCE" }\n')
    store = SecretStore(tmp_path)
    monkeypatch.setenv("SOURCE", "value")
    store.store(config, "v1", 1, order=("source",))
    monkeypatch.delenv("SOURCE")
    with pytest.raises(SecretUnavailable, match="secret A is not available") as caught:
        store.check(config)
    assert caught.value.why == "run.secret_env.A: the variable SOURCE is not set"
    store.check(config, "v1")
    store.store(config, "v1", 2, order=("source", "copy"))
    assert (store.folder("mymodel", "v1", 2) / ENVIRONMENT).read_bytes() == b"export A='value'\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"token\n", "token"),
        (b"token\r\n", "token"),
        (b"token\n\n", "token\n"),
        (b"token", "token"),
        (b"\n", "its value is empty"),
        (b"a\0b", "its value contains a NUL character"),
        (b"x" * (LARGEST_VARIABLE + 1), "its value is too large for an environment variable"),
    ],
)
def test_a_file_as_the_source(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "token").write_bytes(content)
    config = parsed('[run]\nsecret_env = { A = "file:token" }\n[build]\ncontext = "src"', tmp_path)
    store = SecretStore(tmp_path / "store")
    if expected.startswith("its"):
        with pytest.raises(SecretUnavailable) as caught:
            store.store(config, "v1", 1, order=("source",))
        assert caught.value.why.startswith(f"run.secret_env.A: {expected}")
        assert not (tmp_path / "store").exists()
    else:
        store.store(config, "v1", 1, order=("source",))
        assert (store.folder("mymodel", "v1", 1) / ".env.A").read_text() == expected


def test_files_that_would_be_in_the_image_are_named_with_their_keys(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2")
    config = parsed(
        '[run]\nsecret_env = { A = "file:token" }\nsecrets = { b = "file:token" }\n'
        '[build]\nsecrets = { c = "file:token" }',
        tmp_path,
    )
    keys = ["run.secret_env.A", "run.secrets.b", "build.secrets.c"]
    assert [found.path for found in exposed_secrets(config)] == keys
    with pytest.raises(UsageError, match="a secret file is part of the build"):
        SecretStore(tmp_path / "store").check(config)
    config = parsed('[build]\ncontext = "src"\nsecrets = { c = "file:gone", d = "env:NOT_SET_HERE" }', tmp_path)
    wrong, unset = wrong_secrets(config)
    assert [found.path for found in wrong] == ["build.secrets.c"]
    assert [str(found) for found in unset] == ["build.secrets.d: the variable NOT_SET_HERE is not set"]


def test_the_values_for_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_bytes(b"a\0\n")
    config = parsed('[build]\ncontext = "src"\nsecrets = { a = "file:token", "b.c" = "env:SOURCE" }', tmp_path)
    with pytest.raises(SecretUnavailable, match=r"secret b\.c is not available") as caught:
        build_secrets(config)
    assert caught.value.why == "build.secrets.b.c: the variable SOURCE is not set"
    monkeypatch.setenv("SOURCE", "x\n")
    assert build_secrets(config) == {"a": b"a\0\n", "b.c": b"x\n"}
    spec = config.build_spec("v1", {})
    assert spec.secrets == {"a": b"a\0\n", "b.c": b"x\n"}
    assert "\\x00" not in repr(spec)


def test_containers_read_the_file_only_when_there_are_variables(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    try:
        for text, expected in (
            ('[run]\nsecret_env = { A = "env:A" }', "/run/secrets/.environment"),
            ('[run]\nsecrets = { A = "env:A" }', None),
            ("", None),
        ):
            spec = workload_spec(world.services, parsed(text), version("v1"), "blue", 1, 1)
            assert spec.environment_file == expected
            assert [mount.target for mount in spec.mounts] == (["/run/secrets"] if text else [])
    finally:
        world.close()
