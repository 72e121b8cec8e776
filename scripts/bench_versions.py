"""Benchmark of weights outside the image, and of reports over a thousand versions."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.adapters.store.objects import Objects
from orchestrator.config import load
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.domain.version.build import Layer
from orchestrator.domain.version.manifest import EMPTY, File, Manifest, delta
from orchestrator.domain.version.version import Version
from scripts.bench_traffic import Row, median, run
from tests.engine.harness import App, engine

_FILES = 16
_SNAPSHOT = """
import sys
import orchestrator.cli  # as the program does first
from pathlib import Path
from orchestrator.adapters.store.manifests import StoreManifests
from orchestrator.adapters.store.model_files import StoreModelFiles
from orchestrator.adapters.store.objects import Objects
from orchestrator.config import load

class Quiet:
    def detail(self, text): pass
    update = detail
    def check(self): pass

state, config = Path(sys.argv[2]), load(Path(sys.argv[1]))
objects = Objects(state / "store", state / "models")
manifest = StoreManifests(state, objects, checkouts=state / "checkouts").read(config, keep=True, progress=Quiet())
StoreModelFiles(state, objects).keep("m", sys.argv[3], manifest)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def weights(folder: Path, size: int, runs: int, imports: Callable[[], None]) -> list[Row]:
    """Snapshots of `size` bytes in 16 files, compared with cp, sha256sum, and an image that contains the weights."""
    app = folder / "weights"
    source = app / "model"
    source.mkdir(parents=True)
    each = size // _FILES
    for number in range(_FILES):
        _fill(source / f"{number:02}.bin", each)
    (app / "Dockerfile").write_text("FROM scratch\nCOPY model /model\n")
    (app / ".dockerignore").write_text("model\n")
    (app / "deploy.toml").write_text('[app]\nname = "m"\nport = 8080\n[model]\npath = "model"\n')
    time.sleep(2.1)  # files that were just written are not cached
    one = source / "00.bin"
    copy = folder / "copy"
    took: dict[str, list[float]] = {}
    peaks: list[int] = []
    for number in range(runs):
        state = folder / f"weights-state-{number}"

        def snapshot(version: str, state: Path = state) -> None:
            command = [sys.executable, "-c", _SNAPSHOT, str(app / "deploy.toml"), str(state), version]
            peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))

        def measure(name: str, action: Callable[[], object]) -> None:
            os.sync()  # so that earlier writes are not measured
            started = time.perf_counter()
            action()
            took.setdefault(name, []).append(time.perf_counter() - started)

        measure("u", imports)
        measure("cp all", lambda: run(["cp", "-r", str(source), str(copy)]))
        measure("sha all", lambda: run(["sh", "-c", f"ls {source}/* | xargs -P 2 -n 1 sha256sum"]))
        run(["rm", "-rf", str(copy)])
        measure("first", lambda: snapshot("v1"))
        time.sleep(2.1)
        measure("same", lambda: snapshot("v2"))
        _fill(one, each)
        time.sleep(2.1)
        measure("cp one", lambda: run(["cp", str(one), str(copy)]))
        measure("sha one", lambda: run(["sha256sum", str(one)]))
        copy.unlink()
        before = _used(state)
        measure("one", lambda: snapshot("v3"))
        added = _used(state) - before
        run(["rm", "-rf", str(state)])
    images = _images(app, one, each)
    unit = median(took["u"])
    raw_all = median([a + b for a, b in zip(took["cp all"], took["sha all"], strict=True)])
    raw_one = median([a + b for a, b in zip(took["cp one"], took["sha one"], strict=True)])
    over = (median(took["one"]) - raw_one * 1.3) / unit
    gib = f"{size / 2**30:g} GiB in {_FILES} files"
    return [
        ("U, measured again beside what follows", f"{unit * 1000:.0f} ms", "1 U", "-"),
        (f"cp, then sha256sum on both cores: {gib}", f"{raw_all:.2f} s", "-", "-"),
        ("first snapshot", f"{median(took['first']):.2f} s", f"{median(took['first']) / raw_all:.2f} times", "1 times"),
        ("cp and sha256sum of one file of them", f"{raw_one:.2f} s", "-", "-"),
        (
            f"snapshot when that one has changed (adds {added / 2**20:.0f} MiB to the disk)",
            f"{median(took['one']):.2f} s",
            f"1.3 times {'+' if over >= 0 else '-'} {abs(over):.2f} U",
            "1.3 times + 1 U",
        ),
        (
            "snapshot when nothing has changed",
            f"{median(took['same']):.2f} s",
            f"{median(took['same']) / unit:.2f} U",
            "1 U",
        ),
        ("memory of a snapshot", f"{max(peaks) / 1024:.0f} MB", "-", "150 MB"),
        *images,
    ]


def _images(app: Path, one: Path, each: int) -> list[Row]:
    """An image with the same weights: built, and built again after one file has changed."""
    (app / ".dockerignore").unlink()
    rows: list[Row] = []
    built = []
    for what in ("docker build with the same weights in the image", "docker build when one file has changed"):
        started = time.perf_counter()
        image, _ = engine().images.build(path=str(app), tag="deployctl-bench:weights", rm=True)
        took = time.perf_counter() - started
        built.append(image.id)
        size = image.attrs["Size"] / 2**20
        rows.append((f"{what} (adds {size:.0f} MiB to the disk)", f"{took:.2f} s", "-", "-"))
        _fill(one, each)
    for image_id in reversed(built):
        engine().images.remove(image_id, force=True)
    return rows


def _fill(path: Path, size: int) -> None:
    """Writes new content in place, as a training run does."""
    with path.open("wb") as file:
        for _ in range(max(1, size >> 20)):
            file.write(os.urandom(1 << 20))


def _used(folder: Path) -> int:
    """Bytes on the disk; hard links are counted once."""
    done = subprocess.run(["du", "-s", "--block-size=1", str(folder)], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def looking_back(folder: Path, versions: int, files: int, runs: int, imports: Callable[[], None]) -> list[Row]:
    """`tree`, `log`, `diff` and `who-was-live` on a long history, compared with --help."""
    app = App(folder / "long", folder / "long-state", name="long")
    _write_history(app, versions, files)
    program = str(Path(sys.executable).with_name("deployctl"))
    commands = {
        "--help": ["--help"],
        "tree": ["tree"],
        "log FILE": ["log", "model/000.bin"],
        "diff": ["diff", f"v{versions - 1}", f"v{versions}"],
        "who-was-live": ["who-was-live", "--at", "2026-01-01 00:00:30"],
    }
    took: dict[str, list[float]] = {}
    for _ in range(runs):
        started = time.perf_counter()
        imports()
        took.setdefault("u", []).append(time.perf_counter() - started)
        for name, arguments in commands.items():
            started = time.perf_counter()
            run([program, "--state-dir", str(app.state_dir), *arguments], cwd=app.folder)
            took.setdefault(name, []).append(time.perf_counter() - started)
    unit, help_ = median(took["u"]), median(took["--help"])
    title = f"{versions:,} versions with {files} files each: "
    return [
        (
            f"{title}deployctl {name}",
            f"{median(took[name]) * 1000:.0f} ms",
            f"--help + {(median(took[name]) - help_) / unit:.2f} U",
            "--help + 1 U",
        )
        for name in commands
        if name != "--help"
    ]


def _write_history(app: App, versions: int, files: int) -> None:
    """Writes a history of `versions` releases, each of which changed two of `files` files."""
    app.state_dir.mkdir(parents=True)
    snapshot = load(app.folder / "deploy.toml").snapshot()
    objects = Objects(app.state_dir / "store", app.state_dir / "models")
    clock = [0]

    def now() -> str:
        clock[0] += 1
        return f"2026-01-01T{clock[0] // 3600000:02}:{clock[0] // 60000 % 60:02}:{clock[0] // 1000 % 60:02}.000Z"

    ledger = SqliteLedger(app.state_dir / "ledger.db", now=now)
    ledger.app_number(app.name)
    ledger._db.execute("PRAGMA synchronous = OFF")  # the durability of this history does not matter
    before, made = EMPTY, {}
    for number in range(1, versions + 1):
        for index in {number % files, 7 * number % files, *(range(files) if number == 1 else ())}:
            content = f"{number} {index}".encode()
            path = f"model/{index:03}.bin"
            made[path] = File(path, "file", "0644", len(content), sha256(content).hexdigest())
        manifest = Manifest.of(made.values(), {"dockerfile": "Dockerfile"})
        objects.save(app.name, manifest)
        parent = f"v{number - 1}" if number > 1 else None
        version = Version(
            app=app.name,
            name=f"v{number}",
            image=f"{app.name}:v{number}",
            image_id=f"sha256:{number:064}",
            manifest=manifest.digest,
            parent=parent,
            author="Somebody <some@body.example>",
            created_at=now(),
            settings=snapshot,
        )
        ledger.record_version(version, delta(before, manifest))
        ledger.record_layers(app.name, version.name, [Layer("sha256:base", 1), Layer(f"sha256:{number}", 2)])
        slot: Slot = "blue" if number % 2 else "green"
        ledger.go_live(SlotState(app.name, slot, version.name, number, "ready", now()), TrafficState(live=slot))
        before = manifest
    ledger.close()
