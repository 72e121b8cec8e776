"""What of a build context no builder gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.config import Config, ignore_patterns, load
from orchestrator.config.context import entries
from orchestrator.config.ignoring import withheld
from orchestrator.config.secrets import exposed_secrets
from orchestrator.errors import UsageError


def app(folder: Path, more: str = "", ignore: str | None = None) -> Config:
    """An app with a file in each of its folders."""
    for name in ("model", "data", "src", "src/.git", ".git", "odd [x]"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "file").write_text("text")
    for name in (".env", "urls", "Dockerfile"):
        (folder / name).write_text("")
    (folder / "deploy.toml").write_text(f'[app]\nname = "m"\nport = 8080\n{more}')
    if ignore is not None:
        (folder / ".dockerignore").write_text(ignore)
    return load(folder / "deploy.toml")


def sent(config: Config) -> set[str]:
    found = entries(config.context_dir, ignore_patterns(config), config.build.dockerfile)
    return {entry.path for entry in found if not entry.is_folder}


EVERYTHING = {"model/file", "data/file", "src/file", "odd [x]/file", ".env", "urls", "Dockerfile"}


def test_what_is_never_sent(tmp_path: Path) -> None:
    assert sent(app(tmp_path)) == EVERYTHING
    assert sent(app(tmp_path, ignore="*\n!src\n!**/.git\n!deploy.toml\n")) == {"src/file", "Dockerfile"}


@pytest.mark.parametrize(
    ("more", "left_out"),
    [
        ('[model]\npath = "model"\n', "model/file"),
        ('[model]\npath = "odd [x]"\n', "odd [x]/file"),
        ('[run]\nvolumes = ["./data:/data"]\n', "data/file"),
        ('[run]\nvolumes = ["./data/file:/data:ro"]\n', "data/file"),
        ('[run]\nvolumes = ["data:/data"]\n', None),
        ('[run]\nvolumes = ["./:/all"]\n', None),
        ('[model]\npath = "../model"\n', None),
    ],
)
@pytest.mark.parametrize("ignore", [None, "!model\n!data/file\n!**/file\n"])
def test_what_deploy_toml_names(tmp_path: Path, more: str, left_out: str | None, ignore: str | None) -> None:
    (tmp_path / "model").mkdir()
    config = app(tmp_path / "app", more, ignore)
    expected = EVERYTHING | ({".dockerignore"} if ignore else set())
    assert sent(config) == expected - {left_out}


def test_a_model_folder_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "weights").symlink_to("model")
    config = app(tmp_path, '[model]\npath = "weights"\n')
    assert sent(config) == EVERYTHING - {"model/file"}, "neither the folder nor the link"


def test_the_file_of_our_own_output(tmp_path: Path) -> None:
    app(tmp_path)
    code = (
        "import sys; from pathlib import Path; from orchestrator.config import load;"
        " from orchestrator.config.ignoring import withheld; print(*withheld(load(Path(sys.argv[1]))), file=sys.stderr)"
    )
    with (tmp_path / "src" / "a log").open("w") as log:
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "deploy.toml"],
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
    assert done.stderr.split("\n")[0] == "deploy.toml src/a log"


def test_the_paths_of_a_context_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    config = app(tmp_path / "real", '[model]\npath = "model"\n[build]\ncontext = "../link"\n')
    assert withheld(config) == {"deploy.toml": "deploy.toml", "model": "model.path"}


@pytest.mark.parametrize(
    ("more", "key", "name"),
    [
        ('[run]\nenv_file = ".env"\n', "run.env_file", ".env"),
        ('[notify]\nurls_file = "urls"\n', "notify.urls_file", "urls"),
        ('[run]\nsecrets = { db = "file:src/file" }\n', "run.secrets.db", "src/file"),
    ],
)
def test_files_with_passwords_are_refused(tmp_path: Path, more: str, key: str, name: str) -> None:
    [found] = exposed_secrets(app(tmp_path, more))
    assert (found.path, found.message) == (
        key,
        f"{tmp_path / name} is in the build context, and would become part of the image",
    )
    assert found.hint == f"add {name} to .dockerignore, or keep it somewhere else"
    assert exposed_secrets(app(tmp_path, more, ignore=f"{name}\n")) == []
    assert exposed_secrets(app(tmp_path, more, ignore=f"{name.upper()}\n")) != []
    assert exposed_secrets(app(tmp_path, more, ignore=f"*\n!**/{Path(name).name}\n")) != []


@pytest.mark.parametrize(("data", "why"), [(b"a\n[b\n", "bracket"), ("größe\n".encode("latin-1"), "UTF-8")])
def test_an_invalid_ignore_file(tmp_path: Path, data: bytes, why: str) -> None:
    config = app(tmp_path)
    (tmp_path / ".dockerignore").write_bytes(data)
    with pytest.raises(UsageError, match=r"\.dockerignore: the pattern .* is invalid") as caught:
        ignore_patterns(config)
    assert why in caught.value.why


def test_an_unreadable_folder_that_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = app(tmp_path, ignore="data\n!**/kept\n")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith(("data/", "src/")):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refusing)
    with pytest.raises(PermissionError, match="src"):
        sent(config)
    (tmp_path / ".dockerignore").write_text("data\nsrc\n!**/kept\n")
    assert "data/file" not in sent(config)


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_not_ignored_silently(tmp_path: Path, kind: str) -> None:
    """Without its patterns, files that must not be in an image would get there."""
    config, place = app(tmp_path), tmp_path / ".dockerignore"
    os.mkfifo(place) if kind == "pipe" else place.mkdir()
    with pytest.raises(
        UsageError, match=r"\.dockerignore cannot be read: (not a regular file|Is a directory)"
    ) as caught:
        ignore_patterns(config)
    assert "remove it" in caught.value.hint
