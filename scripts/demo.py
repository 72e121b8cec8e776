"""The four steps of the demo. Called by scripts/demo after the setup.

Step 1 releases v1, step 2 releases v2, step 3 tries v3 (which never becomes healthy), step 4 rolls back. After the
first step clients constantly send predictions. Each step has promises, which are checked.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from demo_client import Clients, Digits, Reply, write_log
from demo_stage import (
    BROKEN,
    DEPLOYCTL,
    LAYER,
    SAMPLE,
    DemoError,
    Stage,
    clear,
    deployctl,
    engine,
    keep_layer,
    live_version,
    say,
    set_stage,
)

if TYPE_CHECKING:
    from docker import DockerClient

PREFIX = "deployctl-demo."
WATCH_SECONDS = 2.0  # minimum time of traffic after each step
WATCH_LIMIT = 20.0  # maximum time, if not all held-out digits were sent


class Interrupted(BaseException):
    """The demo was interrupted by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


# The steps


@dataclass(frozen=True)
class Step:
    """A command and its promises: the exit code, and the versions that may answer during it and after it."""

    title: str
    command: tuple[str, ...]
    model: str | None
    exit_code: int
    during: frozenset[str]
    after: str


STEPS = (
    Step("release v1", ("release", "v1"), "v1", 0, frozenset({"v1"}), "v1"),
    Step("release v2", ("release", "v2"), "v2", 0, frozenset({"v1", "v2"}), "v2"),
    Step("release v3, which is broken", ("release", BROKEN), BROKEN, 3, frozenset({"v2"}), "v2"),
    Step("roll back to v1", ("rollback",), None, 0, frozenset({"v1", "v2"}), "v1"),
)


@dataclass
class Seen:
    """The result of a step."""

    step: Step
    exit_code: int
    seconds: float
    replies: list[Reply]
    broken: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Reply]:
        return [reply for reply in self.replies if reply.problem]

    @property
    def versions(self) -> Counter[str]:
        """The number of good replies of each version, in the order of their first replies."""
        return Counter(reply.version for reply in self.replies if not reply.problem)

    @property
    def paths(self) -> dict[int, list[str]]:
        """The sequence of versions that answered each client."""
        paths: dict[int, list[str]] = {}
        for reply in self.replies:
            path = paths.setdefault(reply.client, [])
            if not reply.problem and path[-1:] != [reply.version]:
                path.append(reply.version)
        return paths


def judge(seen: Seen, ended: float, live: str) -> list[str]:
    """The broken promises of a step, as sentences."""
    step, broken = seen.step, []
    if seen.exit_code != step.exit_code:
        broken.append(f"deployctl ended with {seen.exit_code}, not {step.exit_code}")
    if live != step.after:
        broken.append(f"deployctl status says that {live} is live, not {step.after}")
    if seen.failed:
        broken.append(f"{len(seen.failed)} requests failed, first: {seen.failed[0].problem}")
    if strangers := set(seen.versions) - step.during:
        broken.append(f"answered by {', '.join(sorted(strangers))}")
    late = [reply for reply in seen.replies if reply.began > ended and not reply.problem]
    if wrong := {reply.version for reply in late} - {step.after}:
        broken.append(f"after the end of the command, {', '.join(sorted(wrong))} still answered")
    if strays := [client for client, versions in seen.paths.items() if len(versions) > len({step.after, *step.during})]:
        broken.append(f"{len(strays)} clients were switched back and forth between versions")
    if not late:
        broken.append("no request was answered after the end of the command")
    return broken


def play(stage: Stage, step: Step, clients: Clients, digits: Digits, asked: dict[str, dict[int, bool]]) -> Seen:
    """Runs a step: the command, then more traffic. `asked` collects for each version and digit whether it was right."""
    if step.model is not None:
        stage.configure(step.model)
    first = clients.answered
    began = time.monotonic()
    code = deployctl(stage, *step.command)
    ended = time.monotonic()
    took = ended - began
    live = live_version(stage)
    if not clients.started:
        if code != step.exit_code:
            raise DemoError(f"the first release ended with {code}: no version can receive predictions")
        clients.start()
        ended = time.monotonic()
    watch(clients, first, step.after, len(digits.labels), asked)
    replies = clients.replies(first)
    seen = Seen(step, code, took, replies)
    seen.broken = judge(seen, ended, live)
    return seen


def watch(clients: Clients, first: int, version: str, digits: int, asked: dict[str, dict[int, bool]]) -> None:
    """Waits while the clients send traffic, until `version` has received every held-out digit."""
    began = time.monotonic()
    while True:
        time.sleep(0.1)
        fresh = clients.replies(first)
        first += len(fresh)
        for reply in fresh:
            if not reply.problem:
                asked.setdefault(reply.version, {})[reply.digit] = reply.correct
        spent = time.monotonic() - began
        if spent >= WATCH_LIMIT or (spent >= WATCH_SECONDS and len(asked.get(version, {})) == digits):
            return


def accuracy(asked: dict[int, bool]) -> str:
    right = sum(asked.values())
    return f"{right} of {len(asked)} ({right / len(asked):.2%})" if asked else "-"


def judge_accuracy(asked: dict[str, dict[int, bool]]) -> list[str]:
    """Checks that each version has the accuracy of its training, so that it is really that model."""
    metrics = json.loads((SAMPLE / "metrics.json").read_text())
    broken = []
    for version, digits in sorted(asked.items()):
        right, expected = sum(digits.values()), metrics[version]["correct"]
        if (len(digits), right) != (metrics["heldout"], expected):
            broken.append(
                f"{version} got {right} of {len(digits)} held-out digits right, not {expected} of {metrics['heldout']}"
            )
    return broken


def table(results: list[Seen]) -> str:
    rows = [("step", "exit code", "seconds", "requests", "failed", "slowest", "answered by")]
    for number, seen in enumerate(results, 1):
        slowest = max((reply.ended - reply.began for reply in seen.replies), default=0.0)
        rows.append(
            (
                f"{number}. {seen.step.title}",
                str(seen.exit_code),
                f"{seen.seconds:.1f}",
                f"{len(seen.replies):,}",
                str(len(seen.failed)),
                f"{slowest * 1000:.0f} ms",
                ", ".join(f"{version} {count:,}" for version, count in seen.versions.items()) or "none",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column in (0, len(row) - 1) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def perform(stage: Stage, clients: Clients, digits: Digits, ready: Callable[[], None]) -> list[str]:
    """Runs all steps, prints the results, and returns the broken promises. `ready` is called after the first step."""
    asked: dict[str, dict[int, bool]] = {}
    results: list[Seen] = []
    for number, step in enumerate(STEPS, 1):
        say(f"\nStep {number}: {step.title}")
        seen = play(stage, step, clients, digits, asked)
        if number == 1:
            ready()
        results.append(seen)
        served = ", then ".join(seen.versions) or "no version"
        counted = f"{len(seen.replies):,} requests, {len(seen.failed)} failed"
        say(f"    exit code {seen.exit_code}; {counted}; {served} served")
        for text in seen.broken:
            say(f"    BROKEN PROMISE: {text}")
    clients.stop()
    last = clients.replies()
    say("\n" + table(results) + "\n")
    right = ", ".join(f"{version} {accuracy(asked[version])}" for version in sorted(asked))
    say(f"  right on the held-out digits: {right}")
    say(f"  {len(last):,} requests in all, over {clients.connections} connections, without retries")
    broken = [f"step {number}: {text}" for number, seen in enumerate(results, 1) for text in seen.broken]
    broken += [f"client {name} failed" for name in clients.broken]
    return broken + judge_accuracy(asked) + look_back(stage)


def look_back(stage: Stage) -> list[str]:
    """Shows reports about the history, and checks it against the engine."""
    for command in (("diff", "v1", "v2"), ("who-was-live",), ("verify",)):
        say(f"\n    $ deployctl {' '.join(command)}")
        done = subprocess.run(
            [DEPLOYCTL, "-q", *command],
            cwd=stage.model,
            env=stage.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        say("".join(f"    {line}\n" for line in (done.stdout + done.stderr).splitlines()).rstrip())
        if done.returncode != 0:
            return [f"deployctl {' '.join(command)} ended with {done.returncode}"]
    return []


# The program


def where_next(stage: Stage | None) -> None:
    say("\nNext steps:")
    say("  README.md                       introduction, and the first steps with your own model")
    say("  docs/                           manuals, and the JSON output")
    say("  compose/sample-model/           the model of this demo and its deploy.toml")
    say("  .venv/bin/deployctl --help      all commands: plan, release, rollback, status, history, tree …")
    if stage is None:
        say("  scripts/demo --keep             the same, but left running for deployctl status, history, tree, logs")
        return
    say("\nThe demo keeps running. Examples:")
    say(f"  export DEPLOYCTL_STATE_DIR={stage.state} PATH={DEPLOYCTL.parent}:$PATH")
    say(f"  cd {stage.model}")
    say("  deployctl status; deployctl history; deployctl tree; deployctl show v3")
    pixels = (
        '$(python3 -c \'import json; print(json.dumps({"pixels": json.load(open("heldout.json"))["images"][0]}))\')'
    )
    say(f'  curl -si 127.0.0.1:{stage.port}/predict -d "{pixels}"')
    say("  deployctl release v2            make v2 live again")
    say("To remove it:")
    say(f"  scripts/demo --clean {stage.folder}")


class Signals:
    """The first signal interrupts the demo; during the cleanup signals are ignored."""

    def __init__(self) -> None:
        self.ignoring = False
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, self._received)

    def _received(self, number: int, frame: FrameType | None) -> None:
        if not self.ignoring:
            self.ignoring = True
            raise Interrupted(number)


@contextmanager
def cleared(client: DockerClient, folder: Path, signals: Signals) -> Iterator[list[bool]]:
    """Removes everything at the end, unless `keep[0]` was set and the demo was not interrupted."""
    keep = [False]
    ended = False
    try:
        yield keep
        ended = True
    finally:
        if not (ended and keep[0]):
            signals.ignoring = True
            say("\nRemoving the demo …")
            clear(client, folder)
            say("  removed containers, network, images and files")
            say(f"  kept images for the next run: deployctl-base, deployctl-proxy, {LAYER.partition(':')[0]}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Four steps under traffic; see scripts/demo --help."
    )
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--clean", type=Path, metavar="FOLDER")
    parser.add_argument("--clients", type=int, default=8, metavar="N")
    parser.add_argument("--log", type=Path, metavar="FILE")
    options = parser.parse_args()
    if not 1 <= options.clients <= 256:
        parser.error("--clients: from 1 to 256")
    return options


def main() -> int:
    options = arguments()
    began = time.monotonic()
    if options.clean is not None:
        folder: Path = options.clean.resolve()
        if not folder.name.startswith(PREFIX) or not folder.is_dir():
            say(f"demo: {folder} is not a folder of a demo")
            return 2
        clear(engine(), folder)
        say("demo: removed")
        return 0

    signals = Signals()
    client = engine()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
    with cleared(client, folder, signals) as keep:
        stage = set_stage(client, folder)
        digits = Digits.load(SAMPLE / "heldout.json")
        clients = Clients(stage.port, digits, options.clients)
        say(f"deployctl in four steps. After the first one, {options.clients} clients send handwritten digits")
        say(f"to 127.0.0.1:{stage.port}, over keep-alive connections, without retries.")
        try:
            broken = perform(stage, clients, digits, lambda: keep_layer(client, f"{stage.app}:v1"))
        finally:
            clients.stop()
            if options.log is not None:
                write_log(options.log, clients.replies())
        if broken:
            say("\nBroken promises:")
            for text in broken:
                say(f"  - {text}")
        else:
            say(f"\nAll promises were kept, in {time.monotonic() - began:.0f} s.")
        keep[0] = options.keep
        stage.configure("v2")  # see where_next()
    where_next(stage if options.keep else None)
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DemoError as problem:
        say(f"demo: {problem}")
        sys.exit(1)
    except Interrupted as stopped:
        say("demo: interrupted")
        sys.exit(128 + stopped.number)
