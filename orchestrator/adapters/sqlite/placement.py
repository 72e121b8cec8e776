"""The ledger's apps, slots and traffic."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, cast

from orchestrator.adapters.sqlite.file import LedgerFile
from orchestrator.adapters.sqlite.removals import clear
from orchestrator.adapters.sqlite.sealing import MAINTENANCE, append, last_live, went_live
from orchestrator.domain.engine import Engine
from orchestrator.domain.health.probe import ProbeSpec
from orchestrator.domain.record.chain import Switch
from orchestrator.domain.traffic.maintenance import Maintenance, MaintenanceRecord
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.domain.traffic.slot import Slot, SlotState
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import LedgerDamaged

_SLOT = "app, slot, version, deployment, state, since, warm_until, bake_until"
_TRAFFIC = "live, candidate, share, shield, preview, held, patience, sessions"


class SqlitePlacement(LedgerFile):
    """Which version is in which slot, and which slot gets the requests."""

    def engine(self) -> Engine | None:
        """The engine that the containers run on; None when none was recorded."""
        row = self._read("SELECT id, name, host FROM engine").fetchone()
        return Engine(*row) if row else None

    def record_engine(self, engine: Engine) -> None:
        """Writes the engine that the containers run on. The same one again changes nothing."""
        if self.engine() == engine:
            return
        with self._transaction() as db:
            db.execute("DELETE FROM engine")
            db.execute("INSERT INTO engine (id, name, host) VALUES (?, ?, ?)", (engine.id, engine.name, engine.host))

    def apps(self) -> list[str]:
        """All apps, sorted, without those that were removed."""
        return [row[0] for row in self._read("SELECT name FROM apps WHERE removed_at IS NULL ORDER BY name")]

    def next_app_number(self, app: str) -> int:
        """The number that `app_number` would return. Adds nothing."""
        query = "SELECT COALESCE((SELECT number FROM apps WHERE name = ?), (SELECT MAX(number) FROM apps) + 1, 1)"
        return int(self._read(query, (app,)).fetchone()[0])

    def app_number(self, app: str) -> int:
        """The app's number in the state folder: from 1, never assigned to another app.

        Adds an app that is new, or was removed.
        """
        row = self._read("SELECT number FROM apps WHERE name = ? AND removed_at IS NULL", (app,)).fetchone()
        if row:
            return int(row[0])
        with self._transaction() as db:
            # Another process may have added the app since the query.
            db.execute(
                "INSERT INTO apps (name, number) SELECT ?, COALESCE(MAX(number), 0) + 1 FROM apps WHERE true"
                " ON CONFLICT (name) DO NOTHING",
                (app,),
            )
            if db.execute(
                "UPDATE apps SET removed_at = NULL WHERE name = ? AND removed_at IS NOT NULL", (app,)
            ).rowcount:
                clear(db, app)  # a command that waited for the removal may have counted something
            return int(db.execute("SELECT number FROM apps WHERE name = ?", (app,)).fetchone()[0])

    def slots(self, app: str) -> dict[Slot, SlotState]:
        """The state of each slot; empty slots are missing."""
        rows = self._read(f"SELECT {_SLOT} FROM slots WHERE app = ?", (app,))
        return {row[1]: SlotState(*row) for row in rows}

    def set_slot(self, state: SlotState) -> None:
        """Writes the state of a slot. `since` is kept while version, deployment and state stay the same."""
        with self._transaction() as db:
            write_slot(db, state)

    def clear_slot(self, app: str, slot: Slot) -> None:
        """Records that a slot is empty. May be repeated."""
        with self._transaction() as db:
            db.execute("DELETE FROM slots WHERE app = ? AND slot = ?", (app, slot))

    def traffic(self, app: str) -> TrafficState:
        """The traffic state of an app; without a record no slot is live."""
        row = self._read(f"SELECT {_TRAFFIC}, maintenance FROM traffic WHERE app = ?", (app,)).fetchone()
        return self._traffic_state(app, row) if row else TrafficState()

    def traffic_states(self) -> dict[str, TrafficState]:
        """The traffic states of all apps that are registered with the proxy."""
        rows = self._read(
            f"SELECT name, t.app, {_TRAFFIC}, maintenance FROM apps LEFT JOIN traffic t ON t.app = name"
            " WHERE proxy IS NOT NULL ORDER BY name"
        )
        return {name: self._traffic_state(name, row) if known else TrafficState() for name, known, *row in rows}

    def set_traffic(self, app: str, state: TrafficState) -> None:
        """Writes the traffic state, if the live slot stays the same (or no slot is live any more).

        Its maintenance is not written: see `set_maintenance`.

        Raises:
            ValueError: another slot would become live. Only `go_live` records that, with its event.
        """
        with self._transaction() as db:
            if state.live not in (None, _live_slot(db, app)):
                raise ValueError(f"{state.live} of {app} becomes live by go_live, not by set_traffic")
            write_traffic(db, app, state)

    def maintenance(self, app: str) -> MaintenanceRecord | None:
        """The app's maintenance; None when there is none."""
        row = self._read("SELECT maintenance FROM traffic WHERE app = ?", (app,)).fetchone()
        return self._maintenance(app, row[0]) if row else None

    def set_maintenance(self, app: str, record: MaintenanceRecord | None, event: dict[str, Any]) -> None:
        """Writes the app's maintenance (None: it has ended) and an event with these details in one transaction.

        Raises:
            ValueError: the app has no live version.
        """
        with self._transaction() as db:
            if _live_slot(db, app) is None:
                raise ValueError(f"{app} has no live version, so it cannot be in maintenance")
            write_maintenance(db, app, record)
            append(db, self._now(), app, MAINTENANCE, event)

    def go_live(self, slot: SlotState, traffic: TrafficState) -> None:
        """Writes in one transaction that the version in `slot` is live: its slot, the traffic, and an event.

        A ready slot that has no share any more becomes warm. If the version was already live, only the traffic
        changes: `since` is kept, and no event is added.

        Raises:
            ValueError: `slot` is not ready, or it is not the slot that is live in `traffic`.
        """
        if slot.state != "ready" or slot.slot != traffic.live:
            raise ValueError(
                f"{slot.slot} of {slot.app} is {slot.state}, and the live slot of the traffic is {traffic.live}"
            )
        with self._transaction() as db:
            here = (slot.slot, slot.version, slot.deployment)
            was_live = _live_slot(db, slot.app) == slot.slot and last_live(db, slot.app) == here
            for (other,) in db.execute(
                "SELECT slot FROM slots WHERE app = ? AND state = 'ready' AND slot <> ?", (slot.app, slot.slot)
            ).fetchall():
                if not traffic.share_of(other):
                    db.execute("UPDATE slots SET state = 'warm' WHERE app = ? AND slot = ?", (slot.app, other))
            write_slot(db, slot, keep_since=was_live)
            write_traffic(db, slot.app, traffic)
            if not was_live:
                went_live(db, self._now(), slot.app, Switch(slot.version, slot.slot, slot.deployment, slot.since))

    def proxy_apps(self) -> list[ProxyApp]:
        """All apps that are registered with the proxy, sorted by name."""
        rows = self._read("SELECT name, proxy FROM apps WHERE proxy IS NOT NULL ORDER BY name")
        return [_proxy_app(name, text) for name, text in rows]

    def proxy_app(self, app: str) -> ProxyApp | None:
        """One of them; None when it is not registered."""
        row = self._read("SELECT proxy FROM apps WHERE name = ? AND proxy IS NOT NULL", (app,)).fetchone()
        return _proxy_app(app, row[0]) if row else None

    def save_proxy_app(self, app: ProxyApp) -> None:
        """Writes the route and the slots of an app at the proxy."""
        with self._transaction() as db:
            db.execute("UPDATE apps SET proxy = ? WHERE name = ?", (proxy_text(app), app.name))

    def remove_proxy_app(self, app: str) -> None:
        """Records that an app is removed from the proxy, and that no slot gets its requests."""
        with self._transaction() as db:
            db.execute("UPDATE apps SET proxy = NULL WHERE name = ?", (app,))
            db.execute("DELETE FROM traffic WHERE app = ?", (app,))

    def _traffic_state(self, app: str, row: Sequence[Any]) -> TrafficState:
        *shares, sessions, text = row
        record = self._maintenance(app, text)
        maintenance = record.maintenance if record is not None else None
        live, candidate, share, shield, preview, held, patience = shares
        try:
            return TrafficState(
                live, candidate, share, bool(shield), bool(preview), held, patience, maintenance, bool(sessions)
            )
        except (TypeError, ValueError) as error:
            raise LedgerDamaged(str(self.path), f"the traffic of {app}: {error}") from error

    def _maintenance(self, app: str, text: str | None) -> MaintenanceRecord | None:
        if text is None:
            return None
        try:
            facts = json.loads(text)
            return MaintenanceRecord(Maintenance(**facts["maintenance"]), facts["since"], facts["by"])
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerDamaged(str(self.path), f"the maintenance of {app}: {error!r}") from error


def write_slot(db: sqlite3.Connection, state: SlotState, *, keep_since: bool = True) -> None:
    """Writes the state of a slot. With `keep_since`, `since` is kept as in `set_slot`."""
    db.execute(
        f"INSERT INTO slots ({_SLOT}) VALUES"
        " (:app, :slot, :version, :deployment, :state, :since, :warm_until, :bake_until)"
        " ON CONFLICT (app, slot) DO UPDATE SET"
        " since = CASE WHEN :keep_since AND slots.state = excluded.state AND slots.version = excluded.version"
        " AND slots.deployment = excluded.deployment THEN slots.since ELSE excluded.since END,"
        " version = excluded.version, deployment = excluded.deployment, state = excluded.state,"
        " warm_until = excluded.warm_until, bake_until = excluded.bake_until",
        {**asdict(state), "keep_since": keep_since},
    )


def write_traffic(db: sqlite3.Connection, app: str, state: TrafficState) -> None:
    """Writes the traffic state of an app. Its maintenance stays as it is recorded, as long as a version is live."""
    names = _TRAFFIC.split(", ")
    db.execute(
        f"INSERT INTO traffic (app, {_TRAFFIC})"
        " VALUES (:app, :live, :candidate, :share, :shield, :preview, :held, :patience, :sessions)"
        f" ON CONFLICT (app) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names)},"
        " maintenance = CASE WHEN excluded.live IS NULL THEN NULL ELSE maintenance END",
        {"app": app, **{name: getattr(state, name) for name in names}},
    )


def write_maintenance(db: sqlite3.Connection, app: str, record: MaintenanceRecord | None) -> None:
    """Writes the maintenance of an app; None: it has ended."""
    text = None if record is None else json.dumps(asdict(record))
    db.execute("UPDATE traffic SET maintenance = ? WHERE app = ?", (text, app))


def proxy_text(app: ProxyApp) -> str:
    """The route and the slots of an app at the proxy, as JSON."""
    slots = {slot: asdict(endpoints) for slot, endpoints in app.slots.items()}
    return json.dumps({"route": asdict(app.route), "slots": slots})


def _live_slot(db: sqlite3.Connection, app: str) -> str | None:
    row = db.execute("SELECT live FROM traffic WHERE app = ?", (app,)).fetchone()
    return row[0] if row else None


# A pass over many apps reads all apps for each one, and most of them have not changed.
@lru_cache(maxsize=256)
def _proxy_app(name: str, text: str) -> ProxyApp:
    data = json.loads(text)
    route = data["route"]
    slots: dict[Slot, SlotEndpoints] = {}
    for slot, item in data["slots"].items():
        stored = item["probe"]
        pairs = {key: tuple(stored[key]) for key in ("statuses", "otherwise") if key in stored}
        probe = ProbeSpec(**{**stored, **pairs})
        slots[cast("Slot", slot)] = SlotEndpoints(**{**item, "addresses": tuple(item["addresses"]), "probe": probe})
    lists = {key: tuple(route[key]) for key in ("hosts", "trusted", "repeatable") if key in route}
    return ProxyApp(name, Route(**{**route, **lists}), slots)
