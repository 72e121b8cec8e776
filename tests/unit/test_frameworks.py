"""docs/frameworks.md shows what tests/frameworks deploys, and each deploy.toml there is valid."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from orchestrator.config import load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "frameworks.md").read_text()
FOLDERS = sorted(path.parent for path in (ROOT / "tests" / "frameworks").glob("*/deploy.toml"))
each_folder = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@each_folder
def test_the_page_shows_the_file_that_is_tested(folder: Path) -> None:
    assert f"```toml\n{(folder / 'deploy.toml').read_text()}```\n" in PAGE
    assert f"](../tests/frameworks/{folder.name})" in PAGE


def test_the_page_shows_no_other_file() -> None:
    assert len(re.findall(r"^\[app\]$", PAGE, flags=re.MULTILINE)) == len(FOLDERS) > 0


@each_folder
def test_the_file_is_valid(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "app")
    # make_model.py writes it.
    (copy / "model").mkdir()
    assert load(copy / "deploy.toml").app.name == folder.name


@each_folder
def test_every_package_has_one_version(folder: Path) -> None:
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"(#.*|[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*)", line)] == []


@each_folder
def test_the_page_names_the_version_that_is_tested(folder: Path) -> None:
    lines = (folder / "requirements.txt").read_text().splitlines()
    package = {"llama-cpp": "xllamacpp"}.get(folder.name, folder.name)
    (version,) = [line.partition("==")[2] for line in lines if line.startswith(f"{package}==")]
    assert re.search(
        rf"(?i)^\| [^|]*{package} {re.escape(version)} \|", PAGE.replace("ONNX Runtime", "onnxruntime"), re.M
    )
