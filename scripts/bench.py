"""Measures the figures of the documentation in one run. Called by scripts/bench."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts import bench_state as state  # noqa: E402
from scripts import bench_traffic as traffic  # noqa: E402
from scripts import bench_versions as versions  # noqa: E402
from scripts.bench_broken import broken  # noqa: E402
from scripts.bench_rollout import looks, shares, shielded  # noqa: E402
from scripts.bench_traffic import Row, median, run, until  # noqa: E402
from scripts.bench_watch import watching  # noqa: E402
from tests.engine.harness import App, close_engine, engine  # noqa: E402

IMPORTS = "import docker, httpx, typer, pydantic"


def timed(action: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def imports() -> None:
    """The imports whose time is U."""
    run([sys.executable, "-c", IMPORTS])


def startup(app: App, runs: int) -> list[Row]:
    """U, and the quick commands for comparison."""
    program = str(Path(sys.executable).with_name("deployctl"))
    given = ["--state-dir", str(app.state_dir), "-f", str(app.folder / "deploy.toml")]
    u, help_, status, recover = [], [], [], []
    for _ in range(runs):
        u.append(timed(imports))
        help_.append(timed(lambda: run([program, "--help"])))
        status.append(timed(lambda: run([program, *given, "status"])))
        recover.append(timed(lambda: run([program, *given, "recover"])))
    unit = median(u)
    over = (median(recover) - median(status)) / unit
    return [
        ("U: " + IMPORTS, f"{unit * 1000:.0f} ms", "1 U", "-"),
        ("deployctl --help", f"{median(help_) * 1000:.0f} ms", f"{median(help_) / unit:.2f} U", "0.5 U"),
        ("deployctl status", f"{median(status) * 1000:.0f} ms", f"{median(status) / unit:.2f} U", "1.3 U"),
        (
            "deployctl recover, nothing to do",
            f"{median(recover) * 1000:.0f} ms",
            f"status {'+' if over >= 0 else '-'} {abs(over):.2f} U",
            "status + 1 U",
        ),
    ]


def raw_start(app: App, image: str) -> float:
    """`docker run` to the first healthy reply, without deployctl, on the same network."""
    started = time.perf_counter()
    run(["docker", "run", "-d", "--name", "deployctl-bench-raw", "--network", app.names.network, image])
    box = engine().containers.get("deployctl-bench-raw")
    until("raw", 8080, box.attrs["NetworkSettings"]["Networks"][app.names.network]["IPAddress"])
    took = time.perf_counter() - started
    box.remove(force=True)
    return took


def raw_restart(app: App, image: str) -> float:
    """`docker start` of a stopped container to its first healthy reply."""
    box = engine().containers.create(image, name="deployctl-bench-raw", network=app.names.network)
    started = time.perf_counter()
    run(["docker", "start", box.name])
    box.reload()
    until("raw", 8080, box.attrs["NetworkSettings"]["Networks"][app.names.network]["IPAddress"])
    took = time.perf_counter() - started
    box.remove(force=True)
    return took


def deployments(app: App, runs: int) -> list[Row]:
    """Release of a built image and both rollbacks, each compared with the raw engine and with U."""
    program = str(Path(sys.executable).with_name("deployctl"))

    def deployctl(*arguments: str) -> None:
        run([program, "--state-dir", str(app.state_dir), "-q", *arguments], cwd=app.folder)

    app.write("raw")
    engine().images.build(path=str(app.folder), tag="deployctl-bench:raw", rm=True)
    app.config["rollout"]["keep_warm"] = "10m"
    app.write("v1")
    deployctl("release", "v1")
    app.write("v2")
    deployctl("release", "v2")
    u, raw, release, warm, cold, raw_cold = [], [], [], [], [], []
    for _ in range(runs):
        u.append(timed(imports))
        raw.append(raw_start(app, "deployctl-bench:raw"))
        # v2 is live: roll back to v1, which is warm; then release v2 again, whose image exists.
        started = time.perf_counter()
        process = subprocess.Popen(
            [program, "--state-dir", str(app.state_dir), "-q", "rollback"], cwd=app.folder, stdin=subprocess.DEVNULL
        )
        warm.append(until("v1", app.port) - started)
        process.wait()
        app.write("v2")
        release.append(timed(lambda: deployctl("release", "v2")))
    app.config["rollout"]["keep_warm"] = "0s"
    app.write("v2")
    for _ in range(runs):
        u.append(timed(imports))
        deployctl("rollback")
        deployctl("release", "v2")
        raw_cold.append(raw_restart(app, "deployctl-bench:raw"))
        started = time.perf_counter()
        process = subprocess.Popen(
            [program, "--state-dir", str(app.state_dir), "-q", "rollback"], cwd=app.folder, stdin=subprocess.DEVNULL
        )
        cold.append(until("v1", app.port) - started)
        process.wait()
        deployctl("release", "v2")
    engine().images.remove("deployctl-bench:raw")
    unit = median(u)
    over, cold_over = median(release) - median(raw), median(cold) - median(raw_cold)
    return [
        ("U, measured again beside what follows", f"{unit * 1000:.0f} ms", "1 U", "-"),
        ("docker run to first healthy reply", f"{median(raw) * 1000:.0f} ms", "-", "-"),
        ("release of a built image", f"{median(release) * 1000:.0f} ms", f"raw + {over / unit:.2f} U", "raw + 2.5 U"),
        ("warm rollback to first old reply", f"{median(warm) * 1000:.0f} ms", f"{median(warm) / unit:.2f} U", "1.4 U"),
        ("docker start to first healthy reply", f"{median(raw_cold) * 1000:.0f} ms", "-", "-"),
        (
            "cold rollback to first old reply",
            f"{median(cold) * 1000:.0f} ms",
            f"raw + {cold_over / unit:.2f} U",
            "raw + 2.5 U",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--short", action="store_true", help="few runs, only to check that the benchmark works")
    short = parser.parse_args().short
    with tempfile.TemporaryDirectory(prefix="deployctl-bench-") as folder:
        app = App(Path(folder) / "app", Path(folder) / "state", name="bench")
        fast = traffic.fast_app(Path(folder))
        for each in (app, fast):
            each.config["health"]["successes"] = 1
            each.config["retention"]["versions"] = 3
        app.write("v1")
        print("| what | median | beside | target |\n| --- | --- | --- | --- |")
        try:
            app.run("release", "v1")
            show(startup(app, 3 if short else 25))
            show(deployments(app, 2 if short else 15))
            show(traffic.whole_life(app, 2 if short else 20))
            app.clean()
            show(state.growth(Path(folder), 3 if short else 25, 10 if short else 100, 100 if short else 10_000))
            show(watching(Path(folder), 3 if short else 15, 5 if short else 50, imports))
            show(versions.looking_back(Path(folder), 20 if short else 1000, 100, 3 if short else 15, imports))
            show(versions.weights(Path(folder), 2**25 if short else 2**31, 1 if short else 5, imports))
            fast.release("v1")
            fast.release("v2")
            show(traffic.switching(fast, 4 if short else 40))
            show(shares(fast, 4 if short else 40))
            show(traffic.throughput(fast, 1 if short else 3, 1 if short else 15))
            show(shielded(fast, 1 if short else 3, 1 if short else 15))
            fast.clean()
            show(looks(Path(folder), 3 if short else 30))
            show(broken(Path(folder)))
        finally:
            app.clean()
            fast.clean()
            close_engine()


def show(rows: list[Row]) -> None:
    """Prints the rows immediately, so that they are not lost when a later part fails."""
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
