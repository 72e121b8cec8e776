"""Generated deploy.toml files, valid, invalid and hostile, and the checks that each of them must pass.

`judge` checks the promise: a file is refused with printable findings, or it gives a Config that all later code accepts.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from docker import APIClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from orchestrator.adapters.docker.addresses import address as fixed_address
from orchestrator.adapters.docker.containers import description
from orchestrator.adapters.haproxy import render
from orchestrator.adapters.haproxy.container import shipped
from orchestrator.config import Config, example, parse
from orchestrator.domain import naming
from orchestrator.domain.naming import Names
from orchestrator.domain.rollout.choice import Choice
from orchestrator.domain.rollout.workload import Mount, WorkloadSpec
from orchestrator.domain.traffic.route import ProxyApp, SlotEndpoints
from orchestrator.domain.traffic.slot import SLOTS
from orchestrator.errors import ConfigError, UsageError
from orchestrator.release.plans import Terms, plan_release
from tests.unit.builders import kept, nothing_live, v1_live, v2_live

BASE = Path("/srv/mymodel")
SUBNET = "10.213.0.0/18"
SECRET = "hunter2"
"""Every text in run.env, run.secrets, run.log_options and build.args begins with it; no message may contain it."""


def fuzzing(files: int) -> settings:
    """The settings of a test with so many generated files."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
    return settings(max_examples=files, derandomize=True, deadline=None, database=None, suppress_health_check=slow)


# --- TOML --------------------------------------------------------------------------------------------------------


class Huge(int):
    """A number that is too large for Python to print; hypothesis prints its arguments."""

    def __repr__(self) -> str:
        return f"2**{self.bit_length() - 1}"


class Raw(str):
    """Literal TOML, for values without a Python equivalent, such as a date, and for invalid TOML."""


def toml_text(value: str) -> str:
    def escape(character: str) -> str:
        plain = character.isprintable() and character not in '"\\'
        return character if plain else f"\\U{ord(character):08x}"

    return '"' + "".join(map(escape, value)) + '"'


def toml_value(value: Any) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return toml_text(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_text(key)} = {toml_value(item)}" for key, item in value.items()) + "}"
    # Hexadecimal, because Python limits the number of decimal digits.
    return hex(value) if isinstance(value, int) and value > 10**9 else str(value)


def toml(document: dict[str, Any]) -> str:
    """A file with a section for each table; other values are written above the sections."""
    tables = {name: table for name, table in document.items() if isinstance(table, dict)}
    lines = [f"{toml_text(name)} = {toml_value(value)}" for name, value in document.items() if name not in tables]
    for name, table in tables.items():
        lines.append(f"[{toml_text(name)}]")
        lines += [f"{toml_text(key)} = {toml_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


# --- good values -------------------------------------------------------------------------------------------------

DURATIONS = ["1ms", "250ms", "1s", "1.5s", "1m30s", "2h", "24d", "25d", "30d"]
LISTENS = [":8000", "*:80", "0.0.0.0:8000", "127.0.0.1:8000", "localhost:08000", "[::]:8000", "[0:0::1]:8000"]
HOSTS = ["a.example", "A.Example.COM", "*.example.com", "*.a.example.com", "127.0.0.1", "x", "xn--mller-kva.de"]
HOSTS += ["-".join(["a"] * 32), ".".join(["b" * 60] * 4)]
GOOD: dict[str, list[Any]] = {
    "app.name": ["mymodel", "a", "0", "a-b", "none", "blue", "global", "listen", "z" * 40],
    "app.port": [1, 8080, 65535],
    "build.context": [
        ".",
        "..",
        "src/../image",
        "../../..",
        "/",
        "a b",
        "\u05d0\u202e",
        "${HOME}",
        "a#b",
        "~",
        "x" * 3000,
    ],
    "build.dockerfile": ["Dockerfile", "docker/Dockerfile", "a b", "./x", "ü", "-"],
    "build.args": [{"A": SECRET}, {"B": 1, "_c": True}, {"X": SECRET + " #{}%[x]${HOME}\"'\\"}, {}],
    "build.secrets": [{"pip": "env:PIP_TOKEN", "db.txt": "file:secrets/db.txt"}, {}],
    "build.network": ["default", "none", "host"],
    "build.target": ["serve", "0", "a.b_c-d"],
    "build.builder": ["auto", "buildkit", "classic"],
    "engine.kind": ["docker"],
    "engine.network": ["models", "deployctl", "a.b_c-d", "0"],
    "engine.subnet": ["10.99.0.0/18", "192.168.7.0/24", "10.0.0.0/8"],
    "engine.mtu": [1280, 1400, 9000],
    "model.path": ["model", "..", "/weights", "a\u200bb", "a\tb", "x" * 300],
    "model.mount": ["/model", "/a/../b", "//m//", "/ü \u202e", "/a'\"b"],
    "run.replicas": [1, 2, 3, 32],
    "run.env": [
        {"A": SECRET + "\nB=\\\"'${X}"},
        {"B": 1.5, "C": True},
        {"D": SECRET + "\x1b[31m"},
        {"E": Raw("inf")},
        {},
    ],
    "run.secrets": [
        {"hf_token": "env:HF_TOKEN", "db.txt": "file:secrets/db.txt"},
        {"-": "file:/x:y \u202e", "_.": "env:_"},
        {},
    ],
    "run.secret_env": [{"HF_TOKEN": "env:HF_TOKEN", "_a": "file:secrets/db.txt"}, {}],
    "run.command": ["python -m x", ["a", "b c"], "'a b' \"c\"", ["${HOME}", "#", "%[x]"], ["\u202e"], [""]],
    "run.memory": ["6m", "1.5G", 2**33, "2GiB", 2**63 - 1],
    "run.cpus": [0.01, 1, 2.5, 10000],
    "run.gpus": ["all", 1, 1024, ["0"], ["GPU-1a", "MIG-2/3"], {"blue": ["0", "1"], "green": [2, 3]}],
    "run.tmpfs": [[], "/tmp", ["/tmp:size=64m,mode=1777,exec", "/\u202e x/"], ["/a/../b:ro"]],
    "run.devices": [[], ["/dev/null"], ["/dev/a:/dev/b", "/dev//c:r", "/dev/d:/x y:rwm"]],
    "run.ulimits": [{}, {"nofile": 1, "memlock": -1}, {"core": "0:-1", "nice": "1:2"}],
    "run.ipc": ["private", "shareable", "host", "none"],
    "run.networks": [[], ["back"], ["a.b-c_d", "bridge", "back", "back"]],
    "run.dns": [[], ["1.1.1.1", "fe80::1"]],
    "run.extra_hosts": [{}, {"db": "10.0.0.5", "A.b": "host-gateway"}, ["v6=[::1]", "db:::1", "x:1.2.3.4"]],
    "run.log_driver": ["json-file", "local", "none", "grafana/loki:1.0"],
    "run.log_options": [{}, {"tag": SECRET + "{{.Name}}\n", "labels": True}],
    "run.shm_size": [1, "1k", "1g"],
    "run.volumes": [
        ["./a:/a", "bb:/b:ro"],
        ["/abs/:/abs:rw"],
        ["/z:/z:z", "/y:/y:Z,ro"],
        ["../../../../..:/up"],
        ["/a b:/c'\"#"],
        ["/:/x"],
        [],
    ],
    "run.stop_timeout": DURATIONS,
    "run.user": ["1:1", "me", "a.b-c:d"],
    "run.cap_add": [[], ["ALL"], ["SYS_NICE", "X1"]],
    "run.no_new_privileges": [True, False],
    "run.pids_limit": [0, 1, 4194304],
    "run.init": [True, False],
    "run.read_only": [True, False],
    "run.log_max_size": ["10m", 1, "1.5g"],
    "run.log_max_files": [1, 1000],
    "health.path": ["/", "/healthz", "/x?y=1&z=%41", "/a,b;c:d@e+f=~", "/%%", "/" + "x" * 511],
    "health.preset": ["kserve-v2", "kserve-v1", "tf-serving", "torchserve", "cog", "mlflow", "sagemaker", "openai"],
    "model.ignore": [[], ["**/.cache", "!a/*", "\\#b"]],
    "health.model": ["m", "My.Model~1", "_" + "x" * 127],
    "health.live_path": ["/livez", "/x?y=1"],
    "health.host": ["models.example.com", "A.Example:8443", "10.0.0.1", "[::1]", "[FE80::1]:80", "x"],
    "health.port": [1, 8081, 65535],
    "health.interval": DURATIONS,
    "health.timeout": DURATIONS,
    "health.successes": [1, 2, 100],
    "health.deadline": ["30d", "25d", "1h", "5m"],
    "proxy.listen": [*LISTENS, "[::ffff:127.0.0.1]:8000", "[FE80::1]:1", "255.255.255.255:65535"],
    "proxy.host": [*HOSTS, HOSTS, ["a.example", "A.example"], [f"h{n}.example" for n in range(100)], []],
    "proxy.path_prefix": ["", "/", "/a", "/a/b/", "/v1.0", "/~x-_", "/.a", "/-", "/" + "x" * 255],
    "proxy.strip_prefix": [True, False],
    "proxy.trust_forwarded": [
        "loopback",
        "all",
        [],
        ["10.0.0.0/8", "::1", "fe80::/10"],
        [f"10.{n}.0.0/16" for n in range(99)],
    ],
    "proxy.drain": [*DURATIONS, "0s"],
    "proxy.timeout": DURATIONS,
    "proxy.preview": [":8101", "*:8101", "127.0.0.1:8101", "localhost:08101", "[::1]:8101", "[::ffff:127.0.0.1]:8101"],
    "proxy.sticky": ["none", "cookie", "header:X-User", "header:x_user.id", "query:user", "query:" + "x" * 64],
    "rollout.strategy": ["blue-green", "canary", "recreate"],
    "rollout.stages": [["5% 5m", "25% 10m", "50% 10m"], ["0.01% 1ms"], ["29.97% 1m30s", "99.99% 30d"]],
    "rollout.approve": [True, False],
    "rollout.shield": [True, False],
    "rollout.shield_methods": [["GET"], ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "HEAD"]],
    "rollout.patience": DURATIONS,
    "rollout.settle": [*DURATIONS, "0s"],
    "rollout.hold": DURATIONS,
    "rollout.keep_warm": [*DURATIONS, "0s"],
    "judge.alpha": [0.01, 0.2, 1e-300],
    "judge.max_error_rate": [0.05, 1e-300, 0.999],
    "judge.error_ratio": [1.5, 2, 1000],
    "judge.latency_ratio": [1.25, 1.0000001, 1000],
    "judge.idle": ["hold", "advance"],
    "retention.versions": [2, 5, 10000],
}
METRICS = ["127.0.0.1:8405", "[::1]:8405", ":9", "*:9", "localhost:8405", "[::ffff:127.0.0.1]:8405"]
PLACES = sorted(GOOD)
SECRET_PLACES = ("run.env", "run.secrets", "run.secret_env", "run.log_options", "build.args", "build.secrets")
SECTIONS = sorted({place.partition(".")[0] for place in PLACES})
TEXTS = [place for place in PLACES if isinstance(GOOD[place][0], str)]


@st.composite
def good_documents(draw: st.DrawFn) -> dict[str, Any]:
    """Files in which each value is valid; most of them contain no contradiction."""
    document: dict[str, Any] = {"app": {"name": draw(st.sampled_from(GOOD["app.name"])), "port": 8080}}
    chosen = draw(st.lists(st.sampled_from(PLACES), max_size=7, unique=True))
    if "health.path" in chosen or "health.preset" not in chosen:
        chosen = [place for place in chosen if place not in ("health.preset", "health.model")]
    for place in chosen:
        section, _, key = place.partition(".")
        document.setdefault(section, {})[key] = draw(st.sampled_from(GOOD[place]))
    if "model" in document:
        document["model"].setdefault("path", "model")
    if {"rollout.stages", "rollout.approve"} & set(chosen):
        document["rollout"]["strategy"] = "canary"
    health = document.get("health", {})
    if health.keys() & {"interval", "timeout", "successes"}:
        health["deadline"] = "30d"
        if health.get("successes", 2) > 1 and health.get("interval", "")[-1:] == "d":
            health["successes"] = 1
    return document


# --- hostile values ----------------------------------------------------------------------------------------------

# Text that is special for HAProxy, a shell, TOML, a terminal, or a file system.
SIGNS = ["\n", "\r", "\r\n", "\t", " ", "\x00", "\x1b[2J", "\x7f", "\x85", "\x9b31m", "\u2028", "\u2029", "\u202e"]
SIGNS += ["\u200b", "\u2066", "\ufeff", "\ufffe", "\U000e0041", "\u0660", "\uff0f", "\u212a", "\u0130", "é", "א"]
SIGNS += ["'", '"', "\\", "\\x20", "#", "$", "${HOME}", '"${HOME}"', "%[req.hdr(Host)]", "%[", "%{+Q}o", "%ci"]
SIGNS += [
    "{",
    "}",
    "{ }",
    "(",
    ")",
    "!",
    "|",
    ",",
    ";",
    "&",
    "*",
    "?",
    "[",
    "]",
    "]]",
    "@",
    "@config@",
    "=",
    "+",
    "<",
    ">",
]
SIGNS += [
    "`id`",
    "$(id)",
    "../..",
    "/../..",
    "/..",
    "//",
    "./",
    "/./",
    "/",
    ":",
    "::",
    ":ro",
    ":8000",
    "~",
    "-",
    "--",
    ".",
]
SIGNS += ["\n  bind *:1", "\nbackend evil", " if TRUE", " # ", "\n[run]\n", "str(x)", ",lower", "\x00\x00", "\x01"]
WHOLE = ["", " ", "/", "//", ".", "..", "/..", "../..", "/etc/passwd", "~/x", "C:\\x", "//host/share", "[key]", "none"]
WHOLE += ["deployctl", "null", "nan", "-1", "0", "1e9", "99999999999", "x" * 300, "x" * 5000, "é" * 70, "\u202e" * 61]
WHOLE += [
    "/" + "x" * 600,
    "a." * 200 + "a",
    "0:0",
    "1:2:3:4",
    "[::1%eth0]:80",
    "[::1]",
    "::1:80",
    "0.0.0.0",
    "127.1:80",
]
WHOLE += ["./a:/b:/c", ":/a", "a:", "/a:/b:rw,z", "5", "5 s", "31d", "0.0001ms", "9" * 70 + "s", "s", "٥s", "1..5s"]
WHOLE += [
    "'open",
    '"',
    "a\\",
    "kserv-v2",
    "AUTO",
    "--privileged",
    "a.example.",
    "*",
    "*.",
    "a.*.b",
    "*.*.a",
    "-a",
    "a_b",
]
OTHER: list[Any] = [0, -1, 1, 33, 65536, 10**9, Huge(2**63), Huge(2**64), Huge(2**10000), Huge(2**20000)]
OTHER += [0.0, -0.0, 1e-5, 5e-324, 0.5, 1e308, Raw("inf"), Raw("-inf"), Raw("nan"), Raw("1e400"), True, False]
OTHER += [
    Raw("1979-05-27"),
    Raw("07:32:00"),
    Raw("1979-05-27T07:32:00Z"),
    [],
    {},
    [[]],
    [{}],
    [1],
]
OTHER += [{"a": {"b": {"c": []}}}, {"[key]": 1}, {"": ""}, [["a"], "b", 1, True], {"A": []}, {"A": {"B": 1}}]
# Values that are almost valid.
NEAR: dict[str, list[Any]] = {
    "app.name": ["deployctl", "z" * 41, "a_b", "a-", "A"],
    "build.dockerfile": ["/Dockerfile", "a/../../b", "a\n"],
    "build.args": [{"A": SECRET + "\n"}, {"A-B": SECRET}, {"A": Huge(2**600)}],
    "model.mount": ["/", "/..", "a", "/a:b", "//"],
    "model.ignore": [["!"], ["a["], ["a\\"], [1], "a"],
    "run.env": [{"A": SECRET + "\x00"}, {"A=B": SECRET}, {"A\n": SECRET}, {"A": Huge(2**600)}],
    "run.secrets": [{"A": SECRET}, {"A": f"env:{SECRET}-"}, {"A": f"ENV:{SECRET}"}, {".a": "env:A"}, {"a/b": "env:A"}],
    "run.secret_env": [{"A": SECRET}, {"A": f"env:{SECRET}-"}, {"a.b": "env:A"}, {"A\n": "env:A"}, {"": "env:A"}],
    "build.secrets": [{"A": SECRET}, {"A": f"ENV:{SECRET}"}, {".a": "env:A"}],
    "run.command": ["'open", " ", [], "a\\", ["a\n"], "a\tb", '""'],
    "run.memory": ["5m", "6291455b", "99999999t", "0m", 6 * 2**20 - 1],
    "run.gpus": [[], ["0", 0], [True], ["a b"], {"blue": ["0"]}, {"blue": [], "green": ["1"]}, 0],
    "run.tmpfs": [["/"], ["tmp"], ["/t:"], ["/t:size"], ["/t:size=1x"], ["/t:mode=9"], ["/a", "/a/"], [""]],
    "run.devices": [["dev"], ["/dev/a:b"], ["/a:/b:x"], ["/a:/b:/c"], ["/a:"], ["/"], ["/a:/b:rw:m"]],
    "run.ulimits": [
        {"x": 1},
        {"NOFILE": 1},
        {"nofile": "2:1"},
        {"nofile": "-1:1"},
        {"nofile": True},
        {"core": "9" * 30},
    ],
    "run.networks": [["host"], ["none"], ["deployctl"], ["deployctl-0a1b2c3d"], ["a b"], [""], ["-a"]],
    "run.dns": [["a.example"], ["1.2.3"], [""]],
    "run.extra_hosts": [{"a b": "1.1.1.1"}, {"a": "b"}, ["a"], [1], {"": "::1"}, ["a:1.2.3.4:5"]],
    "run.log_driver": ["", "a b", "-x"],
    "run.log_options": [{"max-size": SECRET}, {"A": SECRET}, {"a b": SECRET}],
    "run.volumes": [
        ["./a:/b:/c"],
        ["/a:/b:z,Z"],
        ["/a:/b:ro,rw"],
        ["/a:/b:,"],
        ["a:/b"],
        ["/a:/"],
        ["~/a:/b"],
        ["../a:/b:q"],
        ["/a:/b", "/c:/b/"],
    ],
    "health.model": ["a b", "..", "a/b"],
    "engine.network": ["host", "none", "bridge", "-a", "a b", "container:x", ""],
    "engine.subnet": ["10.99.0.0", "10.99.0.1/18", "10.99.0.0/25", "0.0.0.0/0", "fd00::/64", "10.99.0.0/18\n"],
    "health.host": ["", "a b", "*.a", "a:", "a:0", "a:65536", "[::1", "[fe80::1%lo]", "a_b", "\u212a.example", "a.:80"],
    "health.port": [0, 65536, "8081", 8081.5],
    "proxy.listen": ["[::1%lo]:80", "::1:80", ":0", ":65536", "127.1:80", "a.example:80", "127.0.0.1:\u0668"],
    "proxy.host": ["a.example.", "*.*.a", "\u212a.example", "a_b.example", "a.example:80", ".".join(["b" * 60] * 5)],
    "proxy.trust_forwarded": [
        "",
        "nobody",
        "10.0.0.0/8",
        ["10.1.2.3/8"],
        ["a.example"],
        [8],
        ["::1%lo"],
        ["10.0.0.0/33"],
    ],
    "proxy.preview": ["[::1%lo]:80", "::1:80", ":0", ":65536", "127.1:80", "a.example:80", ":8000", "127.0.0.1:8000"],
    "proxy.sticky": ["", "Cookie", "cookie:a", "header", "header:", "query:-a", "header:a,1", "query:" + "x" * 65],
    "rollout.stages": [
        ["5%"],
        ["5 % 5m"],
        ["0% 5m"],
        ["100% 5m"],
        ["0.001% 5m"],
        ["5% 0s"],
        ["5% 31d"],
        ["5% 5m", "5% 5m"],
        ["5% 5m\n"],
        "5% 5m",
    ],
    "rollout.shield_methods": [["GET", "GET"], ["get"], ["CONNECT"], "GET"],
    "judge.alpha": [0, 0.21, "0.01"],
    "judge.max_error_rate": [0, 1],
    "judge.error_ratio": [1, 1001],
    "judge.latency_ratio": [1, 1001],
    "proxy.path_prefix": ["/%61", "/..", "/a//b", "/" + "x" * 256, "/a b", "/a{b}"],
}
WRONG_TIMES = ["0s", "0.1ms", "31d", "5", "5 s", "s", "٥s", "1..5s", "9" * 70 + "s", 5, 0.5, 1e-5]
MORE_KEYS = [
    "",
    "[key]",
    "a b",
    "a.b",
    "Name",
    "NAME",
    "name",
    "replica",
    "path",
    "x" * 100,
    "\x1b[2J",
    "\u202e",
    "é",
    "0",
]
MORE_KEYS += [
    "timout",
    "keep-warm",
    "hosts",
    "base",
    "source",
    "environment",
    "port",
    "model_config",
    "_base",
    "__class__",
]
CONTRADICTIONS: list[dict[str, Any]] = [
    {"health.path": "/x", "health.preset": "cog"},
    {"health.preset": "cog", "health.model": "m"},
    {"health.model": "m"},
    {"health.timeout": "10m"},
    {"health.interval": "10m"},
    {"health.interval": "4m", "health.successes": 100},
    {"health.deadline": "1ms"},
    {"run.volumes": ["/a:/x\u202e", "/b:/x\u202e"]},
    {"run.volumes": ["/a:/x\u202e"], "run.tmpfs": ["/x\u202e"]},
    {"run.gpus": 1, "run.replicas": 2},
    {"run.gpus": ["0", "1", "2"], "run.replicas": 2},
    {"run.gpus": {"blue": ["0"], "green": ["1", "2"]}, "run.replicas": 2},
    {"run.ipc": "host", "run.shm_size": "1g"},
    {"run.env": {"A": SECRET}, "run.secret_env": {"A": "env:A"}},
    {"build.secrets": {"A": "env:A"}, "build.builder": "classic"},
    {"run.log_driver": "none", "run.log_max_files": 3},
    {"run.volumes": ["/a:/x", "/b:/./x/", "/c:/y/../x"]},
    {"run.volumes": ["/a:/model\x85"], "model.path": "m", "model.mount": "/model\x85"},
    {"model.mount": "/m"},
    {"rollout.stages": ["5% 5m"]},
    {"rollout.stages": ["5% 5m"], "rollout.strategy": "recreate"},
    {"rollout.stages": [], "rollout.strategy": "canary"},
    {"rollout.approve": True},
    {"proxy.preview": "127.0.0.1:8000"},
    {"proxy.preview": ":8405", "proxy.metrics": "[::1]:8405"},
]


def poison(good: str) -> st.SearchStrategy[str]:
    """`good` with hostile text in it, before it or after it."""

    def put(parts: tuple[str, int]) -> str:
        sign, at = parts
        at %= len(good) + 1
        return good[:at] + sign + good[at:]

    return st.tuples(st.sampled_from(SIGNS), st.integers(0, 12)).map(put)


hostile_texts = st.one_of(
    st.sampled_from(WHOLE),
    st.sampled_from(SIGNS),
    st.lists(st.sampled_from(SIGNS), min_size=1, max_size=4).map("x".join),
    st.text(max_size=8),
)


@st.composite
def hostile_values(draw: st.DrawFn, place: str) -> Any:
    """A value for `place` that is probably invalid, for as few reasons as possible."""
    near = WRONG_TIMES if place in GOOD and GOOD[place][0] == DURATIONS[0] else NEAR.get(place)
    if near and draw(st.integers(0, 2)) == 0:
        return draw(st.sampled_from(near))
    secret = place in SECRET_PLACES
    if draw(st.integers(0, 3)) == 0:
        other = draw(st.sampled_from(OTHER))
        return draw(st.sampled_from([other, {"A": other}, {"A": 1, "B": other}])) if secret else other
    good = draw(st.sampled_from(GOOD.get(place, ["prod.env"])))
    if secret:
        text = SECRET + draw(hostile_texts)
        key = draw(st.sampled_from(["A", "a_1", "A"]) | hostile_texts)
        return draw(st.sampled_from([{key: text}, {"A": [text]}, {"A": {"B": text}}, [text], text, {key: 1}]))
    if isinstance(good, list):
        inner = draw(poison(str(good[0])) if good else hostile_texts)
        return draw(st.sampled_from([[inner], [*good, inner], inner, [inner, *good[:30], inner], [[inner]]]))
    if draw(st.booleans()) and isinstance(good, str):
        return draw(poison(good))
    return draw(hostile_texts)


@st.composite
def hostile_documents(draw: st.DrawFn) -> dict[str, Any]:
    """A valid file with up to three changes that are probably invalid."""
    document = draw(good_documents())
    # Sometimes no change, so that a minimum of files is valid.
    for _ in range(draw(st.sampled_from([*[1, 1, 1, 2, 3] * 4, 0]))):
        how = draw(st.integers(0, 9))
        if how <= 5:
            place = draw(st.sampled_from(TEXTS if how <= 3 else PLACES))
            _put(document, place, draw(hostile_values(place)))
        elif how == 6:
            for place, value in draw(st.sampled_from(CONTRADICTIONS)).items():
                _put(document, place, value)
        elif how == 7:
            key = draw(st.sampled_from(MORE_KEYS) | st.text(max_size=5))
            _put(document, f"{draw(st.sampled_from(SECTIONS))}.{key}", draw(st.sampled_from(OTHER)))
        elif how == 8:
            name = draw(st.sampled_from([*MORE_KEYS, *SECTIONS, "helth", "runs"]))
            document[name] = draw(st.sampled_from(OTHER))
        elif document:
            del document[draw(st.sampled_from(sorted(document)))]
    return document


def _put(document: dict[str, Any], place: str, value: Any) -> None:
    section, _, key = place.partition(".")
    if not isinstance(document.setdefault(section, {}), dict):
        document[section] = {}
    document[section][key] = value


def smallest(place: str, value: Any) -> dict[str, Any]:
    """The smallest file with this value in it."""
    document: dict[str, Any] = {"app": {"name": "m", "port": 1}}
    _put(document, place, value)
    if "model" in document:
        document["model"].setdefault("path", "model")
    return document


def traps() -> Iterator[dict[str, Any]]:
    """Every value of the lists above at every place, every contradiction, and unknown keys."""
    for place in PLACES:
        near = WRONG_TIMES if GOOD[place][0] == DURATIONS[0] else NEAR.get(place, [])
        for value in [*near, *OTHER, *SIGNS, *WHOLE]:
            yield smallest(place, value)
    for contradiction in CONTRADICTIONS:
        document = {"app": {"name": "m", "port": 1}}
        for place, value in contradiction.items():
            _put(document, place, value)
        yield document
    for key in MORE_KEYS:
        for section in SECTIONS:
            yield {"app": {"name": "m", "port": 1}, section: {key: 1}}


documents = st.one_of(good_documents(), hostile_documents(), hostile_documents())


# --- texts -------------------------------------------------------------------------------------------------------

BROKEN = ["[", "[[", "]", "= 1", "x", "x =", "x = [", 'x = "', "x = '''", "[app]", "[[app]]", "[app.name]", "app = 1"]
BROKEN += [
    'name = "a"\nname = "b"',
    "port = 1\nport = 1",
    "x = 1 y = 2",
    "x = 01",
    "x = 1__0",
    'x = "\\q"',
    'x = "\\ud800"',
]
BROKEN += [
    "\x00",
    "\x0b",
    "\r",
    "\u2028",
    "# \x07",
    "\ud800",
    "x = '\udfff'",
    "x = 1979-13-45",
    "x = +",
    "é = 1",
    "a..b = 1",
]
BROKEN += [
    "a.b = 1\na = 2",
    "[run]\n[run]",
    "[run.env]\nA = 1\n[run]\nenv = 1",
    '"" = 1',
    "x = {a = 1,}",
    "[a.'b\u202ec']\n" * 2,
]
BROKEN += [
    "x = " + "[" * 5000,
    "x = " + "{a=" * 5000,
    "x = " + "9" * 5000,
    "x" + ".x" * 300 + " = 1",
    "x = 'a\nb'",
    "\ufeff",
]
_OFF = re.compile(r"#(?=[a-z\[])")


@st.composite
def edited_examples(draw: st.DrawFn) -> str:
    """The annotated example with valid or arbitrary edits."""
    lines = example().splitlines()
    off = [number for number, line in enumerate(lines) if _OFF.match(line)]
    for number in draw(st.lists(st.sampled_from(off), max_size=6, unique=True)):
        lines[number] = _OFF.sub("", lines[number], count=1)
    careful = draw(st.booleans())
    written = [number for number, line in enumerate(lines) if re.match(r"#?[a-z_]+ = ", line)]
    for _ in range(draw(st.integers(0, 2 if careful else 3))):
        number = draw(st.sampled_from(written))
        key = lines[number].lstrip("#").partition(" ")[0]
        section = next(head for line in reversed(lines[:number]) if (head := re.match(r"#?\[(\w+)\]", line)))[1]
        place = f"{section}.{key}"
        if careful:
            value = draw(st.sampled_from(GOOD.get(place, ["prod.env"])))
            lines[number] = f"{key} = {toml_value(value)}"
            continue
        how = draw(st.integers(0, 6))
        if how == 0:
            lines[number] = f"{key} = {toml_value(draw(hostile_values(place)))}"
        elif how == 1:
            lines[number] += "\n" + lines[number].lstrip("#")
        elif how == 2:
            lines[number] = draw(st.sampled_from(BROKEN))
        elif how == 3:
            lines[number] = ""
        elif how == 4:
            lines[number] = f"{key} = {draw(hostile_texts)}"
        elif how == 5:
            at = draw(st.integers(0, len(lines[number])))
            lines[number] = lines[number][:at] + draw(st.sampled_from(SIGNS)) + lines[number][at:]
        else:
            lines[number] = draw(st.sampled_from([f"[{section}]", f"[{section}s]", "[health]", "[[run]]"]))
    return "\n".join(lines)


raw_texts = st.one_of(
    st.text(st.characters(), max_size=40),
    st.lists(st.sampled_from([*BROKEN, "[app]", 'name = "m"', "port = 1", "\n"]), max_size=6).map("\n".join),
    st.lists(st.sampled_from([*BROKEN, "", "# x", "[run]"]), max_size=2).map(
        lambda lines: "\n".join(['[app]\nname = "m"\nport = 1', *lines])
    ),
    st.lists(st.sampled_from(list("[]{}=.,'\"\\#\n\r\t 0x1e-:TZinfatrue") + SIGNS), max_size=20).map("".join),
)


# --- checks ------------------------------------------------------------------------------------------------------


class Tally:
    """Counts valid and invalid files and the messages of findings, to check that all kinds of files occur."""

    def __init__(self) -> None:
        self.valid = 0
        self.invalid = 0
        self.words: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self.valid + self.invalid

    def count(self, result: Config | UsageError) -> None:
        if isinstance(result, Config):
            self.valid += 1
            return
        self.invalid += 1
        findings = result.findings if isinstance(result, ConfigError) else []
        for finding in findings:
            self.words[finding.message] += 1

    def met(self, words: str) -> bool:
        return any(words in message for message in self.words)


def judge(text: str, base: Path = BASE) -> Config | UsageError:
    """Reads a file and checks the result. Any other exception would be a traceback for the user."""
    try:
        config = parse(text, file="deploy.toml", base=base)
        # Reads run.env_file, which does not exist here.
        config.environment()
    except ConfigError as error:
        explained(error)
        return error
    works(config)
    return config


def explained(error: UsageError) -> None:
    """Checks that an error has a hint, is printable, and contains no secret."""
    assert error.hint
    for part in (error.message, error.why, error.hint):
        assert part.isprintable(), part
        assert SECRET not in part
    if not isinstance(error, ConfigError):
        return
    assert error.findings
    assert len(error.details.splitlines()) == len(error.findings)
    for finding in error.findings:
        line = str(finding)
        assert finding.path.strip()
        assert finding.message.strip()
        assert line.isprintable(), line
        assert len(line) < 2000, line
        assert SECRET not in line
        assert "pydantic" not in line.lower()


def works(config: Config) -> None:
    """Checks that all later code accepts the configuration."""
    stored = json.dumps(config.snapshot())
    restored = Config.from_snapshot(json.loads(stored))
    assert restored == kept(config)
    assert restored.environment() == config.environment()
    assert json.dumps(restored.snapshot()) == stored
    assert restored.run_digest() == config.run_digest()
    planned(config)
    rendered(config)
    contained(config)


def planned(config: Config) -> None:
    for state in (nothing_live(), v1_live(), v2_live("warm")):
        rollout = config.rollout
        terms = Terms(
            config.run.replicas,
            rollout.keep_warm,
            rollout.bake,
            rollout.settle,
            rollout.shield,
            config.patience(),
            config.registry.push,
        )
        plan = plan_release(state, Choice("v3", "build"), terms, image=naming.image(config.app.name, "v3"))
        assert all(step.words.isprintable() for step in plan.steps)
        json.dumps([step.args for step in plan.steps])


@functools.cache
def _engine() -> APIClient:
    """The SDK's client, to build requests. It is never connected."""
    return APIClient(base_url="http://127.0.0.1:9", version="1.41")


def contained(config: Config) -> dict[str, Any]:
    """The request for a container of this app, built by the SDK."""
    model = Path("/var/lib/deployctl/models") / config.app.name / "v1"
    secrets = Path("/var/lib/deployctl/secrets") / config.app.name / "v1" / "1"
    mounts = [Mount(model, config.model.mount)] if config.model else []
    mounts += [Mount(secrets, "/run/secrets")] if config.run.secrets else []
    spec = WorkloadSpec(
        app=config.app.name,
        app_number=1,
        version="v1",
        slot="blue",
        index=1,
        deployment=1,
        image_id="sha256:0",
        runtime=config.runtime("blue", 1),
        mounts=tuple(mounts),
        labels={naming.LABEL_CONFIG: config.run_digest()},
    )
    described = description(_engine(), Names("default"), spec, fixed_address(SUBNET, 1, "blue", 1), "deployctl", {})
    assert described.pop("name") == f"{config.app.name}-v1-blue-1"
    request: dict[str, Any] = _engine().create_container_config(described.pop("image"), **described)
    read = json.loads(json.dumps(request))
    host = read["HostConfig"]
    assert sorted(read["Env"] or []) == sorted(f"{key}={value}" for key, value in config.environment().items())
    assert read["Labels"] == {
        "deployctl.state": "default",
        "deployctl.app": config.app.name,
        "deployctl.version": "v1",
        "deployctl.slot": "blue",
        "deployctl.deployment": "1",
        "deployctl.index": "1",
        "deployctl.number": "1",
        "deployctl.config": config.run_digest(),
    }
    assert read["Cmd"] == (config.run.command or None)
    assert host["CapDrop"] == ["ALL"]
    asked = [(mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in host.get("Mounts", [])]
    assert asked == [(str(mount.source), mount.target, True) for mount in mounts]
    assert len(host["Binds"]) == len(config.run.volumes)
    for bind in host["Binds"]:
        source, target, mode = bind.split(":")
        assert source.startswith("/") or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]+", source)
        assert ".." not in source.split("/")
        assert target.startswith("/")
        assert ".." not in target.split("/")
        assert mode.split(",")[0] in ("ro", "rw")
    return request


# --- HAProxy -----------------------------------------------------------------------------------------------------

_SAFE = re.compile(r"[A-Za-z0-9._~/%?=&:@+,;*\[\]-]*")


def proxy_app(config: Config, name: str | None = None, block: int = 1) -> ProxyApp:
    """What the proxy knows about the app after its first release."""
    probe, count = config.probe_spec(), config.run.replicas

    def backend(version: str, slot: Any) -> SlotEndpoints:
        addresses = tuple(fixed_address(SUBNET, block, slot, index) for index in range(1, count + 1))
        return SlotEndpoints(version, addresses, probe, slot == "blue", port=config.port)

    slots: Any = {"blue": backend("v1", "blue"), "green": backend("none", "green")}
    return ProxyApp(name or config.app.name, config.route(), slots)


def rendered(config: Config) -> None:
    """Checks that HAProxy's configuration is that of a harmless app with this app's values in their places."""
    app = proxy_app(config)
    route, spec, name = app.route, config.probe_spec(), app.name
    for word in (
        name,
        route.listen,
        route.metrics,
        route.preview,
        config.proxy.sticky,
        route.path_prefix,
        spec.path,
        spec.host,
        *route.hosts,
        *route.trusted,
        *route.repeatable,
    ):
        assert _SAFE.fullmatch(word), word
        assert "%[" not in word
    # These are written where HAProxy would expand a %.
    assert "%" not in route.path_prefix + name
    text = render.configuration(_template(), [app], 2)[0]
    hosts = [
        f"*.h{n:04}.invalid" if host.startswith("*.") else f"h{n:04}.invalid" for n, host in enumerate(route.hosts)
    ]
    shape = (bool(route.path_prefix), route.strip_prefix, config.run.replicas, spec.body, spec.statuses)
    addresses = (bool(route.metrics), bool(route.preview))
    kinds = (route.trusted, route.repeatable, route.sticky)
    reference = _reference(tuple(hosts), *addresses, *kinds, *shape)
    meant = {
        "the-app": name,
        "listen_192.0.2.9:9": "listen_" + route.listen.replace("*", "all").replace("[", "").replace("]", ""),
        "192.0.2.9:9": _bound(route.listen),
        "192.0.2.9:8": _bound(route.metrics),
        "192.0.2.9:7": _bound(route.preview),
        "/the-probe": spec.path,
        "7654321ms": _timer(route.timeout),
        "54321ms": _timer(spec.timeout),
        "98765ms": _timer(spec.interval),
        "197530ms": _timer(max(2 * spec.interval, 1.0)),
        ":45454": f":{config.port}",
        "45455": str(spec.port),
        "the-probe-host": spec.host,
        **{placeholder.lstrip("*"): host.lstrip("*") for placeholder, host in zip(hosts, route.hosts, strict=True)},
    }
    # Only lines with a mark differ between apps.
    expected = [_replaced(line, meant, route.path_prefix) if marked else line for line, marked in reference]
    actual = [words(line) for line in text.split("\n")]
    assert len(expected) == len(actual)
    # The order of an app's routes depends on their names.
    if expected != actual:
        assert [line for line in expected if not _is_match(line)] == [line for line in actual if not _is_match(line)]
        assert sorted(filter(_is_match, expected)) == sorted(filter(_is_match, actual))
        assert [_is_match(line) for line in expected] == [_is_match(line) for line in actual]
    assert max(map(len, actual)) <= 64
    assert render.routes_map({name: "blue"}) == f"{name} blue\n"
    assert render.versions_map([app]) == f"{name}_blue v1\n{name}_green none\n"
    assert render.replicas_map([app]) == "".join(f"{name}_{slot} {config.run.replicas}\n" for slot in SLOTS)


def _timer(seconds: float) -> str:
    return f"{min(round(seconds * 1000), 2**31 - 1)}ms"


def _is_match(line: list[str]) -> bool:
    return line[1:2] == ["set-var(txn.app)"]


@functools.cache
def _template() -> str:
    # The digest differs.
    return shipped("haproxy.cfg").replace("@config@", "digest")


_REFERENCE = """
[app]
name = "the-app"
port = 45454
[run]
replicas = {replicas}
[health]
path = "/the-probe"
host = "the-probe-host"
port = 45455
interval = "98765ms"
timeout = "54321ms"
[proxy]
listen = "192.0.2.9:9"
host = {hosts}
path_prefix = "{prefix}"
strip_prefix = {strip}
timeout = "7654321ms"
{metrics}
{preview}
"""


@functools.cache
def _reference(
    hosts: tuple[str, ...],
    metrics: bool,
    preview: bool,
    trusted: tuple[str, ...],
    repeatable: tuple[str, ...],
    sticky: str,
    prefix: bool,
    strip: bool,
    replicas: int,
    body: str | None,
    statuses: tuple[int, int],
) -> list[tuple[list[str], bool]]:
    """HAProxy's configuration of a harmless app of the same shape: the words of each line, and whether it is marked."""
    values = {"hosts": toml_value(list(hosts)), "prefix": "/the-prefix" if prefix else "", "strip": toml_value(strip)}
    values["metrics"] = 'metrics = "192.0.2.9:8"' if metrics else ""
    values["preview"] = 'preview = "192.0.2.9:7"' if preview else ""
    config = parse(_REFERENCE.format(replicas=replicas, **values), file="deploy.toml", base=BASE)
    app = proxy_app(config)
    # The pattern of a preset, which is not user input.
    probe = replace(config.probe_spec(), body=body, statuses=statuses)
    slots = {slot: replace(backend, probe=probe) for slot, backend in app.slots.items()}
    app = replace(app, slots=slots, route=replace(app.route, trusted=trusted, repeatable=repeatable, sticky=sticky))
    lines = [words(line) for line in render.configuration(_template(), [app], 2)[0].split("\n")]
    return [(line, any(_MARKS.search(word) or "/the-prefix" in word for word in line)) for line in lines]


_MARKS = re.compile(
    r"the-app|listen_192\.0\.2\.9:9|192\.0\.2\.9:[789]|/the-probe(?!-)|the-probe-host|\b7654321ms|\b54321ms|\b98765ms|\b197530ms|:45454"
    r"|\b45455\b|\.?h[0-9]{4}\.invalid"
)


def _replaced(line: list[str], meant: dict[str, str], prefix: str) -> list[str]:
    replaced = []
    for word in line:
        if word.startswith("^/the-prefix"):
            pattern = "^" + prefix.replace(".", "\\.") + word.removeprefix("^/the-prefix")
            assert re.match(pattern, prefix + "/x")
            assert not (word.endswith("(/|$)") and re.match(pattern, prefix + "x"))
            replaced.append(pattern)
        elif word.endswith("/the-prefix"):
            replaced.append(word.removesuffix("/the-prefix") + prefix)
        elif word.startswith("192.0.2.9:"):
            replaced += meant[word].split()  # all addresses have one more word
        else:
            replaced.append(_MARKS.sub(lambda mark: meant[mark[0]], word))
    return replaced


def _bound(listen: str) -> str:
    """What follows `bind` for an address."""
    host, _, port = listen.rpartition(":")
    return f"*:{port},[::]:{port} v6only" if host in ("*", "[::]") else listen


@functools.lru_cache(maxsize=4096)
def words(line: str) -> list[str]:
    """Splits a line as HAProxy does: quotes, backslashes and comments as in chapter 2.2 of its manual.

    The list is cached and must not be changed.
    """
    assert line.isascii()
    assert line.isprintable()
    if line.isalnum() or not any(sign in line for sign in "'\"\\#"):
        return line.split()
    parts: list[str] = []
    word: str | None = None
    quote, at = "", 0
    while at < len(line):
        sign, at = line[at], at + 1
        if quote == "'":
            quote, word = ("", word) if sign == "'" else (quote, (word or "") + sign)
        elif sign == "\\" and at < len(line):
            next_sign, at = line[at], at + 1
            if next_sign == "x" and re.fullmatch("[0-9A-Fa-f]{2}", line[at : at + 2]):
                word, at = (word or "") + chr(int(line[at : at + 2], 16)), at + 2
            else:
                kept = next_sign if next_sign in " \\#'\"" else "\\" + next_sign
                word = (word or "") + kept
        elif quote == '"':
            assert sign != "$", "the environment would be read"
            quote, word = ("", word) if sign == '"' else (quote, (word or "") + sign)
        elif sign in "'\"":
            quote, word = sign, word or ""
        elif sign == " ":
            parts, word = ([*parts, word], None) if word is not None else (parts, None)
        elif sign == "#":
            break
        else:
            word = (word or "") + sign
    assert not quote, line
    return parts if word is None else [*parts, word]
