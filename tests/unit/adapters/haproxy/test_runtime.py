"""The workers of two proxies: one that was replaced follows every change until it ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.adapters.haproxy.masters import Worker
from orchestrator.adapters.haproxy.rows import BACKENDS, SERVERS
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.adapters.haproxy.sockets import MASTER, PREVIOUS
from orchestrator.domain.traffic.counted import between
from orchestrator.domain.traffic.sample import Sample
from orchestrator.errors import ProxyError

MAP = "/etc/deployctl/routes.map"
COLUMNS = "# pxname,svname,scur,status,check_status,hrsp_2xx,hrsp_4xx,hrsp_5xx,srv_abrt,addr"


class Master:
    """A master process with one worker, which always has the id 8."""

    def __init__(self, started: str = "", requests: int = 0, open_requests: int = 0) -> None:
        self.started = started
        self.stat = [
            f"mymodel_blue,BACKEND,{open_requests},UP,,{requests},0,0,0,",
            f"mymodel_blue,s1,{open_requests},UP,L7OK,{requests},0,0,0,10.0.0.1:80",
        ]
        self.times: dict[str, int] = {}
        self.maps: dict[str, str] = {}
        self.running = True
        # Called before each answer.
        self.before: Callable[[str], None] = lambda command: None

    def answer(self, command: str) -> str:
        self.before(command)
        if not self.running:
            raise ConnectionRefusedError(111, "Connection refused")
        if command == "show proc":
            return "1 master 0 [failed: 0]\n# workers\n8              worker          0\n"
        return "".join(self._one(each.removeprefix("@!8 ")) + "\n" for each in command.split("; "))

    def _one(self, command: str) -> str:
        match command.split():
            case ["show", "env", _]:
                return f"DEPLOYCTL_STARTED={self.started}\n" if self.started else "Variable not found\n"
            case ["show", "stat", name, kinds, _]:
                rows = [row for row in self.stat if row.startswith(f"{name},") and int(kinds) & _kind(row)]
                return "\n".join([COLUMNS, *rows, ""])
            case ["show", "table", "mymodel_answers"]:
                rows = [f"0x1: key={key} use=0 exp=0 http_req_cnt={count}" for key, count in self.times.items()]
                return "\n".join([f"# table: mymodel_answers, type: string, size:4096, used:{len(rows)}", *rows, ""])
            case ["show", "map", _]:
                return "".join(f"0x1 {key} {value}\n" for key, value in self.maps.items())
            case ["set", "map", _, key, value] if key in self.maps:
                self.maps[key] = value
                return ""
            case ["set", *_]:
                return "entry not found.\n"
            case ["add", "map", _, key, value]:
                self.maps[key] = value
        return ""


def _kind(row: str) -> int:
    return BACKENDS if ",BACKEND," in row else SERVERS


class Links:
    """The sockets in run/."""

    def __init__(self, masters: Mapping[str, Master]) -> None:
        self.masters = dict(masters)

    def ask(self, name: str, command: str, timeout: float) -> str:
        return self.masters[name].answer(command)

    def others(self) -> list[str]:
        return [name for name in self.masters if name != MASTER]

    def identity(self) -> tuple[int | None, ...]:
        return tuple(id(master) for master in self.masters.values())


def runtime(**masters: Master) -> tuple[Runtime, Links]:
    made, links = Runtime(Path("/nowhere")), Links({MASTER: masters["new"]})
    if "old" in masters:
        links.masters[PREVIOUS] = masters["old"]
    stub: Any = links
    made._sockets = stub
    return made, links


def test_the_workers_of_a_replaced_proxy_come_last() -> None:
    both, _ = runtime(new=Master(), old=Master())
    assert both.workers() == [Worker(MASTER, "8"), Worker(PREVIOUS, "8")]
    assert [str(worker) for worker in both.workers()] == ["8", "8 of the replaced proxy"]
    old = Master()
    old.running = False
    ended, _ = runtime(new=Master(), old=old)
    assert ended.workers() == [Worker(MASTER, "8")]
    assert ended.tell(Worker(PREVIOUS, "8"), "show info") == ""


def test_open_requests_and_answers_are_those_of_both() -> None:
    both, _ = runtime(new=Master(requests=5, open_requests=2), old=Master(requests=7, open_requests=1))
    assert both.open_requests("mymodel", "blue") == {1: 3}
    assert both.answered("mymodel", "blue") == {1: 12}
    assert len(both.slots("mymodel")) == 2


def test_a_switch_is_made_in_both() -> None:
    new, old = Master(), Master()
    new.maps, old.maps = {"mymodel": "blue"}, {"mymodel": "blue"}
    both, _ = runtime(new=new, old=old)
    both.set_entry(MAP, "mymodel", "green")
    both.set_entry(MAP, "other", "blue")
    assert new.maps == old.maps == {"mymodel": "green", "other": "blue"}


def test_a_replaced_proxy_that_ends_in_the_middle_of_a_switch_is_left_out() -> None:
    new, old = Master(), Master()

    def end(command: str) -> None:
        old.running = old.running and not command.startswith("@")

    old.before = end
    both, _ = runtime(new=new, old=old)
    both.set_entry(MAP, "mymodel", "green")
    assert new.maps == {"mymodel": "green"}


def test_a_replaced_proxy_that_does_not_make_a_switch_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.adapters.haproxy.runtime.PATIENCE", 0.0)
    old = Master()
    old.maps = {"mymodel": "blue"}
    monkeypatch.setattr(old, "_one", lambda command: "0x1 mymodel blue\n" if "show" in command else "")
    both, _ = runtime(new=Master(), old=old)
    with pytest.raises(ProxyError, match="did not set mymodel to green") as caught:
        both.set_entry(MAP, "mymodel", "green")
    assert "worker 8 of the replaced proxy: blue" in caught.value.why


def test_workers_with_equal_ids_are_told_apart_by_their_start() -> None:
    old = Master(started="100", requests=1000)
    before, _ = runtime(new=old)
    began = before.counters("mymodel")
    both, _ = runtime(new=Master(started="200", requests=1005), old=old)
    assert between(began, both.counters("mymodel"), "blue").requests == 1005
    # When the old one has ended, its counters are lost, and nothing is subtracted from those of the new one.
    after, _ = runtime(new=Master(started="200", requests=1005))
    assert between(began, after.counters("mymodel"), "blue").requests == 1005


def test_a_container_of_an_older_image_has_only_ids() -> None:
    both, _ = runtime(new=Master(started="200", requests=2), old=Master(requests=1))
    found = both.counters("mymodel")
    assert {key: samples["blue"].requests for key, samples in found.items()} == {"8-200": 2, "8": 1}


# Blue is shielded by green: 100 requests went to blue alone, then 53 to the second backend.
SHIELDED = [
    "mymodel_blue,BACKEND,1,UP,,90,2,8,0,",
    "mymodel_blue,s1,1,UP,L7OK,90,2,7,1,10.0.0.1:80",
    "mymodel_blue,b1,0,no check,,0,0,0,0,10.0.0.1:80",
    "mymodel_green,BACKEND,0,UP,,40,0,0,0,",
    "mymodel_green,s1,0,UP,L7OK,40,0,0,0,10.0.0.2:80",
    "mymodel_green,b1,0,no check,,0,0,0,0,10.0.0.2:80",
    "mymodel_blue_shielded,BACKEND,5,UP,,48,2,3,0,",
    # What is repeated counts for the server that answers at last.
    "mymodel_blue_shielded,n1,2,UP,,41,1,0,1,10.0.0.1:80",
    "mymodel_blue_shielded,b1,0,no check,,0,0,0,0,10.0.0.1:80",
    "mymodel_blue_shielded,o1,1,UP,,4,1,1,0,10.0.0.2:80",
    "mymodel_blue_shielded,p1,2,UP,,3,0,2,0,10.0.0.2:80",
    "mymodel_green_shielded,BACKEND,0,UP,,0,0,0,0,",
    "mymodel_green_shielded,n1,0,UP,,0,0,0,0,10.0.0.2:80",
    "mymodel_green_shielded,b1,0,no check,,0,0,0,0,10.0.0.2:80",
    "mymodel_green_shielded,o1,0,UP,,0,0,0,0,10.0.0.1:80",
    "mymodel_green_shielded,p1,0,UP,,0,0,0,0,10.0.0.1:80",
]


@pytest.fixture
def shielding() -> Master:
    master = Master(started="200")
    master.stat = SHIELDED
    master.times = {"blue:12/5": 130, "blue:99/4": 4, "green:40/4": 42, "blue:-1/2": 1, "rubbish": 7}
    return master


def test_the_counters_of_both_backends_of_a_slot_are_added(shielding: Master) -> None:
    found = runtime(new=shielding)[0].counters("mymodel")
    assert found == {
        "8-200": {
            # 8 and 3 were answered with an error, 8 by green instead, and 2 answers broke off.
            "blue": Sample(100 + 53, 8 + 3 + 8 + 2, 8, {"12/5": 130, "99/4": 4}),
            # What it answers for blue is no request of its own. Two became WebSockets.
            "green": Sample(40 + 2, 0, 0, {"40/4": 42}),
        }
    }


def test_open_requests_and_answers_are_those_of_all_servers_that_stand_for_a_replica(shielding: Master) -> None:
    one, _ = runtime(new=shielding)
    assert one.open_requests("mymodel", "blue") == {1: 1 + 2}
    assert one.open_requests("mymodel", "green") == {1: 1 + 2}
    assert one.answered("mymodel", "blue") == {1: 92 + 42}
    assert one.answered("mymodel", "green") == {1: 40 + 5 + 3}
    assert one.sessions("mymodel", "green") == 3
    assert [server.name for server in one.checked("mymodel", "blue")] == ["s1"]


def test_a_change_of_a_slot_is_made_in_every_backend_that_has_its_servers(shielding: Master) -> None:
    seen: list[str] = []
    runtime(new=shielding)[0].each_server("mymodel", "green", lambda worker, name, server: seen.append(name))
    assert seen == [
        "mymodel_green/s1",
        "mymodel_green/b1",
        "mymodel_green_shielded/n1",
        "mymodel_green_shielded/b1",
        "mymodel_blue_shielded/o1",
        "mymodel_blue_shielded/p1",
    ]


def test_a_worker_without_the_app_has_no_counters() -> None:
    assert runtime(new=Master(started="200"))[0].counters("other") == {}


def test_a_worker_that_ends_meanwhile_has_no_counters(shielding: Master) -> None:
    old = Master(started="100", requests=5)

    def end(command: str) -> None:
        old.running = old.running and not command.startswith("@")

    old.before = end
    both, _ = runtime(new=shielding, old=old)
    assert list(both.counters("mymodel")) == ["8-200"]


def test_what_is_read_while_the_proxy_is_replaced_is_read_again() -> None:
    """A worker of the old master would be taken for that of the new one, whose requests are none."""
    old, new = Master(open_requests=3), Master()
    one, links = runtime(new=old)

    def replace(command: str) -> None:
        if command.startswith("@") and links.masters[MASTER] is old:
            links.masters = {MASTER: new, PREVIOUS: old}
            raise ConnectionRefusedError(111, "Connection refused")

    old.before = replace
    assert one.open_requests("mymodel", "blue") == {1: 3}


# --- workers that a reload has left ------------------------------------------------------------------------------

PROC = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
1               master          1 [failed: 0]   0d00h00m02s     2.6.12
# workers
12              worker          0               0d00h00m01s     2.6.12
# old workers
8               worker          1               0d00h00m02s     2.6.12
# programs
"""
SESSIONS = """\
0x1a: proto=tcpv4 src=127.0.0.1:56604 fe=listen_x be=mymodel_blue srv=s1 ts=00 age=0s calls=2
0x2b: proto=tcpv4 src=127.0.0.1:56605 fe=listen_x be=mymodel_green srv=s1 ts=00 age=0s calls=2
0x3c: proto=tcpv4 src=127.0.0.1:56606 fe=listen_x be=mymodel_blue srv=<none> ts=00 age=0s calls=2
0x4d: proto=sockpair src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 age=0s calls=1
"""


class Reloaded(Links):
    """The master of a current worker and an old one; records the commands to each."""

    def __init__(self) -> None:
        super().__init__({MASTER: Master()})
        self.commands: dict[str, list[str]] = {"12": [], "8": []}

    def ask(self, name: str, command: str, timeout: float) -> str:
        if command == "show proc":
            return PROC
        pid, _, rest = command.removeprefix("@!").partition(" ")
        self.commands[pid].append(rest)
        if rest.startswith("show stat"):
            found = "\n\n".join(
                f"{COLUMNS}\nmymodel_blue,s1,1,UP,L7OK,0,0,0,0,10.0.0.1:80" if name == "mymodel_blue" else COLUMNS
                for name in re.findall(r"show stat (\S+)", rest)
            )
            return f"{found}\n\n"
        if rest.startswith("set map"):
            return "entry not found.\n"
        return SESSIONS if rest == "show sess" else ""


@pytest.fixture
def reloaded() -> tuple[Runtime, Reloaded]:
    made, links = Runtime(Path("/nowhere")), Reloaded()
    stub: Any = links
    made._sockets = stub
    return made, links


def test_the_workers_that_a_reload_has_left_are_known(reloaded: tuple[Runtime, Reloaded]) -> None:
    assert [(worker.pid, worker.old) for worker in reloaded[0].workers()] == [("12", False), ("8", True)]


def test_only_the_others_can_change_a_server(reloaded: tuple[Runtime, Reloaded]) -> None:
    seen: list[str] = []
    reloaded[0].each_server("mymodel", "blue", lambda worker, name, server: seen.append(f"{worker} {name}"))
    assert seen == ["12 mymodel_blue/s1"]


@pytest.mark.parametrize(
    ("target", "commands"),
    [
        (
            "10.0.0.2:80",
            [
                "set map /etc/deployctl/moved.map mymodel_blue 10.0.0.2:80",
                "add map /etc/deployctl/moved.map mymodel_blue 10.0.0.2:80",
            ],
        ),
        ("", ["del map /etc/deployctl/moved.map mymodel_blue"]),
    ],
)
def test_only_those_learn_where_a_slot_is_now(
    reloaded: tuple[Runtime, Reloaded], target: str, commands: list[str]
) -> None:
    reloaded[0].move("mymodel", "blue", target)
    assert reloaded[1].commands == {"12": [], "8": commands}


def test_a_cut_ends_the_sessions_of_both(reloaded: tuple[Runtime, Reloaded]) -> None:
    reloaded[0].cut("mymodel", "blue")
    assert reloaded[1].commands["12"][-1] == "shutdown sessions server mymodel_blue/s1"
    assert reloaded[1].commands["8"] == ["show sess", "shutdown session 0x1a"]
