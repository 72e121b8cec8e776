"""The ledger in SQLite: what happened, and what is.

Wall time is written for people; order is always by row id.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from orchestrator.adapters.old_sqlite import versions
from orchestrator.adapters.old_sqlite.sealing import deployment_changed, version_changed, went_live
from orchestrator.adapters.old_sqlite.watching import WatchLedger
from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.record.chain import Switch
from orchestrator.domain.rollout.deployment import Deployment, DeploymentCount, Outcome, StepRecord
from orchestrator.domain.rollout.plan import Plan, Step
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.errors import LedgerDamaged, UsageError

if TYPE_CHECKING:
    from orchestrator.domain.record.labels import Restored

_DEPLOYMENT = (
    "id, app, kind, from_version, to_version, from_slot, to_slot, mode, actor, command, started_at,"
    " finished_at, outcome, reason, git_commit, config"
)


class SqliteLedger(WatchLedger):
    """What happened, and what is."""

    # The file as a whole

    def damage(self, *, thorough: bool = False) -> str | None:
        """What is wrong with the ledger: it is gone, or broken; None when it is in order.

        `thorough` also holds every index against its table, and takes its time.

        Raises:
            UsageError: a newer deployctl has written it.
            DeploymentFailed: it cannot be looked at.
        """
        try:
            rows = self._read("PRAGMA integrity_check(5)" if thorough else "PRAGMA quick_check(1)")
            self._read(f"SELECT {versions.NAMES} FROM versions LIMIT 1")
        except LedgerDamaged as error:
            return error.why
        found = "; ".join(str(row[0]) for row in rows)
        return None if found == "ok" else found

    def restore(self, apps: Sequence[Restored]) -> str:
        """Puts a new ledger in the damaged one's place; returns the name that the damaged one has now.

        The new file is whole before the old one is moved: a crash in between leaves the ledger damaged, not wrong.
        """
        self.close()
        new = self.path.with_name(f"{self.path.name}.new")
        aside = self.path.with_name(f"{self.path.name}.damaged-{self._now().replace(':', '')}")
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{new}{suffix}").unlink(missing_ok=True)
        fresh = SqliteLedger(new, now=self._now)
        with fresh._transaction() as db:
            _insert(db, apps, self._now())
        fresh._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        fresh.close()
        for suffix in ("-wal", "-shm", "-journal", ""):
            if Path(f"{self.path}{suffix}").exists():
                Path(f"{self.path}{suffix}").replace(f"{aside}{suffix}")
        new.replace(self.path)
        return aside.name

    def adopt(self, apps: Sequence[Restored]) -> None:
        """Adds apps that the ledger knows nothing of."""
        with self._transaction() as db:
            _insert(db, apps, self._now())

    # Apps and what the proxy knows of them

    def app_block(self, app: str, limit: int) -> int:
        """The app's block of addresses, given for ever at first sight.

        Raises:
            UsageError: all `limit` blocks are taken.
        """
        row = self._read("SELECT block FROM apps WHERE name = ?", (app,)).fetchone()
        if row:
            return int(row[0])
        with self._transaction() as db:
            block = int(db.execute("SELECT COALESCE(MAX(block), 0) + 1 FROM apps").fetchone()[0])
            if block > limit:
                raise UsageError(f"this state folder holds {limit} apps already", hint="use another --state-dir")
            db.execute("INSERT INTO apps (name, block) VALUES (?, ?)", (app, block))
        return block

    def apps(self) -> list[str]:
        return [row[0] for row in self._read("SELECT name FROM apps ORDER BY name")]

    def proxy_apps(self) -> list[ProxyApp]:
        rows = self._read("SELECT name, proxy FROM apps WHERE proxy IS NOT NULL ORDER BY name")
        return [_proxy_app(name, text) for name, text in rows]

    def proxy_app(self, app: str) -> ProxyApp | None:
        """One of them; None when the proxy does not know it."""
        row = self._read("SELECT proxy FROM apps WHERE name = ? AND proxy IS NOT NULL", (app,)).fetchone()
        return _proxy_app(app, row[0]) if row else None

    def save_proxy_app(self, app: ProxyApp) -> None:
        with self._transaction() as db:
            db.execute("UPDATE apps SET proxy = ? WHERE name = ?", (_proxy_text(app), app.name))

    def remove_proxy_app(self, app: str) -> None:
        with self._transaction() as db:
            db.execute("UPDATE apps SET proxy = NULL WHERE name = ?", (app,))

    # Slots

    def slots(self, app: str) -> dict[Slot, SlotState]:
        rows = self._read(
            "SELECT app, slot, version, deployment, state, since, warm_until, bake_until FROM slots WHERE app = ?",
            (app,),
        )
        return {row[1]: SlotState(*row) for row in rows}

    def live_slots(self) -> dict[str, Slot]:
        """Which slot is live, by app, of those that the proxy knows."""
        rows = self._read(
            "SELECT app, slot FROM slots JOIN apps ON apps.name = app WHERE state = 'live' AND proxy IS NOT NULL"
        )
        return dict(rows)

    def set_slot(
        self,
        app: str,
        slot: Slot,
        version: str,
        deployment: int,
        state: str,
        *,
        since: str | None = None,
        warm_until: str | None = None,
        bake_until: str | None = None,
    ) -> None:
        """Records what is in a slot, `since` when (now). A version that becomes live takes that mark from the other."""
        with self._transaction() as db:
            now = self._now()
            since = since or now
            if state == "live":
                here = (slot, version, deployment)
                before = db.execute(
                    "SELECT slot, version, deployment FROM slots WHERE app = ? AND state = 'live'", (app,)
                ).fetchone()
                if before != here:
                    went_live(db, now, app, Switch(version, slot, deployment, since))
                db.execute(
                    "UPDATE slots SET state = 'warm' WHERE app = ? AND state = 'live' AND slot <> ?",
                    (app, slot),
                )
            db.execute(
                "INSERT INTO slots (app, slot, version, deployment, state, since, warm_until, bake_until)"
                " VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (app, slot) DO UPDATE SET"
                " since = CASE WHEN slots.state = excluded.state AND slots.version = excluded.version"
                " AND slots.deployment = excluded.deployment THEN slots.since ELSE excluded.since END,"
                " version = excluded.version, deployment = excluded.deployment, state = excluded.state,"
                " warm_until = excluded.warm_until, bake_until = excluded.bake_until",
                (app, slot, version, deployment, state, since, warm_until, bake_until),
            )

    def clear_slot(self, app: str, slot: Slot) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM slots WHERE app = ? AND slot = ?", (app, slot))

    # Deployments and their journal

    def begin(
        self,
        plan: Plan,
        *,
        actor: str,
        command: str,
        commit: str | None,
        config: dict[str, Any],
        reason: str = "",
    ) -> Deployment:
        """Opens a deployment: nothing in the world has changed yet, and this record comes first."""
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO deployments (app, kind, from_version, to_version, from_slot, to_slot, mode, actor,"
                " command, git_commit, plan, config, reason, started_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (
                    plan.app,
                    plan.kind,
                    plan.from_version,
                    plan.to_version,
                    plan.from_slot,
                    plan.to_slot,
                    plan.mode,
                    actor,
                    command,
                    commit,
                    json.dumps([[step.name, step.args] for step in plan.steps]),
                    json.dumps(config),
                    reason,
                    self._now(),
                ),
            )
            number = cursor.lastrowid
            assert number is not None
            deployment_changed(db, self._now(), plan.app, number, "begun")
        found = self.deployment(plan.app, number)
        assert found is not None
        return found

    def finish(self, deployment: int, outcome: Outcome, reason: str) -> None:
        """Ends a deployment, and seals its journal. One that has ended stays as it is."""
        with self._transaction() as db:
            now = self._now()
            row = db.execute("SELECT app FROM deployments WHERE id = ? AND outcome IS NULL", (deployment,)).fetchone()
            if row is not None:
                db.execute(
                    "UPDATE deployments SET outcome = ?, reason = ?, finished_at = ? WHERE id = ?",
                    (outcome, reason, now, deployment),
                )
                deployment_changed(db, now, row[0], deployment, outcome)

    def plan_of(self, deployment: int) -> Plan:
        row = self._read(
            "SELECT kind, app, from_version, to_version, from_slot, to_slot, mode, plan FROM deployments WHERE id = ?",
            (deployment,),
        ).fetchone()
        kind, app, from_version, to_version, from_slot, to_slot, mode, steps = row
        planned = tuple(Step(name, args) for name, args in json.loads(steps))
        return Plan(kind, app, from_version, to_version, from_slot, to_slot, mode, planned)

    def open_deployment(self, app: str) -> Deployment | None:
        row = self._read(f"SELECT {_DEPLOYMENT} FROM deployments WHERE app = ? AND outcome IS NULL", (app,)).fetchone()
        return _deployment(row) if row else None

    def deployment(self, app: str, deployment: int) -> Deployment | None:
        row = self._read(
            f"SELECT {_DEPLOYMENT} FROM deployments WHERE app = ? AND id = ?", (app, deployment)
        ).fetchone()
        return _deployment(row) if row else None

    def deployments(self, app: str, limit: int = 50) -> list[Deployment]:
        """Newest first; `limit` -1 for all."""
        rows = self._read(f"SELECT {_DEPLOYMENT} FROM deployments WHERE app = ? ORDER BY id DESC LIMIT ?", (app, limit))
        return [_deployment(row) for row in rows]

    def placements(self, app: str) -> dict[int, tuple[str, str]]:
        """What each deployment has put where: a version, and a slot. Damage to other columns does not matter."""
        with self._snapshot() as db:
            rows = db.execute("SELECT id, to_version, to_slot FROM deployments WHERE app = ?", (app,))
            return {number: (version, slot) for number, version, slot in rows}

    def deployment_counts(self, app: str) -> list[DeploymentCount]:
        """All deployments that have ended, counted by kind and outcome."""
        # SQLite takes the columns beside MAX from the row that holds it: the last one, whatever the clock said.
        rows = self._read(
            "SELECT kind, outcome, COUNT(*), finished_at, MAX(id) FROM deployments"
            " WHERE app = ? AND outcome IS NOT NULL GROUP BY kind, outcome ORDER BY kind, outcome",
            (app,),
        )
        return [DeploymentCount(kind, outcome, count, last) for kind, outcome, count, last, _ in rows]

    def left_by_rollback(self, app: str) -> set[str]:
        """The versions that traffic was taken from by a rollback, the last time that it was taken from them."""
        # As above: the kind comes from the row with the highest id.
        rows = self._read(
            "SELECT from_version, kind, MAX(id) FROM deployments WHERE app = ? AND outcome = 'succeeded'"
            " AND from_version IS NOT NULL AND from_version <> to_version GROUP BY from_version",
            (app,),
        )
        return {version for version, kind, _ in rows if kind != "release"}

    def step_started(self, deployment: int, name: str, args: dict[str, Any], *, undo: bool) -> int:
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO steps (deployment, seq, name, args, undo, state, started_at) VALUES (?,"
                " (SELECT COUNT(*) + 1 FROM steps WHERE deployment = ?), ?, ?, ?, 'started', ?)",
                (deployment, deployment, name, json.dumps(args), undo, self._now()),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def step_finished(self, step: int, state: str, detail: dict[str, Any], seconds: float) -> None:
        with self._transaction() as db:
            now = self._now()
            db.execute(
                "UPDATE steps SET state = ?, finished_at = ?, detail = ?, seconds = ? WHERE id = ?",
                (state, now, json.dumps(detail), round(seconds, 3), step),
            )
            ended = db.execute(
                "SELECT d.app, d.id FROM steps s JOIN deployments d ON d.id = s.deployment"
                " WHERE s.id = ? AND d.outcome IS NOT NULL",
                (step,),
            ).fetchone()
            if ended is not None:
                # The last step is the one that ended the deployment, and sealed the journal without its own end.
                deployment_changed(db, now, ended[0], ended[1], "sealed")

    def steps(self, deployment: int) -> list[StepRecord]:
        rows = self._read(
            "SELECT id, deployment, seq, name, args, undo, state, started_at, finished_at, detail, seconds"
            " FROM steps"
            " WHERE deployment = ? ORDER BY id",
            (deployment,),
        )
        return [
            StepRecord(
                id_, owner, seq, name, json.loads(args), bool(undo), state, started, finished, json.loads(detail), took
            )
            for id_, owner, seq, name, args, undo, state, started, finished, detail, took in rows
        ]


def _insert(db: sqlite3.Connection, apps: Sequence[Restored], now: str) -> None:
    known = int(db.execute("SELECT COALESCE(MAX(block), 0) FROM apps").fetchone()[0])
    taken = max([known, *(app.block for app in apps)])
    for app in apps:
        if app.block == 0:  # none of its containers had an address: it gets a block that nobody has
            taken += 1
        db.execute(
            "INSERT INTO apps (name, block, proxy) VALUES (?,?,?)"
            " ON CONFLICT (name) DO UPDATE SET block = excluded.block, proxy = excluded.proxy",
            (app.app, app.block or taken, _proxy_text(app.proxy) if app.proxy else None),
        )
        for version in app.versions:
            versions.insert(db, version)
            version_changed(db, now, app.app, version.name, "restored")
        for slot in app.slots:
            db.execute(
                "INSERT INTO slots (app, slot, version, deployment, state, since, warm_until) VALUES (?,?,?,?,?,?,?)",
                (slot.app, slot.slot, slot.version, slot.deployment, slot.state, slot.since, slot.warm_until),
            )
            if slot.state == "live":
                went_live(db, now, app.app, Switch(slot.version, slot.slot, slot.deployment, slot.since))
        for found in app.deployments:
            values = {name: getattr(found, name) for name in _columns(_DEPLOYMENT) if name != "config"}
            values |= {"config": "{}", "plan": "{}"}
            names, marks = ", ".join(values), ",".join("?" * len(values))
            written = db.execute(
                f"INSERT OR IGNORE INTO deployments ({names}) VALUES ({marks})", tuple(values.values())
            )
            if written.rowcount:  # else another app has the number: that one's record stays as it is
                deployment_changed(db, now, app.app, found.id, "restored")


def _proxy_text(app: ProxyApp) -> str:
    slots = {slot: asdict(b) for slot, b in app.slots.items()}
    return json.dumps({"route": asdict(app.route), "slots": slots, "spare": app.spare})


def _deployment(row: Any) -> Deployment:
    columns = dict(zip(_columns(_DEPLOYMENT), row, strict=True))
    return Deployment(**{**columns, "config": json.loads(columns["config"])})


def _columns(names: str) -> list[str]:
    return [name.strip() for name in names.split(",")]


# Every pass over many apps reads all of them for each, and finds most as they were.
@lru_cache(maxsize=256)
def _proxy_app(name: str, text: str) -> ProxyApp:
    data = json.loads(text)
    route = data["route"]
    slots: dict[Slot, SlotEndpoints] = {}
    for slot, item in data["slots"].items():
        probe = {**item["probe"], "statuses": tuple(item["probe"]["statuses"])}
        slots[cast("Slot", slot)] = SlotEndpoints(
            item["version"], tuple(item["addresses"]), ProbeSpec(**probe), item["active"]
        )
    return ProxyApp(name, Route(**{**route, "hosts": tuple(route["hosts"])}), slots, data.get("spare"))
