"""What HAProxy's commands answer: `show stat` as rows of its servers, backends and frontends, and maps. Pure.

Protocol: HAProxy's Management Guide 2.6, sections 9.1 (the columns of `show stat`) and 9.3.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.domain.traffic.program import Leaving
from orchestrator.frozen import frozen

# What `show stat` lists: its argument for the types of rows.
FRONTENDS, BACKENDS, SERVERS = 1, 2, 4
# Frontends that no client uses have names that begin like this.
_OWN = "deployctl_"
_REQUESTS = re.compile(r"\bhttp_req_cnt=([0-9]+)")
_TIME = re.compile(r"(?:blue|green):(?:[0-9]/1|[1-9][0-9]/(?:[2-9]|1[0-9]))")


@frozen
class Server:
    """One server of a backend, as a worker reports it: `s1`, `s2` … are checked, `b1`, `b2` … are their backups.

    `n1` … stand for them in the second backend of their slot, and `o1` …, `p1` … in that of the other slot: see
    `backends`. `m1` answers for them in a worker that a reload has left, when the slot has moved since then. `sessions`
    are open requests, `answered` those that it has answered without a server error, `failed` those that it has answered
    with one, and `broken` are its answers that broke off.
    """

    name: str
    status: str
    check: str
    sessions: int
    answered: int = 0
    address: str = ""
    backend: str = ""
    failed: int = 0
    broken: int = 0

    @property
    def index(self) -> int:
        """The index of the replica, from 1."""
        return int(self.name[1:])

    @property
    def checked(self) -> bool:
        return self.name.startswith("s")

    @property
    def backup(self) -> bool:
        return self.name.startswith("b")

    @property
    def tracking(self) -> bool:
        """Whether it has the state of a checked server of another backend."""
        return self.name.startswith(("n", "o", "p"))

    @property
    def moved(self) -> bool:
        return self.name.startswith("m")

    @property
    def stopped(self) -> bool:
        """Whether it gets no requests until it is set to `ready`."""
        return self.status.startswith(("MAINT", "DRAIN"))

    @property
    def up(self) -> bool:
        """Whether a check passed; at the start HAProxy assumes that a server is up."""
        return self.status.startswith("UP") and self.check.lstrip("* ") in ("L7OK", "L7OKC", "L6OK", "L4OK")


@frozen
class Refused:
    """What a frontend has refused: requests denied by a rule, requests that could not be read, and answers."""

    denied: int = 0
    unreadable: int = 0
    answers: int = 0

    def __add__(self, other: Refused) -> Refused:
        return Refused(self.denied + other.denied, self.unreadable + other.unreadable, self.answers + other.answers)


def stat(rows: int, proxy: str = "-1") -> str:
    """The command that lists the rows of these types of a frontend or backend (default: of all)."""
    return f"show stat {proxy} {rows} -1"


def servers(text: str, backend: str) -> dict[str, Server]:
    """The servers of a backend, by their names."""
    return {
        row["svname"]: Server(
            row["svname"],
            row["status"],
            row["check_status"],
            _int(row, "scur"),
            _answered(row),
            row["addr"],
            backend,
            _int(row, "hrsp_5xx"),
            _int(row, "srv_abrt"),
        )
        for row in _rows(text)
        if row.get("pxname") == backend and row["svname"] != "BACKEND"
    }


def errors(text: str, backend: str) -> int | None:
    """How many requests of a backend were answered with a server error, also by the proxy; None: it is not listed."""
    for row in _rows(text):
        if row.get("pxname") == backend and row["svname"] == "BACKEND":
            return _int(row, "hrsp_5xx")
    return None


def times(lines: Sequence[str]) -> dict[str, int]:
    """The counters of response times that `show table` lists, by their keys, such as `blue:12/5`.

    A time is negative when the clock was set back meanwhile: it is left out.
    """
    rows = (dict(part.partition("=")[::2] for part in line.split()) for line in lines if "key=" in line)
    return {row["key"]: int(row["http_req_cnt"]) for row in rows if _TIME.fullmatch(row["key"])}


def requests(lines: Sequence[str]) -> int:
    """How many requests the entries that `show table` lists have counted."""
    return sum(int(found[1]) for line in lines if (found := _REQUESTS.search(line)))


def up(text: str) -> set[str]:
    """The checked servers that are up, as `backend/server`."""
    found = set()
    for row in _rows(text):
        server = Server(row["svname"], row["status"], row["check_status"], 0)
        if server.up and server.checked:
            found.add(f"{row['pxname']}/{server.name}")
    return found


def sessions(text: str, backend: str) -> list[str]:
    """The sessions, by the names that `show sess` gives them, that a backend has sent to a server."""
    fields = (line.split() for line in text.splitlines() if line.startswith("0x"))
    found = {name.rstrip(":"): dict(each.partition("=")[::2] for each in row) for name, *row in fields}
    return [name for name, row in found.items() if row.get("be") == backend and row.get("srv") not in (None, "<none>")]


def leaving(text: str) -> Leaving:
    """What is open, by the rows of all frontends and servers."""
    requests, connections = 0, 0
    for row in _rows(text):
        if row["svname"] != "FRONTEND":
            requests += _int(row, "scur")
        elif not row["pxname"].startswith(_OWN):
            connections += _int(row, "scur")
    return Leaving(requests, connections)


def frontends(text: str) -> dict[str, bool]:
    """Whether each frontend of clients accepts connections, by its name."""
    found = {row["pxname"]: row["status"] == "OPEN" for row in _rows(text) if row["svname"] == "FRONTEND"}
    return {name: accepts for name, accepts in found.items() if not name.startswith(_OWN)}


def refused(text: str) -> dict[str, Refused]:
    """What each frontend has refused, by its name."""
    return {row["pxname"]: Refused(_int(row, "dreq"), _int(row, "ereq"), _int(row, "dresp")) for row in _rows(text)}


def entries(lines: Sequence[str]) -> dict[str, str]:
    """The entries that `show map` lists, each as its address in memory, its key and its value."""
    rows = (line.split() for line in lines)
    return {row[1]: row[2] for row in rows if len(row) == 3}


def value(lines: Sequence[str], name: str, separator: str = "=") -> str:
    """The value of a line `name=value`; empty when there is none."""
    found = (line.partition(separator) for line in lines)
    return next((after.strip() for before, _, after in found if before == name), "")


def _rows(text: str) -> Iterator[dict[str, str]]:
    return (row for row in csv.DictReader(io.StringIO(text.lstrip("# "))) if row.get("svname"))


def _int(row: Mapping[str, str], column: str) -> int:
    return int(row.get(column) or 0)


def _answered(row: Mapping[str, str]) -> int:
    return sum(_int(row, f"hrsp_{group}xx") for group in (2, 3, 4))
