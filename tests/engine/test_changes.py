"""What plan and release say about the changes that they make."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy

from tests.engine.harness import App, free_port


def said(done: subprocess.CompletedProcess[str], first: str) -> list[str]:
    """The lines about the changes, which begin with that about the files."""
    lines = (done.stdout + done.stderr).splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(first))
    end = next(number for number in range(begin + 1, len(lines)) if not lines[number].startswith(("  ", "settings:")))
    return lines[begin:end]


def test_plan_and_release_say_what_changes(make_app: Callable[..., App]) -> None:
    app = make_app(f"changes-{os.getpid()}")
    app.config["run"]["env"] = {"TOKEN": "hunter2"}
    app.release("v1")
    left = app.port
    app.port = free_port()
    app.config["run"] |= {"env": {"TOKEN": "hunter3"}, "replicas": 2}
    app.config["proxy"] |= {"listen": f"127.0.0.1:{app.port}", "path_prefix": "/m"}
    app.write("v2 longer")
    (app.folder / "notes").write_text("new")
    changes = [
        "files: 1 added, 0 removed, 1 changed; 12 B new",
        "  + context/notes  3 B",
        "  ~ context/version  2 B → 9 B",
        "settings:",
        "  ~ environment.TOKEN: (hidden) → (hidden)",
        f"  ~ proxy.listen: 127.0.0.1:{left} → 127.0.0.1:{app.port}",
        "  ~ proxy.path_prefix: nothing → /m",
        "  ~ run.replicas: 1 → 2",
    ]
    moved = f"{app.name} moves from 127.0.0.1:{left} to 127.0.0.1:{app.port}: requests to 127.0.0.1:{left} will not"
    plan = app.run("plan", "release", "v2", "--detailed-exitcode", code=10)
    assert plan.stdout.startswith(f"release of {app.name}: v1 → v2\n")
    assert said(plan, "files:") == changes
    assert f"note: {moved} reach it any more" in plan.stderr
    report = app.json("plan", "release", "v2")
    assert any(note.startswith(moved) for note in report["notes"])
    assert [(row["path"], row["change"]) for row in report["diff"]["files"]] == [
        ("context/notes", "added"),
        ("context/version", "changed"),
    ]
    assert app.json("status")["live"]["version"] == "v1"

    done = app.run("release", "v2")
    assert said(done, "files:") == changes
    assert f"note: {moved} reach it any more" in done.stderr
    # How much of the image is new shows only when it is built.
    layers = next(line for line in done.stderr.splitlines() if line.startswith("image: "))
    assert " layers shared (" in layers and " new (" in layers
    image = app.json("diff", "v1", "v2")["image"]
    assert layers.startswith(f"image: {image['shared_layers']} layers shared (")
    assert image["shared_layers"] > 0 and image["new_layers"]
    assert app.get("/m/")[2].startswith("v2 longer ")
    assert "hunter" not in plan.stdout + plan.stderr + done.stdout + done.stderr

    same = app.run("release", "v3", code=2)
    assert "v3 would be the same as v2, which is live" in same.stderr
    assert "deployctl release v3 --force" in same.stderr
    assert "v3" not in app.containers().keys() | {row["version"] for row in app.json("tree")["versions"]}
    nothing = app.run("plan", "release", "--detailed-exitcode")
    assert nothing.stdout == "nothing to do: v2 is live\n"
    forced = app.run("release", "v3", "--force")
    assert "no file and no setting differs" in forced.stderr
    assert app.json("status")["live"]["version"] == "v3"


def weights(folder: Path, number: int) -> None:
    """Two arrays, and a file whose header is larger than any comparison reads."""
    folder.mkdir(exist_ok=True)
    for name in ("one", "two"):
        numpy.save(folder / f"{name}.npy", numpy.arange(4.0) * number)
    with (folder / "crafted.safetensors").open("wb") as file:
        file.write((90_000_000).to_bytes(8, "little"))
        file.truncate(90_000_000 + number)


def test_diff_says_what_it_did_not_compare_and_shows_the_rest(make_app: Callable[..., App]) -> None:
    app = make_app(f"crafted-{os.getpid()}")
    app.config["model"] = {"path": "weights", "mount": "/model"}
    weights(app.folder / "weights", 100)
    app.release("v1")
    weights(app.folder / "weights", 200)
    app.release("v2")
    done = app.run("diff", "v1", "v2")
    lines = done.stdout.splitlines()
    begin = lines.index("tensors of model/crafted.safetensors:")
    assert lines[begin : begin + 6] == [
        "tensors of model/crafted.safetensors:",
        "  not compared: the older one has a header of 85.8 MiB, above the limit of 16 MiB",
        "tensors of model/one.npy:",
        "  ~ one  float64[4], largest change 300",
        "tensors of model/two.npy:",
        "  ~ two  float64[4], largest change 300",
    ]
    assert done.stderr == ""
    done = app.run("diff", "v1", "v2", "--time-limit", "1ms")
    assert "note: not all tensors were compared within 1ms; use --time-limit to allow more time" in done.stderr
    report = app.json("diff", "v1", "v2", "--time-limit", "1ms")
    assert [(row["path"], row["note"], row["limit"]) for row in report["tensors"]] == [
        (f"model/{name}", "the time limit was reached", "time")
        for name in ("crafted.safetensors", "one.npy", "two.npy")
    ]
    assert {row["path"] for row in report["files"]} >= {row["path"] for row in report["tensors"]}
    wrong = app.run("diff", "v1", "v2", "--time-limit", "soon", code=2)
    assert "--time-limit: expected a duration" in wrong.stderr
