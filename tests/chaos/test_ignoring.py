"""What is in a build: the patterns of ignore files, compared with BuildKit on generated trees and patterns."""

from __future__ import annotations

import json
import random
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from orchestrator.config.context import entries
from orchestrator.domain.version.ignoring import BadPattern, Ignoring, read, write
from tests.chaos import FULL
from tests.engine.test_builds import buildx

__all__ = ["buildx"]

# Each batch is one tree, and as many ignore files.
BATCHES, FILES = (200, 50) if FULL else (6, 50)
NAMES = [
    *("a", "b", "A", "ab", "a.py", "b.PY", ".x", "x^y", "a b", "a+b", "[a]", "a[1", "*", "a*b", "!a", "#a", "a-b"),
    *("é", "a\u0085", "\u2028a", " a", "ä.py", "b$", "(b)", "a|b", "{a}", "a,b", "\\a", "a\\", "Dockerfile", "1", "_"),
]
PIECES = [
    *("*", "**", "?", "[ab]", "[^a]", "[!a]", "[a-c]", "[^a-b]*", "[*]", "[?a]", "*[ab]*", "[", "a]", "\\", "[\\]]"),
    *("a", "b", "A", "ab", "a.py", "*.py", "*.*", "**a", "a**", ".", "..", "\\a", "\\*", "\\[a]", "\\#a", "x^y"),
    *("^", "a+b", "?b", "*b", "?.py", ".x", "!a", "#a", "{a}", "(b)", "a|b", "a-b", "a,b", "b$", "1", " a", "a\\ b"),
]
ENDS = ["\n"] * 12 + ["\r\n", " \n", "\t\n", "\u0085\n", "\u2028\n", "/\n", "\u3000\n"]


def tree(folder: Path, chance: random.Random) -> None:
    """Files in folders up to four levels deep."""
    for _ in range(40):
        parts = [chance.choice(NAMES) for _ in range(chance.choice((1, 1, 2, 2, 3, 4)))]
        place = folder.joinpath(*parts)
        try:
            if chance.random() < 0.08:
                place.mkdir(parents=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text("")
        except OSError:
            continue  # a file is where a folder is needed, or the other way round


def ignore_file(folder: Path, chance: random.Random) -> bytes:
    """One to six lines; half of them name something in the tree."""
    # Old engines accept no other patterns: the header of the request for the context has them.
    present = [name for path in folder.rglob("*") if (name := path.relative_to(folder).as_posix()).isascii()]
    lines = []
    for _ in range(chance.randint(1, 6)):
        parts = chance.choice(present).split("/")[: chance.randint(1, 3)]
        if chance.random() < 0.6:
            parts[chance.randrange(len(parts))] = chance.choice(PIECES)
        if chance.random() < 0.4:
            parts.insert(chance.choice((0, len(parts))), chance.choice(PIECES))
        begin = chance.choice(("", "", "", "", "!", "!", "!", "/", "! ", "!/", " ", "./", "#", "!!"))
        lines.append(begin + "/".join(parts) + chance.choice(ENDS))
    first = chance.choice(("*\n", "**\n", "\ufeff", "", "", "", "", ""))
    return (first + "".join(lines)).encode()


def ours(folder: Path, data: bytes) -> set[str] | None:
    """The files and folders that we say BuildKit gets; None when we refuse the ignore file."""
    try:
        return {entry.path for entry in entries(folder, read(data), "no Dockerfile")}
    except BadPattern:
        return None


def buildkit(context: Path, dockerfiles: list[Path], out: Path) -> list[set[str] | None]:
    """What BuildKit sends with the ignore file beside each Dockerfile; None when it refuses that."""
    targets = {}
    for number, dockerfile in enumerate(dockerfiles):
        # A name of its own for each, as in the product: BuildKit keeps what it received from contexts of a name, and
        # takes a file of the same size and time for the same file, an ignore file as well.
        name = out / f"context-{secrets.token_hex(8)}"
        name.symlink_to(context)
        targets[f"t{number}"] = {
            "context": str(name),
            "dockerfile": str(dockerfile),
            "output": [f"type=local,dest={out / str(number)}"],
        }
    file = out / "bake.json"
    file.write_text(json.dumps({"group": {"default": {"targets": list(targets)}}, "target": targets}))
    done = subprocess.run(
        ["docker", "buildx", "bake", "--progress=plain", "-f", file], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 and len(dockerfiles) > 1:
        # One that is refused stops the others: divide them.
        half = len(dockerfiles) // 2
        found = []
        for number, part in enumerate((dockerfiles[:half], dockerfiles[half:])):
            below = out / f"half{number}"
            below.mkdir()
            found += buildkit(context, part, below)
        return found
    if done.returncode != 0:
        assert "pattern" in done.stderr, done.stderr
        return [None]
    return [
        {path.relative_to(out / str(number)).as_posix() for path in (out / str(number)).rglob("*")}
        for number in range(len(dockerfiles))
    ]


def again(out: Path) -> Path:
    """An empty folder for one more build."""
    return Path(tempfile.mkdtemp(dir=out))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_buildkit_gets_what_the_manifest_lists(batch: int, tmp_path: Path, buildx: None) -> None:
    chance = random.Random(batch)
    context = tmp_path / "context"
    context.mkdir()
    tree(context, chance)
    files, dockerfiles = [], []
    for number in range(FILES):
        data = ignore_file(context, chance)
        if ours(context, data) is None:
            continue  # refused: nothing is built, whatever BuildKit says
        # As it is written, and as the product hands it over.
        kinds = {"raw": data, "ours": write(read(data)).encode()}
        for kind, content in list(kinds.items())[: 2 if number % 5 == 0 else 1]:
            place = tmp_path / "files" / f"{number}-{kind}" / "Dockerfile"
            place.parent.mkdir(parents=True)
            place.write_text("FROM scratch\nCOPY . /\n")
            place.with_name("Dockerfile.dockerignore").write_bytes(content)
            files.append(data)
            dockerfiles.append(place)
    assert len(files) > FILES // 2
    out = tmp_path / "out"
    out.mkdir()
    try:
        for data, place, got in zip(files, dockerfiles, buildkit(context, dockerfiles, out), strict=True):
            expected = ours(context, data)
            # Asked again alone: many builds at once are not what is compared here.
            found = got if got == expected else buildkit(context, [place], again(out))[0]
            text = (place.parent.name, data.decode(), found and expected and sorted(found ^ expected))
            assert found == expected, text
    finally:
        shutil.rmtree(out)


# An operator in an exception, which applies only in folders that BuildKit looks into.
ONCE_WRONG = [
    *(b"**\n!a|b/*\n", b"**\n!a|b/*\n!x/c/**\n", b"**\n!a|b/*\n!b/y\n", b"**\n!a|b/*\n!**/z\n", b"!a|b/*\n"),
    *(b"**\n!!a|b/*/\n", b"**\n\\a/[!a]/\n!/_/a|b/*\n b/\n"),
]
# Spaces outside of ASCII behind the name of a folder, and an exception that makes BuildKit look into all folders.
SPACES = [
    b"x/b\xe3\x80\x80\n! ^/a]\n",
    b"./a/b$/\\a/\n../_\n#a+b/1\xe3\x80\x80\n/\\a\nx/b\xe3\x80\x80\n! ^/a]\n",
    b"#x\xe3\x80\x80\n\xe3\x80\x80x/b\xc2\x85\n!\xe2\x80\xa8^/a]\xe3\x80\x80\n",
]
FIXED = [*ONCE_WRONG, *SPACES]


def test_ignore_files_that_once_differed(tmp_path: Path, buildx: None) -> None:
    context, out = tmp_path / "context", tmp_path / "out"
    for name in ("x/b/y", "b/y", "ab", "a/b/y", "x/z", "!a", "_/ab/c", "_/x/b/y"):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text("")
    dockerfiles = [tmp_path / "files" / str(number) / "Dockerfile" for number in range(len(FIXED))]
    for place, data in zip(dockerfiles, FIXED, strict=True):
        place.parent.mkdir(parents=True)
        place.write_text("FROM scratch\nCOPY . /\n")
        place.with_name("Dockerfile.dockerignore").write_bytes(data)
    out.mkdir()
    assert buildkit(context, dockerfiles, out) == [ours(context, data) for data in FIXED]


def test_every_way_to_ask_gives_the_same_answer(tmp_path: Path) -> None:
    """The walk over a folder skips what it need not look at; a single path is asked about on its own."""
    for number in range(200 if FULL else 20):
        chance = random.Random(number)
        context = tmp_path / str(number)
        context.mkdir()
        tree(context, chance)
        for _ in range(20):
            data = ignore_file(context, chance)
            found = ours(context, data)
            if found is None:
                continue
            ignoring = Ignoring(read(data))
            for path in (place.relative_to(context).as_posix() for place in context.rglob("*") if not place.is_dir()):
                assert ignoring.ignores(path) is (path not in found), (data.decode(), path)
