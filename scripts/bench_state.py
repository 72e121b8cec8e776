"""Benchmark: the effect of a long history and of many apps on the commands."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.adapters.docker.addresses import address
from orchestrator.adapters.sqlite.ledger import SqliteLedger
from orchestrator.adapters.sqlite.sealing import append
from scripts.bench_traffic import Row, median, run
from tests.engine.harness import App

COMMANDS = (("status",), ("history", "-n", "10"), ("recover",))
# The number of deployments of each of the other apps.
_OTHERS_HAVE = 100
# This many deployments of the measured app are real: the rest of the history is copied from the second of them.
_REAL = 4
Record = dict[str, Any]


def growth(folder: Path, runs: int, apps: int, deployments: int) -> list[Row]:
    """Commands on an app with ten deployments, and on one with `deployments` among `apps` apps, in turns."""
    few, many = _grown(folder, "few", 1, 10), _grown(folder, "many", apps, deployments)
    program = str(Path(sys.executable).with_name("deployctl"))
    took: dict[tuple[str, str], list[float]] = {}
    try:
        for _ in range(runs):
            for command in COMMANDS:
                for app in (few, many):
                    started = time.perf_counter()
                    run([program, "--state-dir", str(app.state_dir), *command], cwd=app.folder)
                    took.setdefault((app.name, command[0]), []).append(time.perf_counter() - started)
    finally:
        few.clean()
        many.clean()
    rows: list[Row] = []
    for command in COMMANDS:
        one, other = median(took["few", command[0]]), median(took["many", command[0]])
        what, aim = f"deployctl {' '.join(command)}", "-" if command == ("recover",) else "1.3 times"
        rows += [
            (f"{what}: 1 app, 10 deployments", f"{one * 1000:.0f} ms", "-", "-"),
            (
                f"the same: {apps} apps, {deployments:,} deployments of this one",
                f"{other * 1000:.0f} ms",
                f"{other / one:.2f} times",
                aim,
            ),
        ]
    return rows


def _grown(folder: Path, name: str, apps: int, deployments: int) -> App:
    """A live app with `deployments` behind it and `apps` in its ledger and its proxy."""
    app = App(folder / name, folder / f"{name}-state", name=name)
    app.config["health"]["successes"] = 1
    app.config["retention"]["versions"] = 3
    try:
        # The copied deployments come before the real ones.
        before = (apps - 1) * _OTHERS_HAVE
        _begin_at(app, before + deployments - _REAL)
        first = deployments - _REAL + 1
        app.release(f"v{first}")
        app.release(f"v{first + 1}")
        with sqlite3.connect(app.state_dir / "ledger.db") as db:
            db.row_factory = sqlite3.Row
            _fill(db, app, before, deployments - _REAL, apps)
        db.close()
        app.run("recover")  # adds the other apps to the proxy
        for number in range(first + 2, deployments + 1):
            app.release(f"v{number}")
        _check(app, apps, deployments)
    except BaseException:
        app.clean()
        raise
    return app


def _begin_at(app: App, number: int) -> None:
    """Creates an empty ledger whose next deployment has the number after `number`."""
    app.state_dir.mkdir()
    ledger = SqliteLedger(app.state_dir / "ledger.db", now=str)
    ledger.apps()
    ledger.close()
    with sqlite3.connect(app.state_dir / "ledger.db") as db:
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('deployments', ?)", (number,))
    db.close()


def _fill(db: sqlite3.Connection, app: App, before: int, own: int, apps: int) -> None:
    """Puts the history of the app and of all others before the deployments that there are."""
    model = {table: _newest(db, table) for table in ("apps", "versions", "deployments", "traffic")}
    others = [f"other{number}" for number in range(2, apps + 1)]
    subnet = _subnet(app)
    _insert(db, "apps", [_as_other(model["apps"], subnet, name, number) for number, name in enumerate(others, 2)])
    histories = [(name, index * _OTHERS_HAVE, _OTHERS_HAVE) for index, name in enumerate(others)]
    for name, start, count in [*histories, (app.name, before, own)]:
        _insert(db, "versions", [_version(model["versions"], name, number) for number in range(1, count + 1)])
        copies = [_deployment(model["deployments"], name, start, number) for number in range(1, count + 1)]
        _insert(db, "deployments", copies)
    db.execute("UPDATE versions SET parent = ? WHERE app = ? AND name = ?", (f"v{own}", app.name, f"v{own + 1}"))
    for name, start, count in histories:
        live, cold = _slot(name, "green", "ready", start, count), _slot(name, "blue", "cold", start, count - 1)
        _insert(db, "slots", [live, cold])
        _insert(db, "traffic", [{**model["traffic"], "app": name, "live": "green"}])
    # Every copy has the steps of its original, and an event.
    columns = [row[1] for row in db.execute("PRAGMA table_info(steps)") if row[1] not in ("id", "deployment")]
    db.execute(
        f"INSERT INTO steps (deployment, {', '.join(columns)}) SELECT d.id, {', '.join('s.' + c for c in columns)}"
        " FROM deployments d JOIN steps s ON s.deployment = ? WHERE d.id <= ? ORDER BY d.id, s.seq",
        (model["deployments"]["id"], before + own),
    )
    for at, name in db.execute("SELECT started_at, app FROM deployments").fetchall():
        append(db, at, name, "repaired", {})


def _as_other(record: Record, subnet: str, name: str, number: int) -> Record:
    """An app beside the measured one: behind the same address, by its own name, with addresses of its own."""
    proxy = json.loads(record["proxy"])
    proxy["route"]["hosts"] = [f"{name}.example"]
    real = proxy["slots"]["blue"]
    proxy["slots"] = {
        slot: {**real, "addresses": [address(subnet, number, slot, 1)], "active": slot == "green"}
        for slot in ("blue", "green")
    }
    return {"name": name, "number": number, "proxy": json.dumps(proxy)}


def _subnet(app: App) -> str:
    (found,) = app.place.client().networks.list(names=[app.names.network])
    return str(found.attrs["IPAM"]["Config"][0]["Subnet"])


def _version(record: Record, app: str, number: int) -> Record:
    parent = f"v{number - 1}" if number > 1 else None
    names = {"name": f"v{number}", "image": f"{app}:v{number}", "parent": parent}
    return {**record, **names, "app": app, "pruned_at": record["live_at"]}


def _deployment(record: Record, app: str, before: int, number: int) -> Record:
    came_from = f"v{number - 1}" if number > 1 else None
    slots = {"from_slot": ("green", "blue")[number % 2], "to_slot": ("blue", "green")[number % 2]}
    return {**record, **slots, "id": before + number, "app": app, "from_version": came_from, "to_version": f"v{number}"}


def _slot(app: str, slot: str, state: str, before: int, number: int) -> Record:
    record = {"app": app, "slot": slot, "version": f"v{number}", "deployment": before + number, "state": state}
    return {**record, "since": "2026-01-01T00:00:00.000000Z"}


def _newest(db: sqlite3.Connection, table: str) -> Record:
    return dict(db.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone())


def _insert(db: sqlite3.Connection, table: str, records: Iterable[Record]) -> None:
    for record in records:
        db.execute(
            f"INSERT INTO {table} ({', '.join(record)}) VALUES ({', '.join('?' * len(record))})", tuple(record.values())
        )


def _check(app: App, apps: int, deployments: int) -> None:
    """Checks the app, and the size of its ledger and its proxy."""
    status = app.json("status")
    assert status["state"] == "stable" and status["live"]["version"] == f"v{deployments}", status
    newest = app.json("history", "-n", "1")["deployments"][0]
    assert newest["id"] == (apps - 1) * _OTHERS_HAVE + deployments, newest
    assert len((app.state_dir / "proxy" / "routes.map").read_text().splitlines()) == apps
    with sqlite3.connect(app.state_dir / "ledger.db") as db:
        (count,) = db.execute("SELECT COUNT(*) FROM deployments WHERE app = ?", (app.name,)).fetchone()
    db.close()
    assert count == deployments, count
