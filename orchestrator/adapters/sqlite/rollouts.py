"""The ledger's rollouts."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, fields, replace
from typing import Any

from orchestrator.adapters.sqlite.file import LedgerFile
from orchestrator.adapters.sqlite.sealing import append
from orchestrator.domain.rollout.rollout import Evidence, Rollout

# Another version of deployctl may have written more.
_FIELDS = {field.name for field in fields(Rollout)}


class SqliteRollouts(LedgerFile):
    """Rollouts: each row is written anew when its state changes."""

    def begin_rollout(self, rollout: Rollout) -> Rollout:
        """Records a rollout that begins; returns it with its id. Does nothing when its deployment has begun one."""
        with self._transaction() as db:
            known = db.execute(
                "SELECT id, data, outcome FROM rollouts WHERE app = ? AND deployment = ?",
                (rollout.app, rollout.deployment),
            ).fetchone()
            if known is not None:
                return _rollout(known)
            number = db.execute(
                "INSERT INTO rollouts (app, version, deployment, data) VALUES (?,?,?,?)",
                (rollout.app, rollout.version, rollout.deployment, _text(rollout)),
            ).lastrowid
            assert number is not None
            began = {"rollout": number, "version": rollout.version, "instead of": rollout.old, "actor": rollout.actor}
            append(db, self._now(), rollout.app, "rollout-begun", began)
        return replace(rollout, id=number)

    def set_rollout(self, rollout: Rollout) -> None:
        """Writes the present state of a rollout. One that has ended is not changed any more."""
        with self._transaction() as db:
            db.execute(
                "UPDATE rollouts SET data = ?, ended_at = ?, outcome = ? WHERE id = ? AND outcome IS NULL",
                (_text(rollout), rollout.ended_at, rollout.outcome, rollout.id),
            )

    def open_rollout(self, app: str) -> Rollout | None:
        """The rollout that has not ended."""
        row = self._read(
            "SELECT id, data, outcome FROM rollouts WHERE app = ? AND outcome IS NULL ORDER BY id DESC LIMIT 1", (app,)
        ).fetchone()
        return _rollout(row) if row else None

    def rollout(self, number: int) -> Rollout | None:
        """The rollout with this id."""
        row = self._read("SELECT id, data, outcome FROM rollouts WHERE id = ?", (number,)).fetchone()
        return _rollout(row) if row else None

    def rollouts(self, app: str, limit: int = -1) -> list[Rollout]:
        """The newest rollouts, newest first; -1: all."""
        rows = self._read("SELECT id, data, outcome FROM rollouts WHERE app = ? ORDER BY id DESC LIMIT ?", (app, limit))
        return [_rollout(row) for row in rows]


def _text(rollout: Rollout) -> str:
    data: dict[str, Any] = {**asdict(rollout), "evidence": rollout.evidence.to_json()}
    data.pop("id")
    return json.dumps(data)


def _rollout(row: sqlite3.Row | tuple[Any, ...]) -> Rollout:
    number, text, _ = row
    data = {name: value for name, value in json.loads(text).items() if name in _FIELDS}
    return Rollout(
        **{**data, "id": number, "stages": tuple(data["stages"]), "evidence": Evidence.from_json(data["evidence"])}
    )
