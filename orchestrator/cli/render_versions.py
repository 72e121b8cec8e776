"""What the commands that look at versions found, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from orchestrator.cli.render import cell, joined, when
from orchestrator.config.explain import printable

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

Json = dict[str, Any]
_SHORT = 12
# What stands before the first version of a branch, and before the others; and so for the last one.
_BRANCH = ("├─ ", "│  ")
_LAST = ("└─ ", "   ")
_MARKS = {
    "live": "bold green",
    "stable": "",
    "pruned": "dim",
    "never live": "yellow",
    "not stable": "yellow",
    "rolled back": "yellow",
    "bad": "red",
}
_FACTS = (
    "parent",
    "image",
    "image_id",
    "pushed",
    "manifest",
    "author",
    "created_at",
    "live_at",
    "stable_at",
    "pruned_at",
)


def tree(found: Json) -> Text:
    """The lineage, each version with its mark: an only child stands below its parent, only branches are indented.

    Where there are several children, the line goes on with the one that leads to the live version, else with the one
    that most grew out of. So the live version is never indented, and no other more than a few levels.
    """
    from rich.text import Text

    lines = [Text(printable(found["app"]) + ("" if found["versions"] else ": no versions yet"))]
    roots = found["versions"]
    for number, root in enumerate(roots, 1):
        last = number == len(roots) and not found["older"]
        for lead, row in _drawn(root, *(_LAST if last else _BRANCH)):
            lines.append(Text(lead).append(_label(row), style=_MARKS[row["mark"]]))
    if found["older"]:
        lines.append(Text(_LAST[0]).append(f"and {found['older']} older version(s)", style="dim"))
    return Text("\n").join(lines)


def _drawn(row: Json, first: str, rest: str) -> Iterator[tuple[str, Json]]:
    """`row` and all that grew out of it, oldest first, with what stands before each on its line."""
    lead = first
    while True:
        yield lead, row
        if not row["children"]:
            return
        *_, goes_on = sorted(row["children"], key=_weight)
        for child in row["children"]:
            if child is not goes_on:
                yield from _drawn(child, rest + _BRANCH[0], rest + _BRANCH[1])
        lead, row = rest, goes_on


def _weight(row: Json) -> tuple[bool, int]:
    """Whether the live version is `row` or grew out of it, and of how many versions that is true."""
    live, count, todo = False, 0, [row]
    while todo:
        each = todo.pop()
        live, count = live or each["mark"] == "live", count + 1
        todo += each["children"]
    return live, count


def _label(row: Json) -> str:
    delta = f"  +{row['delta']['put']} -{row['delta']['gone']}" if any(row["delta"].values()) else ""
    who = printable(row["author"])
    return f"{printable(row['version'])} {row['mark']}  {when(row['created_at'])} by {who}{_commit(row)}{delta}"


def show(found: Json) -> str:
    """A version's facts, a line each."""
    lines = [f"{found['app']} {found['version']}: {found['mark']}"]
    lines += [_fact(key.replace("_", " "), printable(found[key])) for key in _FACTS if found[key] is not None]
    if found["git_commit"]:
        lines.append(_fact("commit", _commit(found).strip()))
    if found["bad_at"]:
        lines.append(_fact("went bad", f"{when(found['bad_at'])}: {printable(found['bad_why'])}"))
    files = found["files"]
    if files:
        what = f"{files['count']}, {size(files['bytes'])}; to its parent +{files['put']} -{files['gone']}"
        lines.append(_fact("files", f"{what}, {size(files['new_bytes'])} new"))
        lines += [_fact("", printable(path)) for path in files["paths"][:20]]
        if files["count"] > 20:
            lines.append(_fact("", f"and {files['count'] - 20} more: deployctl show {found['version']} --json"))
    layers = found["image_layers"]
    if layers:
        lines.append(_fact("layers", f"{len(layers)}, {size(sum(layer['size'] for layer in layers))}"))
    lines += [
        _fact("was live", f"{when(row['since'])} to {when(row['until']) if row['until'] else 'now'}, {row['slot']}")
        for row in found["was_live"]
    ]
    lines += [_fact("container", f"{row['name']} in {row['slot']}: {row['state']}") for row in found["containers"]]
    for row in found["deployments"]:
        ended = row["outcome"] or "in progress"
        what = f"{row['id']}: {row['kind']} {row['from'] or 'nothing'} → {row['to']} {ended}"
        lines.append(_fact("deployment", f"{what}, {when(row['started_at'])} by {printable(row['actor'])}"))
    lines += [_fact("setting", f"{printable(key)} = {printable(value)}") for key, value in found["settings"].items()]
    return joined(lines)


def diff(found: Json) -> str:
    """What is different, part by part; a part without a difference is left out."""
    marks = {"added": "+", "removed": "-", "changed": "~"}
    counts = found["summary"]
    lines = [
        f"{found['app']} {found['from']} → {found['to']}: {counts['added']} added, {counts['removed']} removed,"
        f" {counts['changed']} changed; {size(counts['new_bytes'])} really new"
    ]
    for row in found["files"]:
        sizes = [size(row[key]) for key in ("size_before", "size_after") if row[key] is not None]
        lines.append(f"  {marks[row['change']]} {printable(row['path'])}  {' → '.join(sizes)}")
    for row in found["tensors"]:
        lines.append(f"tensors of {printable(row['path'])}:")
        lines += [f"  {marks[change['change']]} {_tensor(change)}" for change in row["tensors"]]
        if row["note"]:
            lines.append(f"  not compared: {printable(row['note'])}")
    for title, rows in (("build", found["build"]), ("settings", found["settings"])):
        if rows:
            lines.append(f"{title}:")
            lines += [f"  ~ {printable(row['key'])}: {_value(row['before'])} → {_value(row['after'])}" for row in rows]
    image = found["image"]
    if image:
        new = f"{len(image['new_layers'])} new ({size(image['new_bytes'])})"
        lines.append(f"image: {image['shared_layers']} layers shared ({size(image['shared_bytes'])}), {new}")
    lines += _commits(found["commits"])
    return joined(lines)


def log(found: Json) -> Table:
    """A table, newest first."""
    from rich.table import Table

    titles = ("version", "when", "change", "size", "digest", "who", "commit")
    table = Table(*titles, title=cell(found["file"]), title_justify="left", box=None, pad_edge=False)
    for row in found["entries"]:
        table.add_row(
            cell(row["version"]),
            cell(when(row["at"])),
            cell(row["change"]),
            cell("-" if row["size"] is None else size(row["size"])),
            cell((row["digest"] or "-")[:_SHORT]),
            cell(row["author"]),
            cell(_commit(row).strip() or "-"),
        )
    if found["older"]:
        table.caption = f"and {found['older']} older change(s)"
    return table


def lived(found: Json) -> str:
    """One line for each version that was live, and its proof below it."""
    span = when(found["from"]) if found["from"] == found["to"] else f"{when(found['from'])} to {when(found['to'])}"
    if not found["live"]:
        return f"{found['app']}: no version was live at {span}, as far as the ledger goes back"
    lines = []
    for row in found["live"]:
        until = when(row["until"]) if row["until"] else "now"
        lines.append(f"{row['version']}  live from {when(row['since'])} to {until}, in {row['slot']}")
        why = f": {printable(row['reason'])}" if row["reason"] else ""
        lines.append(f"    deployment {row['deployment']}: {row['kind']} by {printable(row['actor'])}{why}")
        lines.append(f"    manifest {row['manifest']}{_commit(row)}, made by {printable(row['author'])}")
    return joined(lines)


def size(count: int) -> str:
    """Bytes, to three digits."""
    if count < 1000:
        return f"{count} B"
    value, units = count / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while value >= 1000 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.3g} {units[0]}"


def _fact(name: str, value: object) -> str:
    return f"{name:11} {value}"


def _commit(row: Json) -> str:
    return f" {row['git_commit'][:10]}{'+dirty' if row['git_dirty'] else ''}" if row["git_commit"] else ""


def _value(value: object) -> str:
    return "nothing" if value is None else printable(value)


def _tensor(change: Json) -> str:
    sides = [
        f"{change[f'dtype_{side}']}{change[f'shape_{side}']}"
        for side in ("before", "after")
        if change[f"dtype_{side}"] is not None
    ]
    shapes = sides[0] if len(set(sides)) == 1 else " → ".join(sides)
    largest = "" if change["largest"] is None else f", largest change {change['largest']:g}"
    odd = f", {change['nonfinite']} became or were NaN or infinite" if change["nonfinite"] else ""
    # The name is out of a file that anybody may have made.
    return f"{printable(change['name'])}  {shapes}{largest}{odd}"


def _commits(found: Json) -> list[str]:
    if not (found["before"] or found["after"]):
        return []
    ends = [commit[:10] if commit else "no commit" for commit in (found["before"], found["after"])]
    if found["between"] is None:
        return [f"commits: {ends[0]} → {ends[1]} (the repository cannot tell what is between)"]
    lines = [f"commits: {ends[0]} → {ends[1]}{' and changes to it' if found['dirty'] else ''}"]
    for row in found["between"]:
        lines.append(f"  {row['commit'][:10]} {row['at'][:10]} {printable(row['author'])}: {printable(row['subject'])}")
    return lines
