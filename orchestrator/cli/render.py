"""Results as a person reads them. Rich is imported where a table or a tree needs it, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table
    from rich.tree import Tree

Json = dict[str, Any]
_HOW = {
    "switch": "a switch, still warm",
    "start": "a start",
    "rebuild": "its image is gone: built again from its commit",
}


def status(found: Json) -> str:
    """A few aligned lines."""
    rows = [("app", f"{found['app']}: {found['state']}")]
    live = found["live"]
    if live:
        rows.append(("live", f"{live['version']} in {live['slot']} since {_time(live['since'])} ({live['image']})"))
        for container in live["containers"]:
            health = "healthy" if container["healthy"] else "NOT healthy"
            rows.append(("", f"{container['name']} {container['state']}, {health}, {container['restarts']} restarts"))
    else:
        rows.append(("live", "nothing yet: deployctl release"))
    if found["bake"]:
        rows.append(("bake", f"until {_time(found['bake']['until'])}: {_traffic(found['bake']['traffic'])}"))
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
    return "\n".join(f"{name:11}{text}" for name, text in rows)


def watchdog(found: Json) -> str:
    """A few aligned lines; of the passes the newest five."""
    from orchestrator.core.schedule import write_every

    rows = []
    for entry in found["schedules"]:
        step = "at other times" if entry["every"] is None else f"every {write_every(entry['every'])}"
        whose = "" if entry["ours"] else f" (of another state folder or file: {entry['file'] or 'unknown'})"
        rows.append(("schedule", f"{step}, by {entry['place']}{whose}"))
    if not any(entry["ours"] for entry in found["schedules"]):
        rows.append(("schedule", "none: deployctl watchdog install"))
    if found["next"]:
        rows.append(("next", _time(found["next"])))
    for each in found["passes"][:5]:
        said = f": {'; '.join(each['said'])}" if each["said"] else ""
        rows.append(("pass", f"{_time(each['at'])} {each['outcome']}, {each['seconds']:.1f} s{said}"))
    if not found["passes"]:
        rows.append(("pass", "none yet"))
    counted = ", ".join(f"{name.removeprefix('pass:')} {value}" for name, value in found["counts"].items() if value)
    rows.append(("counted", counted or "nothing yet"))
    rows += [("problem", text) for text in found["problems"]]
    return "\n".join(f"{name:11}{text}" for name, text in rows)


def history(found: Json) -> Table:
    """A table, newest first."""
    from rich.table import Table
    from rich.text import Text

    table = Table("id", "when", "kind", "from", "to", "outcome", "took", "who", "why", box=None, pad_edge=False)
    colours = {"succeeded": "green", "failed": "red", "undone": "yellow"}
    for row in found["deployments"]:
        outcome = row["outcome"] or "in progress"
        table.add_row(
            str(row["id"]),
            _time(row["started_at"]),
            row["kind"],
            row["from"] or "-",
            row["to"],
            Text(outcome, style=colours.get(outcome, "")),
            _took(row),
            Text(row["actor"]),
            Text(row["reason"]),
        )
    return table


def tree(found: Json) -> Tree:
    """The lineage, each version with its mark."""
    from rich.text import Text
    from rich.tree import Tree

    colours = {
        "live": "bold green",
        "stable": "",
        "pruned": "dim",
        "never live": "yellow",
        "not stable": "yellow",
        "bad": "red",
    }

    def label(row: Json) -> Text:
        commit = f" {row['git_commit'][:10]}{'+dirty' if row['git_dirty'] else ''}" if row["git_commit"] else ""
        text = f"{row['version']} {row['mark']}  {_time(row['created_at'])} by {row['author']}{commit}"
        return Text(text, style=colours[row["mark"]])

    def grow(branch: Tree, row: Json) -> None:
        inner = branch.add(label(row))
        for child in row["children"]:
            grow(inner, child)

    root = Tree(found["app"] if found["versions"] else f"{found['app']}: no versions yet")
    for row in found["versions"]:
        grow(root, row)
    if found["older"]:
        root.add(Text(f"and {found['older']} older version(s)", style="dim"))
    return root


def show(found: Json) -> str:
    """A version's facts, a line each."""
    lines = [f"{found['app']} {found['version']}: {found['mark']}"]
    for key in (
        "parent",
        "image",
        "image_id",
        "manifest",
        "author",
        "created_at",
        "live_at",
        "stable_at",
        "git_commit",
    ):
        if found[key] is not None:
            lines.append(f"{key.replace('_', ' '):11} {found[key]}")
    if found["bad_at"]:
        lines.append(f"{'went bad':11} {_time(found['bad_at'])}: {found['bad_why']}")
    if found["git_dirty"]:
        lines.append("            built from a tree with changes that were not committed")
    lines += [f"{'container':11} {row['name']} in {row['slot']}: {row['state']}" for row in found["containers"]]
    for row in found["deployments"]:
        lines.append(
            f"{'deployment':11} {row['id']}: {row['kind']} {row['from'] or 'nothing'} → {row['to']}"
            f" {row['outcome'] or 'in progress'}, {_time(row['started_at'])} by {row['actor']}"
        )
    return "\n".join(lines)


def _traffic(figures: Json) -> str:
    if not figures["requests"]:
        return "no requests"
    text = f"{figures['requests']} requests, {figures['errors'] / figures['requests']:.1%} failed"
    return text if figures["seconds"] is None else f"{text}, {figures['seconds'] * 1000:.0f} ms on average"


def _time(text: str) -> str:
    return text[:19].replace("T", " ") + " UTC"


def _took(row: Json) -> str:
    return "-" if row["finished_at"] is None else f"{row['seconds']:.1f} s"
