"""Results as a person reads them. Rich is imported where a table or a tree needs it, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from orchestrator.config.explain import printable
from orchestrator.text import plain

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

Json = dict[str, Any]
_HOW = {
    "switch": "a switch, still warm",
    "start": "a start",
    "pull": "its image is gone: pulled from its registry",
    "rebuild": "its image is gone: built again from its commit",
}


def status(found: Json) -> str:
    """A few aligned lines."""
    rows = [("app", f"{found['app']}: {found['state']}")]
    live = found["live"]
    if live:
        rows.append(("live", f"{live['version']} in {live['slot']} since {when(live['since'])} ({live['image']})"))
        for container in live["containers"]:
            health = "healthy" if container["healthy"] else "NOT healthy"
            rows.append(("", f"{container['name']} {container['state']}, {health}, {container['restarts']} restarts"))
    else:
        rows.append(("live", "nothing yet: deployctl release"))
    if found["bake"]:
        rows.append(("bake", f"until {when(found['bake']['until'])}: {_traffic(found['bake']['traffic'])}"))
        if found["bake"]["before"]:
            rows.append(("", f"before the switch: {_traffic(found['bake']['before'])}"))
    previous = found["previous"]
    if previous:
        way = previous["rollback"]
        how = _HOW[way["mode"]]
        if way["seconds"] is not None:
            how += f", about {way['seconds']:g} s"
        if way["mode"] == "start":
            how += " (its containers are kept)" if way["kept"] else " (new containers from its image)"
        rows.append(("rollback", f"to {previous['version']} in {previous['slot']}: {how}"))
    elif live:
        rows.append(("rollback", "no stable version to go back to"))
    deployment = found["deployment"]
    if deployment:
        running = "in progress" if deployment["running"] else "INTERRUPTED"
        rows.append(("deployment", f"{deployment['kind']} to {deployment['to']} {running}, at {deployment['step']}"))
    proxy = found["proxy"]
    rows.append(("proxy", f"{proxy['state']}, {proxy['listen']} → {proxy['route'] or 'nowhere'}"))
    rows += [("problem", text) for text in found["problems"]]
    return joined(f"{name:11}{text}" for name, text in rows)


def history(found: Json) -> Table:
    """A table, newest first."""
    from rich.table import Table

    table = Table("id", "when", "kind", "from", "to", "outcome", "took", "who", "why", box=None, pad_edge=False)
    colours = {"succeeded": "green", "failed": "red", "undone": "yellow"}
    for row in found["deployments"]:
        outcome = row["outcome"] or "in progress"
        table.add_row(
            cell(row["id"]),
            cell(when(row["started_at"])),
            cell(row["kind"]),
            cell(row["from"] or "-"),
            cell(row["to"]),
            cell(outcome, colours.get(outcome, "")),
            cell(_took(row)),
            cell(row["actor"]),
            cell(row["reason"]),
        )
    return table


def _traffic(figures: Json) -> str:
    if not figures["requests"]:
        return "no requests"
    text = f"{figures['requests']} requests, {figures['errors'] / figures['requests']:.1%} failed"
    return text if figures["seconds"] is None else f"{text}, {figures['seconds'] * 1000:.0f} ms on average"


def joined(lines: Iterable[str]) -> str:
    """Lines of ours as one text: a line break in one of them is out of a value, and is escaped."""
    return "\n".join(plain(line) for line in lines)


def cell(value: object, style: str = "") -> Text:
    """A value in a table: never read as markup."""
    from rich.text import Text

    return Text(printable(value), style=style)


def when(text: str) -> str:
    """A time as it is shown."""
    return text[:19].replace("T", " ") + " UTC"


def _took(row: Json) -> str:
    return "-" if row["finished_at"] is None else f"{row['seconds']:.1f} s"
