"""The completion candidates for arguments. Each function is an `autocompletion` of Typer.

They run each time the tab key is pressed, so they connect to nothing. Without a deploy.toml or a ledger they return no
candidates.
"""

from __future__ import annotations

import sqlite3
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import typer

from orchestrator import wiring
from orchestrator.cli.completion_scripts import FILES
from orchestrator.cli.context import files_of
from orchestrator.domain.naming import next_version
from orchestrator.files import read_small


def files(incomplete: str) -> list[str]:
    """Makes the shell complete file names."""
    # Typer removes candidates that do not start with the incomplete word.
    return [incomplete + FILES]


def actions() -> list[str]:
    """The actions that `plan` accepts."""
    return ["release", "rollback"]


def versions(ctx: typer.Context) -> list[str]:
    """Every recorded version, newest first."""
    return _versions(ctx)


def releasable(ctx: typer.Context) -> list[str]:
    """The next version, and those that were not pruned."""
    known = _versions(ctx)
    return [next_version(known), *_versions(ctx, "AND pruned_at IS NULL")]


def planned(ctx: typer.Context) -> list[str]:
    """The versions that the action of `plan` takes."""
    return rollback_targets(ctx) if ctx.params.get("action") == "rollback" else releasable(ctx)


def apps(ctx: typer.Context) -> list[str]:
    """The apps of the state folder."""
    return _read(_ledger(ctx), "SELECT name FROM apps WHERE removed_at IS NULL ORDER BY name")


def reports(ctx: typer.Context) -> list[str]:
    """The next word of the name of a report: some have two."""
    from orchestrator.reports.catalog import REPORTS

    given = list(ctx.params.get("name") or ())
    names = [name.split() for name in REPORTS]
    return list(
        dict.fromkeys(name[len(given)] for name in names if name[:-1][: len(given)] == given and name[len(given) :])
    )


def rollback_targets(ctx: typer.Context) -> list[str]:
    """Stable versions that were not pruned, newest first."""
    return _versions(ctx, "AND stable_at IS NOT NULL AND pruned_at IS NULL")


def _versions(ctx: typer.Context, condition: str = "") -> list[str]:
    app = _toml(ctx).get("app")
    if not isinstance(app, dict):
        return []
    query = f"SELECT name FROM versions WHERE app = ? {condition} ORDER BY CAST(SUBSTR(name, 2) AS INTEGER) DESC"
    return _read(_ledger(ctx), query, app.get("name"))


def _ledger(ctx: typer.Context) -> Path:
    return wiring.state_dir(ctx.find_root().params.get("state_dir")) / "ledger.db"


def _read(ledger: Path, query: str, *values: object) -> list[str]:
    """The first column of a query; empty where the ledger does not exist or cannot be read."""
    # Without a write-ahead log no command is running. With immutable=1, SQLite creates no files beside the ledger.
    mode = "mode=ro" if ledger.with_name(f"{ledger.name}-wal").exists() else "immutable=1"
    try:
        connection = sqlite3.connect(f"file:{quote(str(ledger))}?{mode}", uri=True, timeout=0.2)
    except sqlite3.Error:
        return []
    try:
        return [row[0] for row in connection.execute(query, values)]
    except sqlite3.Error:
        return []
    finally:
        connection.close()


def _toml(ctx: typer.Context) -> dict[str, Any]:
    """deploy.toml, unchecked; empty where it does not exist or cannot be read."""
    try:
        return tomllib.loads(read_small(files_of(ctx.find_root().params.get("file"))[0]).decode("utf-8-sig"))
    except (OSError, ValueError):
        return {}
