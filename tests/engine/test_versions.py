"""Versions and their reports: real histories in real repositories, and all kinds of tampering."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pytest

from orchestrator.adapters.haproxy.names import ROUTES
from orchestrator.adapters.haproxy.runtime import Runtime
from tests.engine.harness import App, Load, engine

SAMPLE = Path(__file__).parents[2] / "compose" / "sample-model"


def git(app: App, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(app.folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def now() -> str:
    time.sleep(0.002)  # times in the ledger are in milliseconds
    return datetime.now(UTC).isoformat()


# --- a real history ----------------------------------------------------------------------------------------------


@dataclass
class Did:
    """The actions of the test, for a comparison with the reports."""

    version: str
    parent: str | None
    who: str
    commit: str
    weights: str


@pytest.fixture
def digits(make_app: Callable[..., App]) -> App:
    """The sample model in its own repository, with its weights outside the image."""
    app = make_app(f"digits-{os.getpid()}")
    for name in ("server.py", "Dockerfile", ".dockerignore"):
        shutil.copy(SAMPLE / name, app.folder / name)
    for name in ("mode", "version"):
        (app.folder / name).unlink()
    app.config["model"] = {"path": "weights", "mount": "/app/model"}
    app.config["rollout"]["keep_warm"] = "0s"
    app.config["retention"]["versions"] = 4
    (app.folder / "weights").mkdir()
    with (app.folder / ".dockerignore").open("a") as file:
        file.write("weights\n")
    app.write_config()
    git(app, "init", "-q", "-b", "main")
    return app


OPERATORS = ("Ada <ada@models.example>", "Grace <grace@models.example>")


def test_a_history_is_reported_as_it_happened(digits: App) -> None:
    did: dict[str, Did] = {}
    moments: list[tuple[str, str]] = []
    live: str | None = None

    def operator(who: str) -> None:
        name, mail = who.rstrip(">").split(" <")
        git(digits, "config", "user.name", name)
        git(digits, "config", "user.email", mail)

    def served() -> None:
        """Records the version that answers now."""
        moments.append((now(), digits.get("/healthz")[1]["x-model-version"]))

    def release(number: int, weights: str, branch: str) -> None:
        nonlocal live
        name, who = f"v{number}", OPERATORS[number % 2]
        operator(who)
        git(digits, "checkout", "-q", *(["-b"] if branch not in git(digits, "branch") else []), branch)
        shutil.copy(SAMPLE / weights / "weights.json", digits.folder / "weights" / "weights.json")
        numpy.save(digits.folder / "weights" / "scale.npy", numpy.arange(4.0) + (number // 4))
        (digits.folder / "note").write_text(name)
        git(digits, "add", "-A")
        git(digits, "commit", "-q", "-m", f"{name} on {branch}")
        digits.run("release", name)
        did[name] = Did(name, live, who, git(digits, "rev-parse", "HEAD"), weights)
        live = name
        served()

    def rollback(*arguments: str) -> None:
        nonlocal live
        operator(OPERATORS[0])
        live = digits.json("rollback", *arguments)["version"]
        served()

    left = set()
    for number in range(1, 13):
        release(number, "v2" if number % 3 == 0 else "v1", "tuning" if number in (4, 5, 6, 9) else "main")
        if number in (5, 8, 10):
            left.add(f"v{number}")
            rollback()

    tree = flat(digits.json("tree")["versions"])
    assert {name: row["parent"] for name, row in tree.items()} == {name: one.parent for name, one in did.items()}
    assert {name: row["author"] for name, row in tree.items()} == {name: one.who for name, one in did.items()}
    assert {name: row["git_commit"] for name, row in tree.items()} == {name: one.commit for name, one in did.items()}
    assert {name for name, row in tree.items() if row["mark"] == "rolled back"} == left
    assert tree["v12"]["mark"] == "live"
    assert not any(row["git_dirty"] for row in tree.values())

    for moment, version in moments:
        rows = digits.json("who-was-live", "--at", moment)["live"]
        assert [row["version"] for row in rows] == [version], moment
        assert rows[0]["git_commit"] == did[version].commit
        assert rows[0]["author"] == did[version].who
    span = digits.json("who-was-live", "--from", moments[0][0])["live"]
    assert [row["version"] for row in span] == [version for _, version in moments]
    assert digits.json("who-was-live", "--at", "2020-01-01")["live"] == []

    entries = digits.json("log", "weights/weights.json")["entries"]
    changed = [name for name, one in did.items() if one.parent is None or did[one.parent].weights != one.weights]
    assert [row["version"] for row in entries] == changed[::-1]
    assert [row["change"] for row in entries] == ["changed"] * (len(changed) - 1) + ["added"]
    for row in entries:
        file = SAMPLE / did[row["version"]].weights / "weights.json"
        assert (row["size"], row["author"]) == (file.stat().st_size, did[row["version"]].who)
        assert row["git_commit"] == did[row["version"]].commit

    found = digits.json("diff", "v11", "v12")
    assert [(row["path"], row["change"]) for row in found["files"]] == [
        ("context/note", "changed"),
        ("model/scale.npy", "changed"),
        ("model/weights.json", "changed"),
    ]
    assert [row["subject"] for row in found["commits"]["between"]] == ["v12 on main"]
    assert [(row["path"], row["tensors"][0]["largest"]) for row in found["tensors"]] == [("model/scale.npy", 1.0)]
    assert (
        found["summary"]["new_bytes"]
        == sum(row["size_after"] for row in found["files"] if row["path"] != "model/weights.json")
        + (SAMPLE / "v2" / "weights.json").stat().st_size
    )

    # The engine and the store do not have v1 any more: it is rebuilt from its commit, and is identical.
    pruned = [name for name, row in tree.items() if row["pruned_at"]]
    assert "v1" in pruned
    recorded = digits.json("show", "v1")
    done = digits.run("rollback", "--to", "v1")
    assert "v1 was rebuilt in" in done.stderr
    assert digits.get("/healthz")[1]["x-model-version"] == "v1"
    after = digits.json("show", "v1")
    assert after["manifest"] == recorded["manifest"]
    assert after["files"] == recorded["files"]
    box = next(c for c in digits.engine_containers() if c.labels.get("deployctl.version") == "v1")
    assert box.labels["deployctl.manifest"] == recorded["manifest"]
    assert digits.json("verify")["problems"] == []


def flat(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {}
    for row in rows:
        found[row["version"]] = row
        found.update(flat(row["children"]))
    return found


# --- weights beside the image ------------------------------------------------------------------------------------


@pytest.fixture
def weighty(make_app: Callable[..., App]) -> App:
    """A model with weights of 8 MiB and a small file. Its name is unique, because parallel tests move tags."""
    app = make_app(f"weighty-{os.getpid()}")
    app.config["model"] = {"path": "weights", "mount": "/model"}
    app.config["rollout"]["keep_warm"] = "10m"
    (app.folder / "weights").mkdir()
    (app.folder / "weights" / "large.bin").write_bytes(os.urandom(8 << 20))
    (app.folder / "weights" / "small.txt").write_text("one")
    (app.folder / ".dockerignore").write_text("weights\n")
    app.release("v1")
    return app


def objects(app: App) -> list[Path]:
    return [path for path in (app.state_dir / "store" / "objects").rglob("*") if path.is_file()]


def pid(app: App, version: str) -> int:
    """The process id of the model, the child of the init process."""
    top = app.container(version).attrs["State"]["Pid"]
    return int(Path(f"/proc/{top}/task/{top}/children").read_text().split()[0])


def test_what_has_not_changed_is_kept_once_on_disk_and_in_memory(weighty: App) -> None:
    (weighty.folder / "weights" / "small.txt").write_text("two")
    weighty.release("v2")
    assert len(objects(weighty)) == 3
    mapping = (
        "import mmap, sys\nfile = open('/model/large.bin', 'rb')\n"
        "view = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
        "sum(view[::4096])\nprint('mapped', flush=True)\nsys.stdin.read()"
    )
    held = []
    try:
        for version in ("v1", "v2"):
            command = ["docker", "exec", "-i", weighty.container(version).name, "python3", "-c", mapping]
            held.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            assert held[-1].stdout is not None
            assert held[-1].stdout.readline() == "mapped\n"
        maps = [row for row in mapped("/model/large.bin") if row["Rss"] >= 8 << 10]
        assert len(maps) == 2
        assert {row["inode"] for row in maps} == {maps[0]["inode"]}, "the same pages, not copies of them"
        # Pss is a page's size divided by the number of processes that map it.
        assert sum(row["Pss"] for row in maps) < 1.1 * (8 << 10)
    finally:
        for process in held:
            process.communicate("")


def mapped(name: str) -> list[dict[str, int]]:
    """The processes that have mapped a file of that name: its inode, and its resident size (KiB)."""
    found = []
    for smaps in Path("/proc").glob("[0-9]*/smaps"):
        try:
            lines = smaps.read_text().splitlines()
        except OSError:
            continue
        for number, line in enumerate(lines):
            if line.endswith(name):
                row = {"inode": int(line.split()[4])}
                for more in lines[number + 1 : number + 9]:
                    key, value = more.split()[:2]
                    row[key.rstrip(":")] = int(value)
                found.append(row)
    return found


def test_weights_in_the_source_folder_may_be_edited_while_they_serve(weighty: App) -> None:
    with (weighty.folder / "weights" / "large.bin").open("r+b") as file:
        file.write(b"\0" * 4096)
    assert weighty.json("verify")["problems"] == []
    box = weighty.container("v1")
    assert box.exec_run(["sh", "-c", "echo x > /model/small.txt"]).exit_code != 0, "it is read-only in there"
    assert weighty.json("diff", "v1", "v1")["files"] == []


def test_prune_takes_what_no_kept_version_needs(weighty: App) -> None:
    weighty.config["rollout"]["keep_warm"] = "0s"
    for number in (2, 3, 4):
        (weighty.folder / "weights" / "small.txt").write_text(str(number))
        weighty.release(f"v{number}")
    assert len(objects(weighty)) == 5
    done = weighty.json("prune", "--keep", "2")
    assert done["versions"] == ["v1", "v2"]
    assert done["freed_bytes"] == len("one") + len("2")
    assert len(objects(weighty)) == 3
    assert weighty.json("verify")["problems"] == []


def test_a_store_on_a_full_disk_loses_nothing(make_app: Callable[..., App], tmp_path: Path) -> None:
    state = tmp_path / "small"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(state)], check=True)
    try:
        app = make_app(f"small-{os.getpid()}", state="small")
        app.config["model"] = {"path": "weights", "mount": "/model"}
        (app.folder / "weights").mkdir()
        (app.folder / ".dockerignore").write_text("weights\n")
        large = app.folder / "weights" / "large.bin"
        large.write_bytes(os.urandom(12 << 20))
        app.release("v1")
        large.write_bytes(os.urandom(16 << 20))
        with Load(app.port, clients=2) as load:
            for version in ("v2", "v2"):
                error = app.release(version, code=3).stderr
                assert "model.path: its files cannot be stored" in error
                assert "deployctl prune" in error
        assert not any(reply.failed for reply in load.replies)
        assert app.serving() == "v1"
        assert len(objects(app)) == 1
        assert app.json("verify")["problems"] == []
        large.write_bytes(os.urandom(4 << 20))
        app.release("v2")
        app.clean()
    finally:
        subprocess.run(["umount", str(state)], check=True)


def test_a_context_that_changes_during_the_build_stops_the_release(weighty: App) -> None:
    weighty.write("v2")
    with (weighty.folder / "Dockerfile").open("a") as file:
        file.write("RUN sleep 3\n")
    release = weighty.start("release", "v2")
    assert release.stderr is not None
    assert any("RUN sleep 3" in line for line in release.stderr), "the build was never that far"
    (weighty.folder / "version").write_text("v3")
    _, error = release.communicate(timeout=60)
    assert release.returncode == 3, error
    assert f"version changed while {weighty.name}:v2 was built" in error
    assert weighty.serving() == "v1"
    assert list(flat(weighty.json("tree")["versions"])) == ["v1"]
    assert weighty.json("verify")["problems"] == []


# --- tampering ---------------------------------------------------------------------------------------------------


@contextmanager
def flipped(path: Path) -> Iterator[None]:
    """Flips one bit of a file, and changes nothing else of it."""
    before, status = path.read_bytes(), path.stat()

    def write(data: bytes) -> None:
        with path.open("r+b") as file:
            file.write(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    at = len(before) // 2
    write(before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :])
    try:
        yield
    finally:
        write(before)


@contextmanager
def said(app: App, statement: str, back: str) -> Iterator[None]:
    """Changes the ledger."""
    for number, text in enumerate((statement, back)):
        with closing(sqlite3.connect(app.state_dir / "ledger.db")) as db:
            assert db.execute(text).rowcount == 1
            db.commit()
        if number == 0:
            yield


@contextmanager
def a_stranger(app: App) -> Iterator[None]:
    """A container has the labels of v1, but another image."""
    box = app.container("v1")
    labels = {**box.labels, "deployctl.manifest": "sha256:0"}
    made = engine().containers.create(box.image.id, name=f"{box.name}-twin", labels=labels)
    try:
        yield
    finally:
        made.remove(force=True)


@contextmanager
def another_image(app: App) -> Iterator[None]:
    """Moves the tag of v1 to another image."""
    image = engine().images.get(f"{app.name}:v1")
    engine().images.get("deployctl-base:bookworm").tag(app.name, "v1")
    try:
        yield
    finally:
        image.tag(app.name, "v1")


@contextmanager
def hidden(app: App) -> Iterator[None]:
    """Mounts another folder over the weights, only in the namespace of the container."""
    process = str(app.container("v1").attrs["State"]["Pid"])
    enter = ["nsenter", "-t", process, "-m"]
    subprocess.run([*enter, "mount", "-t", "tmpfs", "none", "/model"], check=True)
    subprocess.run([*enter, "sh", "-c", "echo two > /model/small.txt"], check=True)
    try:
        yield
    finally:
        subprocess.run([*enter, "umount", "/model"], check=True)


@contextmanager
def edited(path: Path) -> Iterator[None]:
    """Adds a comment to a file."""
    text = path.read_text()
    path.write_text(f"{text}# ours\n")
    try:
        yield
    finally:
        path.write_text(text)


@contextmanager
def rerouted(app: App) -> Iterator[None]:
    """Removes the app's route from the running proxy, which the next command restores."""
    runtime = Runtime(app.state_dir / "proxy")
    [slot] = runtime.entries(ROUTES)[0].values()
    runtime.set_entry(ROUTES, app.name, None)
    try:
        yield
    finally:
        runtime.set_entry(ROUTES, app.name, slot)


@contextmanager
def replaced(path: Path) -> Iterator[None]:
    """Replaces a file."""
    away = path.with_name("away")
    path.rename(away)
    path.write_text("two")
    try:
        yield
    finally:
        away.rename(path)


def test_every_tampering_is_found_and_named(weighty: App) -> None:
    manifest = weighty.json("show", "v1")["manifest"].removeprefix("sha256:")
    small = next(path for path in objects(weighty) if path.stat().st_size == 3)
    tree = weighty.state_dir / "models" / weighty.name / "v1"
    proxy = weighty.state_dir / "proxy"
    assert weighty.json("verify")["problems"] == []
    kept = weighty.rows("SELECT author FROM versions")[0][0]
    cases = {
        "object": (flipped(small), ["which is v1 model/small.txt", "sees another /model/small.txt"]),
        "manifest": (
            flipped(weighty.state_dir / "store" / "manifests" / f"{manifest}.json"),
            [f"{manifest}.json was changed"],
        ),
        "event": (
            said(
                weighty,
                "UPDATE events SET at = at || 'x' WHERE id = 2",
                "UPDATE events SET at = rtrim(at, 'x') WHERE id = 2",
            ),
            ["event 2", "is not what was recorded"],
        ),
        "version": (
            said(weighty, "UPDATE versions SET author = 'x'", f"UPDATE versions SET author = '{kept}'"),
            [f"the record of {weighty.name} v1 is not what was recorded"],
        ),
        "label": (a_stranger(weighty), ["-twin has the label deployctl.manifest 'sha256:0'"]),
        "image": (another_image(weighty), [f"v1: the tag {weighty.name}:v1 is sha256:"]),
        "mounted file": (hidden(weighty), ["sees another /model/small.txt", "does not see /model/large.bin"]),
        "tree": (replaced(tree / "small.txt"), [f"v1: {tree / 'small.txt'} is not what was released"]),
        "a map of the proxy": (edited(proxy / "versions.map"), ["the proxy's file versions.map is not what"]),
        "its configuration": (edited(proxy / "haproxy.cfg"), ["the proxy's file haproxy.cfg is not what"]),
        "the running route": (rerouted(weighty), ["the running proxy sends requests to nothing"]),
    }
    for name, (tampered, named) in cases.items():
        with tampered:
            done = weighty.run("verify", "--json", code=4)
            problems = "\n".join(json.loads(done.stdout)["problems"])
            for text in named:
                assert text in problems, (name, problems)
        assert weighty.json("verify")["problems"] == [], name


def test_a_rebuilt_ledger_is_verified_again(weighty: App) -> None:
    (weighty.folder / "weights" / "small.txt").write_text("two")
    weighty.release("v2")
    before = weighty.json("diff", "v1", "v2")
    for path in weighty.state_dir.glob("ledger.db*"):
        path.unlink()
    weighty.run("recover", "--rebuild-ledger")
    assert weighty.json("verify")["problems"] == []
    assert weighty.json("diff", "v1", "v2") == before
    assert [row["version"] for row in weighty.json("who-was-live")["live"]] == ["v2"]
    assert [row["version"] for row in weighty.json("log", "weights/small.txt")["entries"]] == ["v2", "v1"]


def test_a_lost_image_is_named(weighty: App) -> None:
    weighty.config["rollout"]["keep_warm"] = "0s"
    weighty.release("v2")
    weighty.container("v1").remove(force=True)
    engine().images.remove(f"{weighty.name}:v1", force=True)
    found = weighty.json("verify", code=4)["problems"]
    assert any(problem.startswith("v1: its image") and "is missing on the engine" in problem for problem in found)


def test_a_container_is_read_through_the_engine_as_well(weighty: App) -> None:
    from orchestrator.adapters.docker import files_in as seen

    box = weighty.container("v1")
    api = engine().api
    assert seen.archived(api, box.id, "/model") == seen.files_in(api, box.id, "/model")
