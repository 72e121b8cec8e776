"""What `watchdog status` prints."""

from __future__ import annotations

from typing import Any

from orchestrator.cli.render import joined, when
from orchestrator.domain.watch.schedule import write_every

Json = dict[str, Any]


def watchdog(found: Json) -> str:
    """A few aligned lines; of the passes the newest five."""
    rows = []
    for entry in found["schedules"]:
        step = "at other times" if entry["every"] is None else f"every {write_every(entry['every'])}"
        whose = "" if entry["ours"] else f" (of another state folder or file: {entry['file'] or 'unknown'})"
        rows.append(("schedule", f"{step}, by {entry['place']}{whose}"))
    if not any(entry["ours"] for entry in found["schedules"]):
        rows.append(("schedule", "none: deployctl watchdog install"))
    if found["next"]:
        rows.append(("next", when(found["next"])))
    for each in found["passes"][:5]:
        said = f": {'; '.join(each['said'])}" if each["said"] else ""
        rows.append(("pass", f"{when(each['at'])} {each['outcome']}, {each['seconds']:.1f} s{said}"))
    if not found["passes"]:
        rows.append(("pass", "none yet"))
    counted = ", ".join(f"{name.removeprefix('pass:')} {value}" for name, value in found["counts"].items() if value)
    rows.append(("counted", counted or "nothing yet"))
    rows += [("problem", text) for text in found["problems"]]
    return joined(f"{name:11}{text}" for name, text in rows)
