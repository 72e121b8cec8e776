"""The demo's four acts; scripts/demo sets everything up and calls this.

Act 1 releases v1, act 2 v2, act 3 tries v3 (which never becomes healthy), act 4 rolls back. From the end of the
first act on, clients send predictions all the time. Each act says what it promises, and is held to it.
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
WATCH_SECONDS = 2.0  # how long the clients go on after each act, at least
WATCH_LIMIT = 20.0  # and at most, when not every held-out digit has been asked yet


class Interrupted(BaseException):
    """A signal asked the demo to stop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


# The acts


@dataclass(frozen=True)
class Act:
    """What is done, and what is promised: the exit code, who may answer meanwhile, who answers afterwards."""

    title: str
    command: tuple[str, ...]
    model: str | None
    exit_code: int
    during: frozenset[str]
    after: str


ACTS = (
    Act("release v1", ("release", "v1"), "v1", 0, frozenset({"v1"}), "v1"),
    Act("release v2", ("release", "v2"), "v2", 0, frozenset({"v1", "v2"}), "v2"),
    Act("release v3, which is broken", ("release", BROKEN), BROKEN, 3, frozenset({"v2"}), "v2"),
    Act("roll back to v1", ("rollback",), None, 0, frozenset({"v1", "v2"}), "v1"),
)


@dataclass
class Seen:
    """What came of an act."""

    act: Act
    exit_code: int
    seconds: float
    replies: list[Reply]
    broken: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[Reply]:
        return [reply for reply in self.replies if reply.problem]

    @property
    def versions(self) -> Counter[str]:
        """How many good replies each version gave, in the order in which the versions first answered."""
        return Counter(reply.version for reply in self.replies if not reply.problem)

    @property
    def paths(self) -> dict[int, list[str]]:
        """The versions that each client met one after the other."""
        found: dict[int, list[str]] = {}
        for reply in self.replies:
            path = found.setdefault(reply.client, [])
            if not reply.problem and path[-1:] != [reply.version]:
                path.append(reply.version)
        return found


def judge(seen: Seen, ended: float, live: str) -> list[str]:
    """The promises that the act broke, in words; none when all is well."""
    act, broken = seen.act, []
    if seen.exit_code != act.exit_code:
        broken.append(f"deployctl ended with {seen.exit_code}, not {act.exit_code}")
    if live != act.after:
        broken.append(f"deployctl status says that {live} is live, not {act.after}")
    if seen.failed:
        broken.append(f"{len(seen.failed)} requests failed, first: {seen.failed[0].problem}")
    if strangers := set(seen.versions) - act.during:
        broken.append(f"answered by {', '.join(sorted(strangers))}")
    late = [reply for reply in seen.replies if reply.began > ended and not reply.problem]
    if wrong := {reply.version for reply in late} - {act.after}:
        broken.append(f"after the command's end, {', '.join(sorted(wrong))} still answered")
    if strays := [client for client, versions in seen.paths.items() if len(versions) > len({act.after, *act.during})]:
        broken.append(f"{len(strays)} clients were sent back and forth between versions")
    if not late:
        broken.append("nobody answered after the command's end")
    return broken


def play(stage: Stage, act: Act, clients: Clients, digits: Digits, asked: dict[str, dict[int, bool]]) -> Seen:
    """One act: the command, then some more traffic. `asked` gathers version → digit → right or not."""
    if act.model is not None:
        stage.configure(act.model)
    first = clients.answered
    began = time.monotonic()
    code = deployctl(stage, *act.command)
    ended = time.monotonic()
    took = ended - began
    live = live_version(stage)
    if not clients.started:
        if code != act.exit_code:
            raise DemoError(f"the first release ended with {code}: there is nothing to send predictions to")
        clients.start()
        ended = time.monotonic()
    watch(clients, first, act.after, len(digits.labels), asked)
    replies = clients.replies(first)
    seen = Seen(act, code, took, replies)
    seen.broken = judge(seen, ended, live)
    return seen


def watch(clients: Clients, first: int, version: str, digits: int, asked: dict[str, dict[int, bool]]) -> None:
    """Lets the clients go on for a while, until `version` has seen every held-out digit."""
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
    """Each version must be as good as when it was trained: then it is that model, and not another, that answered."""
    metrics = json.loads((SAMPLE / "metrics.json").read_text())
    broken = []
    for version, digits in sorted(asked.items()):
        right, expected = sum(digits.values()), metrics[version]["correct"]
        if (len(digits), right) != (metrics["heldout"], expected):
            broken.append(
                f"{version} got {right} of {len(digits)} held-out digits right, not {expected} of {metrics['heldout']}"
            )
    return broken


def table(found: list[Seen]) -> str:
    rows = [("act", "exit code", "seconds", "requests", "failed", "slowest", "answered by")]
    for number, seen in enumerate(found, 1):
        slowest = max((reply.ended - reply.began for reply in seen.replies), default=0.0)
        rows.append(
            (
                f"{number}. {seen.act.title}",
                str(seen.exit_code),
                f"{seen.seconds:.1f}",
                f"{len(seen.replies):,}",
                str(len(seen.failed)),
                f"{slowest * 1000:.0f} ms",
                ", ".join(f"{version} {count:,}" for version, count in seen.versions.items()) or "nobody",
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
    """All acts; prints the result and returns the broken promises. `ready` is called after the first act."""
    asked: dict[str, dict[int, bool]] = {}
    found: list[Seen] = []
    for number, act in enumerate(ACTS, 1):
        say(f"\nAct {number}: {act.title}")
        seen = play(stage, act, clients, digits, asked)
        if number == 1:
            ready()
        found.append(seen)
        served = ", then ".join(seen.versions) or "nobody"
        counted = f"{len(seen.replies):,} requests, {len(seen.failed)} failed"
        say(f"    exit code {seen.exit_code}; {counted}; {served} served")
        for text in seen.broken:
            say(f"    NOT AS PROMISED: {text}")
    clients.stop()
    last = clients.replies()
    say("\n" + table(found) + "\n")
    say("  right on the held-out digits: " + ", ".join(f"{v} {accuracy(asked[v])}" for v in sorted(asked)))
    say(f"  {len(last):,} requests in all, over {clients.connections} connections, nothing retried")
    broken = [f"act {number}: {text}" for number, seen in enumerate(found, 1) for text in seen.broken]
    broken += [f"a client broke down: {name}" for name in clients.broken]
    return broken + judge_accuracy(asked) + look_back(stage)


def look_back(stage: Stage) -> list[str]:
    """What is known afterwards, and whether it is true."""
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


# From beginning to end


def where_next(stage: Stage | None) -> None:
    say("\nWhere to look next:")
    say("  README.md                       what it is, and the first steps with a model of your own")
    say("  docs/                           how it works, and the contract of its JSON output")
    say("  compose/sample-model/           the model of this demo and its deploy.toml")
    say("  .venv/bin/deployctl --help      all commands: plan, release, rollback, status, history, tree …")
    if stage is None:
        say("  scripts/demo --keep             the same, left running: then ask deployctl status, history, tree, logs")
        return
    say("\nIt goes on running. Look at it:")
    say(f"  export DEPLOYCTL_STATE_DIR={stage.state} PATH={DEPLOYCTL.parent}:$PATH")
    say(f"  cd {stage.model}")
    say("  deployctl status; deployctl history; deployctl tree; deployctl show v3")
    pixels = (
        '$(python3 -c \'import json; print(json.dumps({"pixels": json.load(open("heldout.json"))["images"][0]}))\')'
    )
    say(f'  curl -si 127.0.0.1:{stage.port}/predict -d "{pixels}"')
    say("  deployctl release v2            make v2 live again")
    say("And remove it:")
    say(f"  scripts/demo --clean {stage.folder}")


class Signals:
    """The first signal interrupts the demo; once it cleans up, nothing does."""

    def __init__(self) -> None:
        self.deaf = False
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if not self.deaf:
            self.deaf = True
            raise Interrupted(number)


@contextmanager
def cleared(client: DockerClient, folder: Path, signals: Signals) -> Iterator[list[bool]]:
    """Removes everything at the end, unless `keep[0]` was set and the end came by itself."""
    keep = [False]
    ended = False
    try:
        yield keep
        ended = True
    finally:
        if not (ended and keep[0]):
            signals.deaf = True
            say("\nCleaning up …")
            clear(client, folder)
            say("  the demo's containers, network, images and files are gone")
            say(f"  kept for the next time: deployctl-base, deployctl-proxy, {LAYER.partition(':')[0]} (images)")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="Four acts under traffic; see scripts/demo --help."
    )
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--clean", type=Path, metavar="FOLDER")
    parser.add_argument("--clients", type=int, default=8, metavar="N")
    parser.add_argument("--log", type=Path, metavar="FILE")
    found = parser.parse_args()
    if not 1 <= found.clients <= 256:
        parser.error("--clients: from 1 to 256")
    return found


def main() -> int:
    options = arguments()
    began = time.monotonic()
    if options.clean is not None:
        folder: Path = options.clean.resolve()
        if not folder.name.startswith(PREFIX) or not folder.is_dir():
            say(f"demo: {folder} is not a folder that a demo has left")
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
        say(f"deployctl in four acts. From the end of the first one, {options.clients} clients send handwritten digits")
        say(f"to 127.0.0.1:{stage.port}, on keep-alive connections, all the time, and retry nothing.")
        try:
            broken = perform(stage, clients, digits, lambda: keep_layer(client, f"{stage.app}:v1"))
        finally:
            clients.stop()
            if options.log is not None:
                write_log(options.log, clients.replies())
        if broken:
            say("\nNOT everything went as promised:")
            for text in broken:
                say(f"  - {text}")
        else:
            say(f"\nEverything went as promised, in {time.monotonic() - began:.0f} s.")
        keep[0] = options.keep
        stage.configure("v2")  # as where_next() says
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
