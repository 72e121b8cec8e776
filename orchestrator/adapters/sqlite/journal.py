"""The ledger's deployments and their steps. Order is always by row id; wall time is for people."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import Any

from orchestrator.adapters.sqlite.file import LedgerFile
from orchestrator.adapters.sqlite.sealing import deployment_changed
from orchestrator.domain.rollout.deployment import Deployment, DeploymentCount, Outcome, PlanRecord, StepRecord
from orchestrator.domain.traffic.maintenance import Maintenance
from orchestrator.domain.traffic.state import TrafficState

_COLUMNS = (
    "id",
    "app",
    "kind",
    "from_version",
    "to_version",
    "from_slot",
    "to_slot",
    "mode",
    "actor",
    "command",
    "started_at",
    "finished_at",
    "outcome",
    "reason",
    "git_commit",
    "config",
)
_DEPLOYMENT = ", ".join(_COLUMNS)
_STEP = "id, deployment, seq, name, args, undo, state, started_at, finished_at, detail, seconds"


class SqliteJournal(LedgerFile):
    """Deployments and their steps; each step is recorded before it runs."""

    def begin(
        self,
        plan: PlanRecord,
        *,
        actor: str,
        command: str,
        commit: str | None,
        config: dict[str, Any],
        reason: str = "",
    ) -> Deployment:
        """Opens a deployment, before it changes anything. An app has at most one open deployment.

        Raises:
            StorageError: another one is open, or the ledger cannot be written.
        """
        with self._transaction() as db:
            now = self._now()
            number = _insert(
                db,
                app=plan.app,
                kind=plan.kind,
                from_version=plan.from_version,
                to_version=plan.to_version,
                from_slot=plan.from_slot,
                to_slot=plan.to_slot,
                mode=plan.mode,
                actor=actor,
                command=command,
                git_commit=commit,
                before=json.dumps(asdict(plan.before)),
                plan=json.dumps(plan.steps),
                config=json.dumps(config),
                reason=reason,
                started_at=now,
            )
            assert number is not None
            deployment_changed(db, now, plan.app, number, "begun")
        deployment = self.deployment(plan.app, number)
        assert deployment is not None
        return deployment

    def finish(self, deployment: int, outcome: Outcome, reason: str) -> None:
        """Ends a deployment and seals its journal. Does nothing if it has ended."""
        with self._transaction() as db:
            now = self._now()
            row = db.execute("SELECT app FROM deployments WHERE id = ? AND outcome IS NULL", (deployment,)).fetchone()
            if row is not None:
                db.execute(
                    "UPDATE deployments SET outcome = ?, reason = ?, finished_at = ? WHERE id = ?",
                    (outcome, reason, now, deployment),
                )
                deployment_changed(db, now, row[0], deployment, outcome)

    def plan_of(self, deployment: int) -> PlanRecord:
        """The plan that a deployment was opened with."""
        row = self._read(
            "SELECT kind, app, from_version, to_version, from_slot, to_slot, mode, before, plan FROM deployments"
            " WHERE id = ?",
            (deployment,),
        ).fetchone()
        kind, app, from_version, to_version, from_slot, to_slot, mode, before, plan = row
        steps = tuple((name, args) for name, args in json.loads(plan))
        return PlanRecord(kind, app, from_version, to_version, from_slot, to_slot, mode, _state(before), steps)

    def step_started(self, deployment: int, name: str, args: dict[str, Any], *, undo: bool) -> int:
        """Records that a step begins; returns the number of the record."""
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO steps (deployment, seq, name, args, undo, state, started_at) VALUES (?,"
                " (SELECT COUNT(*) + 1 FROM steps WHERE deployment = ?), ?, ?, ?, 'started', ?)",
                (deployment, deployment, name, json.dumps(args), undo, self._now()),
            )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def step_finished(self, step: int, state: str, detail: dict[str, Any], seconds: float) -> None:
        """Records how a step ended: `done` or `failed`, its details, and its duration in seconds."""
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
                # The last step ends the deployment, which seals the journal before the end of that step is recorded.
                deployment_changed(db, now, ended[0], ended[1], "sealed")

    def steps(self, deployment: int) -> list[StepRecord]:
        """The journal of a deployment, oldest first."""
        rows = self._read(f"SELECT {_STEP} FROM steps WHERE deployment = ? ORDER BY id", (deployment,))
        return [
            StepRecord(
                number, owner, seq, name, json.loads(args), bool(undo), state, started, ended, json.loads(detail), took
            )
            for number, owner, seq, name, args, undo, state, started, ended, detail, took in rows
        ]

    def open_deployment(self, app: str) -> Deployment | None:
        """The deployment that has not ended."""
        row = self._read(f"SELECT {_DEPLOYMENT} FROM deployments WHERE app = ? AND outcome IS NULL", (app,)).fetchone()
        return _deployment(row) if row else None

    def deployment(self, app: str, deployment: int) -> Deployment | None:
        """One deployment by its id."""
        row = self._read(
            f"SELECT {_DEPLOYMENT} FROM deployments WHERE app = ? AND id = ?", (app, deployment)
        ).fetchone()
        return _deployment(row) if row else None

    def deployments(self, app: str, limit: int = 50) -> list[Deployment]:
        """The newest `limit` deployments, newest first; -1 for all."""
        rows = self._read(f"SELECT {_DEPLOYMENT} FROM deployments WHERE app = ? ORDER BY id DESC LIMIT ?", (app, limit))
        return [_deployment(row) for row in rows]

    def deployment_counts(self, app: str) -> list[DeploymentCount]:
        """How many deployments have ended, by kind and outcome."""
        # SQLite takes the other columns from the row with the maximum id: the newest one, independent of the clock.
        rows = self._read(
            "SELECT kind, outcome, COUNT(*), finished_at, MAX(id) FROM deployments"
            " WHERE app = ? AND outcome IS NOT NULL GROUP BY kind, outcome ORDER BY kind, outcome",
            (app,),
        )
        return [DeploymentCount(kind, outcome, count, last) for kind, outcome, count, last, _ in rows]

    def placements(self, app: str) -> dict[int, tuple[str, str]]:
        """Which version each deployment put into which slot. Read even where other columns are damaged."""
        with self._snapshot() as db:
            rows = db.execute("SELECT id, to_version, to_slot FROM deployments WHERE app = ?", (app,))
            return {number: (version, slot) for number, version, slot in rows}

    def left_by_rollback(self, app: str) -> set[str]:
        """The versions whose last loss of the traffic was by a rollback."""
        # As in deployment_counts: the kind is that of the row with the highest id.
        rows = self._read(
            "SELECT from_version, kind, MAX(id) FROM deployments WHERE app = ? AND outcome = 'succeeded'"
            " AND from_version IS NOT NULL AND from_version <> to_version AND kind NOT IN ('drill', 'abort')"
            " GROUP BY from_version",
            (app,),
        )
        return {version for version, kind, _ in rows if kind in ("rollback", "auto-rollback")}


def restore_deployment(db: sqlite3.Connection, now: str, deployment: Deployment) -> None:
    """Writes a deployment that was restored from labels, unless another app has a deployment with its number."""
    facts = {name: getattr(deployment, name) for name in _COLUMNS}
    unknown = {"config": "{}", "plan": "[]", "before": json.dumps(asdict(TrafficState()))}
    if _insert(db, or_ignore=True, **{**facts, **unknown}) is not None:
        deployment_changed(db, now, deployment.app, deployment.id, "restored")


def _insert(db: sqlite3.Connection, *, or_ignore: bool = False, **values: object) -> int | None:
    """Returns the number of the new row; None when an existing row conflicts with it."""
    names, marks = ", ".join(values), ",".join("?" * len(values))
    verb = "INSERT OR IGNORE" if or_ignore else "INSERT"
    cursor = db.execute(f"{verb} INTO deployments ({names}) VALUES ({marks})", tuple(values.values()))
    return cursor.lastrowid if cursor.rowcount else None


def _state(text: str) -> TrafficState:
    facts = json.loads(text)
    maintenance = facts.get("maintenance")
    return TrafficState(**{**facts, "maintenance": Maintenance(**maintenance) if maintenance else None})


def _deployment(row: Any) -> Deployment:
    columns = dict(zip(_COLUMNS, row, strict=True))
    return Deployment(**{**columns, "config": json.loads(columns["config"])})
