"""deploy.toml: what it may say, what is found when it is wrong, and what a later run gets back."""

from __future__ import annotations

import datetime
import json
import math
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example as with_example
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import config as module
from orchestrator.config import Config, example, json_schema, load, parse
from orchestrator.config.watchdog import OBSOLETE
from orchestrator.domain.health.presets import PRESETS
from orchestrator.domain.health.probe import ProbeSpec, Reply, judge
from orchestrator.domain.rollout.workload import NetworkSpec
from orchestrator.errors import ConfigError, Finding, UsageError
from tests.unit.builders import kept

BASE = Path("/srv/mymodel")
MINIMAL = '[app]\nname = "mymodel"\nport = 8080\n'


def ok(text: str = "", head: str = MINIMAL) -> Config:
    return parse(head + text, file="deploy.toml", base=BASE)


def findings(text: str, head: str = MINIMAL) -> list[Finding]:
    with pytest.raises(ConfigError) as caught:
        parse(head + text, file="deploy.toml", base=BASE)
    assert caught.value.file == "deploy.toml"
    assert not any("pydantic" in str(finding).lower() for finding in caught.value.findings)
    return caught.value.findings


def finding(text: str, head: str = MINIMAL) -> Finding:
    found = findings(text, head)
    assert len(found) == 1, found
    return found[0]


# --- what comes out --------------------------------------------------------------------------------------


def test_only_name_and_port_are_needed() -> None:
    config = ok()
    assert (config.app.name, config.port, config.base, config.source) == (
        "mymodel",
        8080,
        BASE,
        "deploy.toml",
    )
    assert config.context_dir == BASE
    assert config.dockerfile_path == BASE / "Dockerfile"
    assert config.model is None
    assert config.model_dir is None
    assert config.environment() == {}
    assert config.run.replicas == 1
    assert config.run.stop_timeout == 10.0
    assert config.run.log_max_size == 10 * 1024**2
    assert config.run.pids_limit == 4096
    assert config.proxy.listen == "127.0.0.1:8000"
    assert (config.proxy.drain, config.proxy.timeout) == (30.0, 3600.0)
    assert config.rollout.keep_warm == 600.0
    assert config.retention.versions == 5
    assert config.probe_spec() == ProbeSpec(path="/healthz", port=8080, host="localhost")


def test_frozen() -> None:
    config = ok()
    for section, key in ((config, "app"), (config.app, "name"), (config.run, "replicas")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(section, key, None)


def test_everything_set() -> None:
    config = ok(
        """
[build]
context = "src/../image"
dockerfile = "docker/Dockerfile"
args = { A = 1, B = true, C = 1.5, D = "x y" }
target = "serve"
builder = "classic"
[model]
path = "weights"
mount = "/opt//model/"
[run]
replicas = 3
env = { A = 1, B = false, C = 0.5, D = "two\\nlines" }
command = "python -m 'my server'"
memory = "1.5G"
cpus = 2
gpus = "all"
shm_size = 1048576
volumes = ["./data:/data", "..//x:/x:ro", "/abs/:/abs:rw", "cache:/cache"]
stop_timeout = "1m30s"
user = "1000:1000"
cap_add = ["SYS_NICE"]
no_new_privileges = false
pids_limit = 0
[health]
path = "/ready?full=1"
interval = "0.25s"
[proxy]
listen = "[0:0::1]:08000"
host = ["Models.Example.com", "*.example.org"]
path_prefix = "/a/b/"
drain = "0s"
[rollout]
keep_warm = "0s"
"""
    )
    assert config.context_dir == BASE / "image"
    assert config.dockerfile_path == BASE / "image/docker/Dockerfile"
    assert config.build.args == {"A": "1", "B": "true", "C": "1.5", "D": "x y"}
    assert config.model is not None
    assert (config.model_dir, config.model.mount) == (BASE / "weights", "/opt/model")
    assert config.environment() == {"A": "1", "B": "false", "C": "0.5", "D": "two\nlines"}
    assert config.run.command == ["python", "-m", "my server"]
    assert config.run.memory == 1536 * 1024**2
    assert (config.run.cpus, config.run.gpus, config.run.shm_size) == (2.0, "all", 1048576)
    assert config.run.volumes == [
        "/srv/mymodel/data:/data:rw",
        "/srv/x:/x:ro",
        "/abs:/abs:rw",
        "cache:/cache:rw",
    ]
    assert config.run.stop_timeout == 90.0
    assert config.health.interval == 0.25
    assert config.proxy.listen == "[::1]:8000"
    assert config.proxy.host == ["models.example.com", "*.example.org"]
    assert config.proxy.path_prefix == "/a/b"
    assert (config.proxy.drain, config.rollout.keep_warm) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("5s", 5),
        ("1.5s", 1.5),
        ("2m", 120),
        ("1h", 3600),
        ("30d", 2592000),
        ("1m30s", 90),
        ("1s500ms", 1.5),
    ],
)
def test_durations(written: str, seconds: float) -> None:
    assert ok(f'[proxy]\ntimeout = "{written}"').proxy.timeout == seconds


@pytest.mark.parametrize(
    "written",
    ["", "5", "s", "5 s", "-5s", "5S", "5w", "1e3s", "s5", "5s5", "٥s", "5s\\n", "31d", "9" * 63 + "s"],
)
def test_not_durations(written: str) -> None:
    assert finding(f'[proxy]\ntimeout = "{written}"').path == "proxy.timeout"


def test_a_number_is_no_duration() -> None:
    assert finding("[health]\ntimeout = 5") == Finding(
        "health.timeout", 'expected a duration such as "5s", got the number 5', 'write "5s"'
    )
    assert finding('[health]\ntimeout = "5"').hint == 'write "5s"'
    for value in ("true", "nan", "-1", "1e-5", "1" + "0" * 500, "[]", "{}", '"..."', '"5."'):
        assert "write" not in finding(f"[health]\ntimeout = {value}").hint


def test_zero_only_where_it_means_something() -> None:
    assert finding('[health]\ninterval = "0s"').message == "must be longer than zero"
    assert finding('[run]\nstop_timeout = "0ms"').message == "must be longer than zero"
    assert "at least 1ms" in finding('[health]\ninterval = "0.1ms"').message


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ('"64k"', 64 * 1024),
        ('"512m"', 512 * 1024**2),
        ('"2g"', 2 * 1024**3),
        ('"2GB"', 2 * 1024**3),
        ('"2GiB"', 2 * 1024**3),
        ('"1.5g"', 1536 * 1024**2),
        ('"100b"', 100),
        ("4096", 4096),
    ],
)
def test_sizes(written: str, count: int) -> None:
    assert ok(f"[run]\nshm_size = {written}").run.shm_size == count


@pytest.mark.parametrize(
    "written",
    ['"512"', '"m"', '"-1m"', '"5x"', '"0m"', '"1\u212a"', "0", "-1", "1.5", "true", '"99999999999t"'],
)
def test_not_sizes(written: str) -> None:
    assert finding(f"[run]\nshm_size = {written}").path == "run.shm_size"


def test_memory_has_a_floor() -> None:
    assert ok('[run]\nmemory = "6m"').run.memory == 6 * 1024**2
    assert finding('[run]\nmemory = "5m"').message == "must be at least 6m (the minimum of Docker), got text '5m'"


@pytest.mark.parametrize(
    ("written", "listen"),
    [
        (":80", "*:80"),
        ("*:80", "*:80"),
        ("localhost:80", "127.0.0.1:80"),
        ("0.0.0.0:65535", "0.0.0.0:65535"),
        ("[::]:80", "[::]:80"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
        ("[::FFFF:0:0]:80", "0.0.0.0:80"),
    ],
)
def test_listen(written: str, listen: str) -> None:
    assert ok(f'[proxy]\nlisten = "{written}"').proxy.listen == listen


@pytest.mark.parametrize(
    ("key", "written"),
    [
        *[
            ("listen", text)
            for text in [
                "",
                "80",
                "127.0.0.1",
                "127.0.0.1:",
                ":0",
                ":65536",
                "::1:80",
                "[127.0.0.1]:80",
                "example.com:80",
                "[fe80::1%a b]:80",
                ":80 ssl",
                ":80\\n",
                "127.0.0.1:８０",
                "127.0.0.1:80,:81",
            ]
        ],
        *[
            ("path_prefix", text)
            for text in ["a", "/a b", "/a\\n", "/a\\\\b", "/%61", "//", "/a//b", "/..", "/é", "/#"]
        ],
        *[("host", text) for text in ["", "a b", "a_b", "*", "*.", "a.*.b", "-a", "a:80", "müller.de", "a\\n", "a."]],
        ("host", "\u212aube.example"),
    ],
)
def test_nothing_reaches_haproxy_that_it_could_read_as_syntax(key: str, written: str) -> None:
    assert finding(f'[proxy]\n{key} = "{written}"').path in (f"proxy.{key}", f"proxy.{key}[0]")


@pytest.mark.parametrize("written", ["", "a", "/a b", "/a\\n", '/\\"', "/'", "/\\\\", "/#", "/$x", "/{a}", "/é"])
def test_health_path_characters(written: str) -> None:
    assert finding(f'[health]\npath = "{written}"').path == "health.path"


def test_prefix_of_everything_is_no_prefix() -> None:
    assert ok('[proxy]\npath_prefix = "/"').proxy.path_prefix == ""
    assert ok('[proxy]\nhost = "a.example"').proxy.host == ["a.example"]


@pytest.mark.parametrize(
    "written",
    [
        "registry.example.com/mymodel",
        "registry.example.com:5000/mymodel",
        "registry:5000/mymodel",
        "localhost/mymodel",
        "192.0.2.7:5000/team/mymodel",
        "registry.example.com/a.b/c_d/e__f/g--h/0",
        "docker.io/somebody/mymodel",
    ],
)
def test_repositories(written: str) -> None:
    config = ok(f'[registry]\npush = "{written}"')
    assert config.registry.push == written
    assert Config.from_snapshot(json.loads(json.dumps(config.snapshot()))).registry.push == written


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("", "write "),
        ("mymodel", "write "),
        ("somebody/mymodel", "write "),
        ("registry.example.com", "write "),
        ("registry.example.com/", "write "),
        ("/mymodel", "write "),
        ("https://registry.example.com/mymodel", "remove the scheme"),
        ("registry.example.com/mymodel:v1", "remove the tag and the digest"),
        ("registry.example.com:5000/mymodel:latest", "remove the tag and the digest"),
        ("registry.example.com/mymodel@sha256:" + "0" * 64, "remove the tag and the digest"),
        ("registry.example.com:/mymodel", "the port is"),
        ("registry.example.com:0/mymodel", "the port is"),
        ("registry.example.com:65536/mymodel", "the port is"),
        ("registry.example.com:٥/mymodel", "the port is"),
        ("Registry.example.com/mymodel", "write "),
        ("registry.example.com/MyModel", "write "),
        ("registry.example.com/a//b", "write "),
        ("registry.example.com/a/", "write "),
        ("registry.example.com/-a", "write "),
        ("registry.example.com/a___b", "write "),
        ("registry.example.com/a b", "write "),
        ("registry.example.com/a\\n", "write "),
        ("-r.example.com/a", "write "),
        ("somebody:password@registry.example.com/a", "remove the tag and the digest"),
        ("registry.example.com/" + "a" * 240, "write "),
    ],
)
def test_not_repositories(written: str, hint: str) -> None:
    found = finding(f'[registry]\npush = "{written}"')
    assert found.path == "registry.push"
    assert found.message.startswith("expected host/path or host:port/path in lowercase, got ")
    assert found.hint.startswith(hint)


def test_without_a_registry_nothing_is_pushed() -> None:
    assert ok().registry.push is None
    assert ok("[registry]").registry.push is None


@pytest.mark.parametrize("name", ["", "A", "a_b", "-a", "a-", "a" * 41, "deployctl", "a\\n", "ä"])
def test_names(name: str) -> None:
    assert finding("", f'[app]\nname = "{name}"\nport = 1').path == "app.name"
    assert ok("", f'[app]\nname = "{"a" * 40}"\nport = 1').app.name == "a" * 40


@pytest.mark.parametrize(
    "text",
    [
        '[build]\ndockerfile = "../Dockerfile"',
        '[build]\ndockerfile = "/Dockerfile"',
        '[build]\ndockerfile = ""',
        '[build]\ncontext = "a\\u0000b"',
        '[build]\nargs = { A = "x\\ny" }',
        '[build]\nargs = { "A-B" = 1 }',
        '[build]\ntarget = "--output"',
        '[model]\npath = "m"\nmount = "model"',
        '[model]\npath = "m"\nmount = "/"',
        '[run]\nenv = { "A=B" = "x" }',
        '[run]\nenv = { "A\\n" = "x" }',
        '[run]\nenv = { A = "x\\u0000" }',
        '[run]\nvolumes = ["/a"]',
        '[run]\nvolumes = ["/a:/b:q"]',
        '[run]\nvolumes = ["/a:b"]',
        '[run]\nvolumes = ["/a:/"]',
        '[run]\nvolumes = ["a/b:/c"]',
        '[run]\nvolumes = ["~/b:/c"]',
        '[run]\nvolumes = ["/a:/b:ro:x"]',
        '[run]\ncommand = ""',
        "[run]\ncommand = []",
        '[run]\ncommand = "\'open"',
        '[run]\ncommand = ["a\\nb"]',
        '[run]\nuser = "--privileged"',
        '[run]\ncap_add = ["sys nice"]',
        "[run]\nreplicas = 33",
        "[run]\ncpus = 0",
        "[run]\ncpus = inf",
        "[run]\ncpus = nan",
        "[run]\ncpus = true",
        "[run]\ngpus = 0",
        '[run]\ngpus = "two"',
        "[run]\ngpus = true",
        "[run]\nlog_max_files = 0",
        "[health]\nsuccesses = 101",
        "[retention]\nversions = 1",
        '[rollout]\nstrategy = "rolling"',
        '[health]\npreset = "kserve-v2"\nmodel = "a b"',
        '[engine]\nkind = "swarm"',
        '[engine]\nnetwork = "host"',
        '[engine]\nnetwork = "a b"',
        '[engine]\nsubnet = "10.99.0.0"',
        '[engine]\nsubnet = "10.99.0.1/18"',
        '[engine]\nsubnet = "10.99.0.0/25"',
        '[engine]\nsubnet = "fd00::/64"',
        "[engine]\nmtu = 1000",
    ],
)
def test_values_that_cannot_be_used(text: str) -> None:
    finding(text)


# --- findings --------------------------------------------------------------------------------------------


def test_empty_file_says_what_is_needed() -> None:
    assert [found.path for found in findings("", "")] == ["app.name", "app.port"]


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        ("[helth]", "helth", "did you mean 'health'?"),
        ('[health]\ntimout = "2s"', "health.timout", "did you mean 'health.timeout'?"),
        ("[health]\nreplicas = 2", "health.replicas", "did you mean 'run.replicas'?"),
        ("[health]\nreplica = 2", "health.replica", "did you mean 'run.replicas'?"),
        ("[rollout]\nkeep-warm = 2", "rollout.keep-warm", "did you mean 'rollout.keep_warm'?"),
        ("[run]\npath = 1", "run.path", "did you mean 'model.path' or 'health.path'?"),
        ('[run]\n"a\\u001bb" = 1', 'run."a\\u001bb"', ""),
        # As pydantic marks a key that is wrong; here it is what somebody wrote.
        ('[run]\n"[key]" = 1', 'run."[key]"', ""),
        ('["[key]"]', '"[key]"', ""),
    ],
)
def test_unknown_keys(text: str, path: str, hint: str) -> None:
    found = finding(text)
    assert (found.path, found.message) == (path, "unknown key")
    assert hint in found.hint


def test_unknown_key_on_top() -> None:
    assert finding("", "replicas = 2\n" + MINIMAL).hint == "did you mean 'run.replicas'?"
    assert finding("", "zzzzzz = 2\n" + MINIMAL).hint.startswith("known sections: app, build")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[run]\nreplicas = "x"', "expected a whole number, got text 'x'"),
        ("[run]\nreplicas = 1.0", "expected a whole number, got the number 1.0"),
        ("[run]\nreplicas = true", "expected a whole number, got true"),
        ("[run]\nreplicas = 0", "must be at least 1, got the number 0"),
        ("[run]\nreplicas = 1" + "0" * 999, "must be at most 32, got a very large number"),
        ('[run]\ncpus = "x"', "expected a number, got text 'x'"),
        ('[run]\ninit = "yes"', "expected true or false, got text 'yes'"),
        ("[run]\nuser = 5", "expected text, got the number 5"),
        ("[run]\nuser = 1979-05-27", "expected text, got a date or time"),
        ("[run]\nuser = {}", "expected text, got a table"),
        ('[run]\ncap_add = "X"', "expected a list, got text 'X'"),
        ("[run]\nenv = []", "expected a table, got a list"),
        ("[run]\nenv = { A = [] }", "expected text, a number or true/false, got a list"),
        ("[[run]]", "expected a table, got a list"),
        ('[build]\nbuilder = "kaniko"', "must be 'auto', 'buildkit' or 'classic', got text 'kaniko'"),
        ("[build]\nbuilder = []", "must be 'auto', 'buildkit' or 'classic', got a list"),
    ],
)
def test_wrong_types_in_plain_words(text: str, message: str) -> None:
    assert finding(text).message == message


def test_near_literal() -> None:
    assert finding('[health]\npreset = "kserv-v2"').hint == "did you mean 'kserve-v2'?"


def test_environment_values_are_never_quoted() -> None:
    for text in (
        '[run]\nenv = "hunter2"',
        '[run]\nenv = { A = ["hunter2"] }',
        '[run]\nenv = { A = "hunter2\\u0000" }',
        '[build]\nargs = "hunter2"',
    ):
        assert "hunter2" not in str(finding(text))
    assert "hunter2" not in repr(ok('[run]\nenv = { A = "hunter2" }\n[build]\nargs = { A = "hunter2" }'))


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        ("[app]\nname = mymodel", "line 2, column 8", "quotes"),
        ('[app]\nname = "x"\nname = "y"', "line 3, column 11", "twice"),
        ("[app]\n[app]", "line 2, column 5", "twice"),
        ('[app]\nname = "x', "line 2, column 10", ""),
        ("[app]\nname", "line 2, column 5", ""),
        ("[app]\r\nx = 1 y", "line 2, column 7", ""),
        ("a = " + "[" * 100000, "deploy.toml", ""),
        ("a = " + "1" * 5000, "deploy.toml", ""),
        ("a = '\ud800'", "deploy.toml", "UTF-8"),
    ],
)
def test_toml_errors_have_line_and_column(text: str, path: str, hint: str) -> None:
    found = finding("", text)
    assert found.path == path
    assert found.message.startswith("not valid")
    assert hint in found.hint


def test_everything_at_once_contradictions_too() -> None:
    found = findings(
        """
[app]
name = "Bad Name"
[build]
builder = 5
[run]
memory = "1m"
volumes = ["aa:/x", "bb:/x/"]
[health]
path = "/a"
preset = "cog"
deadline = "1s"
timeout = "oops"
interval = "2s"
colour = "red"
""",
        "",
    )
    assert [item.path for item in found] == [
        "app.name",
        "build.builder",
        "run.memory",
        "health.timeout",
        "health.colour",
        "health.preset",
        "health.interval",
        "run.volumes[1]",
    ]


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        ('[health]\npath = "/x"\npreset = "cog"', "health.preset", "conflicts with health.path"),
        ('[health]\ntimeout = "6m"', "health.timeout", "360s is longer than health.deadline (300s)"),
        ('[health]\ninterval = "6m"', "health.interval", "longer than health.deadline"),
        ('[health]\ninterval = "4m"\nsuccesses = 3', "health.successes", "3 probes take 480 s"),
        ('[health]\npreset = "cog"\nmodel = "m"', "health.model", "no effect"),
        ('[health]\npath = "/x"\nmodel = "m"', "health.model", "no effect"),
        ('[proxy]\nlisten = ":9000"\nmetrics = "127.0.0.1:9000"', "proxy.metrics", "taken by proxy.listen"),
        ('[run]\nvolumes = ["aa:/x", "bb:/x"]', "run.volumes[1]", "/x is taken by run.volumes[0]"),
        ('[run]\nvolumes = ["aa:/model"]\n[model]\npath = "m"', "run.volumes[0]", "taken by model.mount"),
    ],
)
def test_contradictions(text: str, path: str, words: str) -> None:
    found = finding(text)
    assert found.path == path
    assert words in found.message


def test_a_bad_value_is_not_called_missing_too() -> None:
    assert finding("", '[app]\nname = "x"\nport = "80"').path == "app.port"
    assert finding("", '[app]\nname = "x"\n[health]\npreset = "nope"').path == "health.preset"
    assert finding("", "app = 5").path == "app"
    assert finding("[model]").path == "model.path"


# --- presets ---------------------------------------------------------------------------------------------


def test_presets_agree_with_their_table() -> None:
    assert set(module.PRESET_NAMES) == set(PRESETS)
    assert set(module.MODEL_PRESETS) == {name for name, preset in PRESETS.items() if preset.model_path}


@pytest.mark.parametrize("name", module.PRESET_NAMES)
def test_a_preset_knows_port_and_path(name: str) -> None:
    config = ok(f'[health]\npreset = "{name}"\nsuccesses = 3', '[app]\nname = "x"\n')
    assert config.health.path is None
    assert config.port == config.app.port == PRESETS[name].port
    spec = config.probe_spec()
    assert (spec.path, spec.port, spec.successes) == (PRESETS[name].path, PRESETS[name].port, 3)
    assert (spec.body, spec.failed_body) == (PRESETS[name].body, PRESETS[name].failed_body)
    assert spec.statuses == PRESETS[name].statuses


def test_the_file_beats_the_presets_port() -> None:
    config = ok('[health]\npreset = "tf-serving"\nmodel = "resnet"')
    assert config.probe_spec().port == 8080
    assert config.probe_spec().path == "/v1/models/resnet"


@pytest.mark.parametrize(
    ("lines", "host"),
    [
        ("", "localhost"),
        ('host = "A.example.com"', "a.example.com"),
        ('host = ["*.example.com", "b.example.com", "a.example.com"]', "b.example.com"),
        ('host = "*.example.com"', "localhost"),
    ],
)
def test_probes_ask_for_a_name_of_the_app(lines: str, host: str) -> None:
    assert ok(f"[proxy]\n{lines}").probe_spec().host == host
    assert ok(f'[health]\nhost = "Other:8443"\n[proxy]\n{lines}').probe_spec().host == "other:8443"


@pytest.mark.parametrize(
    ("value", "networks"),
    [
        ('"loopback"', ("127.0.0.0/8", "::1/128")),
        ('"all"', ("0.0.0.0/0", "::/0")),
        ("[]", ()),
        ('["10.0.0.0/8", "203.0.113.7", "FE80::/10"]', ("10.0.0.0/8", "203.0.113.7/32", "fe80::/10")),
    ],
)
def test_whose_forwarded_headers_are_trusted(value: str, networks: tuple[str, ...]) -> None:
    config = ok(f"[proxy]\ntrust_forwarded = {value}")
    assert config.route().trusted == networks
    assert Config.from_snapshot(config.snapshot()).route() == config.route()
    assert ok().route().trusted == ("127.0.0.0/8", "::1/128")


def test_probes_ask_on_a_port_of_their_own() -> None:
    config = ok("[health]\nport = 8081")
    assert (config.port, config.probe_spec().port) == (8080, 8081)
    assert ok('[health]\npreset = "bentoml"\nport = 8081', '[app]\nname = "x"\n').probe_spec().port == 8081


# --- the disk --------------------------------------------------------------------------------------------


def write(folder: Path, text: str, head: str = MINIMAL) -> Path:
    path = folder / "deploy.toml"
    path.write_text(head + text, encoding="utf-8")
    return path


def load_findings(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return [str(found) for found in caught.value.findings]


def test_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    write(tmp_path, '[model]\npath = "model"\n[run]\nvolumes = ["./model:/m", "/no/such/place:/n"]\n')
    monkeypatch.chdir(tmp_path)
    config = load(Path("deploy.toml"))
    assert config.base == tmp_path
    assert config.model_dir == tmp_path / "model"
    assert config.run.volumes[0] == f"{tmp_path}/model:/m:rw"
    assert config.source == "deploy.toml"


def test_byte_order_mark(tmp_path: Path) -> None:
    assert load(write(tmp_path, "", "\ufeff" + MINIMAL)).port == 8080


def test_not_readable_at_all(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path / "deploy.toml")
    assert "deployctl init" in caught.value.hint
    (tmp_path / "latin.toml").write_bytes(b'[app]\nname = "\xe9"')
    (tmp_path / "huge.toml").write_bytes(b"#" * (1024 * 1024 + 1))
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "latin.toml", r"is not UTF-8 \(line 2\)"),
        (tmp_path / "huge.toml", "larger than 1 MiB"),
        (tmp_path / "latin.toml" / "x", "cannot be read"),
        (tmp_path / "a\0b", "cannot be read"),
    ):
        with pytest.raises(UsageError, match=words) as caught:
            load(path)
        assert not isinstance(caught.value, ConfigError)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = write(tmp_path, "")
    path.chmod(0)
    with pytest.raises(UsageError, match="cannot be read"):
        load(path)


def test_missing_on_disk_is_found_together(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '[build]\ncontext = "src"\n[model]\npath = "weights"\n'
        '[run]\nreplicas = 0\nenv_file = "prod.env"\nvolumes = ["/no/such:/a", "./no:/b"]\n',
    )
    assert load_findings(path) == [
        "run.replicas: must be at least 1, got the number 0",
        f"build.context: there is no folder {tmp_path}/src",
        f"model.path: there is no folder {tmp_path}/weights",
        f"run.env_file: there is no file {tmp_path}/prod.env",
        f"run.volumes[1]: there is no {tmp_path}/no (create it first)",
    ]


def test_names_that_no_disk_can_hold(tmp_path: Path) -> None:
    long = "x" * 5000
    path = write(
        tmp_path,
        f'[build]\ncontext = "{long}"\n[run]\nenv_file = "{long}"\nvolumes = ["./{long}:/b"]\n',
    )
    assert len(load_findings(path)) == 3


def test_no_path_in_a_message_steers_the_terminal(tmp_path: Path) -> None:
    evil = "a\\u202e\\u0085\\u2028b"
    path = write(
        tmp_path,
        f'[build]\ncontext = "{evil}"\n[model]\npath = "{evil}"\nmount = "/{evil}"\n'
        f'[run]\nenv_file = "{evil}"\nvolumes = ["./{evil}:/{evil}"]\n',
    )
    found = load_findings(path)
    assert len(found) == 5
    assert all(line.isprintable() for line in found)


def test_an_env_file_without_an_end(tmp_path: Path) -> None:
    path = write(tmp_path, '[run]\nenv_file = "/dev/zero"\n')
    assert load_findings(path) == ["run.env_file: /dev/zero is not a regular file"]


def test_env_file(tmp_path: Path) -> None:
    (tmp_path / "prod.env").write_text(
        "# comment\n\nA=1\nexport B = two words \nC='q=1'\nD=\"\"\nE='x\r\nF=a#b\nA=2\n", encoding="utf-8"
    )
    config = load(write(tmp_path, '[run]\nenv_file = "prod.env"\nenv = { B = "file loses" }\n'))
    assert config.environment() == {"A": "2", "B": "file loses", "C": "q=1", "D": "", "E": "'x", "F": "a#b"}
    # Containers of one deployment must not differ because somebody edits the file meanwhile.
    (tmp_path / "prod.env").unlink()
    assert config.environment()["A"] == "2"


def test_malformed_env_file(tmp_path: Path) -> None:
    env = tmp_path / "prod.env"
    path = write(tmp_path, '[run]\nenv_file = "prod.env"\n')
    env.write_text("A=1\n\nsecret\n=x\nA b=secret\nB=\0\n", encoding="utf-8")
    assert load_findings(path) == [
        "run.env_file: line 4: there is no name before the = (write NAME=VALUE)",
        "run.env_file: line 5: the name contains a space (write NAME=VALUE)",
        "run.env_file: line 6: the value contains a NUL character",
    ]
    env.write_bytes(b"A=\xff")
    assert "is not UTF-8" in load_findings(path)[0]
    env.unlink()
    env.mkdir()
    assert "cannot be read" in load_findings(path)[0]


def test_parse_reads_the_env_file_when_it_is_asked(tmp_path: Path) -> None:
    text = MINIMAL + '[run]\nenv_file = "prod.env"\n'
    config = parse(text, file="deploy.toml", base=tmp_path)
    with pytest.raises(ConfigError, match="1 problem"):
        config.environment()
    (tmp_path / "prod.env").write_text("A=1", encoding="utf-8")
    assert config.environment() == {"A": "1"}


# --- the network ------------------------------------------------------------------------------------------


def test_the_network_of_the_state_folder_is_the_default() -> None:
    assert ok("").network() == NetworkSpec()
    # The plain name stands for it, also where the real name contains a digest.
    assert ok('[engine]\nkind = "docker"\nnetwork = "deployctl"').network() == NetworkSpec()
    assert ok('[engine]\nnetwork = "models"\nsubnet = "10.99.0.0/18"\nmtu = 1400').network() == NetworkSpec(
        "models", "10.99.0.0/18", 1400
    )


def test_a_change_of_the_network_needs_new_containers_and_its_absence_changes_no_digest() -> None:
    digests = [
        ok(text).run_digest()
        for text in ("", '[engine]\nnetwork = "deployctl"', '[engine]\nnetwork = "models"', "[engine]\nmtu = 1400")
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


# --- snapshots -------------------------------------------------------------------------------------------


def test_snapshot_brings_back_an_equal_config(tmp_path: Path) -> None:
    (tmp_path / "prod.env").write_text("A=1\nB=1\n", encoding="utf-8")
    (tmp_path / "data").mkdir()
    path = write(
        tmp_path,
        '[health]\npreset = "cog"\n[run]\nenv_file = "prod.env"\nenv = { B = 2 }\ngpus = 2\ncpus = 1\n'
        'memory = "1g"\nvolumes = ["./data:/data:ro"]\ncommand = "a b"\n[proxy]\nhost = "a.example"\n'
        'drain = "0s"\n',
        '[app]\nname = "mymodel"\n',
    )
    config = load(path)
    stored = json.dumps(config.snapshot())
    for gone in (path, tmp_path / "prod.env"):
        gone.unlink()
    (tmp_path / "data").rmdir()
    restored = Config.from_snapshot(json.loads(stored))
    assert restored == kept(config)
    assert (restored.base, restored.source, restored.port) == (tmp_path, str(path), 5000)
    assert restored.environment() == {"A": "1", "B": "2"}
    assert restored.run.volumes == [f"{tmp_path}/data:/data:ro"]
    assert restored.run.memory == 1024**3
    assert restored.probe_spec() == config.probe_spec()
    assert json.loads(stored)["environment"] == {"A": "1", "B": "2"}
    assert json.loads(stored)["port"] == 5000


def test_damaged_snapshots() -> None:
    good = ok().snapshot()
    for damage in (
        {"app": 5},
        {"environment": {"A": 1}},
        {"run": {"stop_timeout": True}},
        {"run": {"stop_timeout": 1e300}},
        {"run": {"stop_timeout": math.nan}},
    ):
        with pytest.raises(ConfigError, match="stored settings of"):
            Config.from_snapshot({**good, **damage})
    for key in ("base", "environment", "app"):
        with pytest.raises(ConfigError):
            Config.from_snapshot({name: value for name, value in good.items() if name != key})


# --- schema and example ----------------------------------------------------------------------------------


def schema_keys() -> dict[str, dict[str, Any]]:
    schema = json_schema()
    sections = {}
    for name, value in schema["properties"].items():
        sections[name] = schema["$defs"][value["$ref"].rpartition("/")[2]]["properties"]
    return sections


def test_schema() -> None:
    schema = json_schema()
    json.dumps(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "deploy.toml"
    assert schema["required"] == ["app"]
    assert '"null"' not in json.dumps(schema)
    for definition in (schema, *schema["$defs"].values()):
        assert definition["additionalProperties"] is False
    sections = schema_keys()
    assert set(sections) == set(Config.model_fields)
    for section, keys in sections.items():
        for key, value in keys.items():
            assert value.get("description"), f"{section}.{key}"
    drain = sections["proxy"]["drain"]
    assert (drain["type"], drain["default"]) == ("string", "30s")
    assert re.fullmatch(drain["pattern"], "1m30s")
    assert re.fullmatch(sections["run"]["memory"]["anyOf"][0]["pattern"], "1.5g")


def example_with_all_on() -> str:
    return re.sub(r"^#(?=[a-z\[])", "", example(), flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", None),
        ('path = "/ready"', None),
        ('live_path = "/livez"', "/livez"),
        ('live_path = "/healthz"', "/healthz"),
        ('preset = "bentoml"', "/livez"),
        ('preset = "kserve-v2"', "/v2/health/live"),
        ('preset = "kserve-v2"\nmodel = "m"', "/v2/health/live"),
        ('preset = "kserve-v1"\nmodel = "m"', "/"),
        # The path of these says whether they are ready: any answer to it shows that they live.
        ('preset = "kserve-v1"', None),
        ('preset = "tf-serving"\nmodel = "m"', None),
        ('preset = "openai"', None),
        ('preset = "openai"\nlive_path = "/ping"', "/ping"),
    ],
)
def test_the_live_path(text: str, path: str | None) -> None:
    spec = ok(f'[health]\ntimeout = "1s"\n{text}\n').live_spec()
    assert (spec.path if spec else None) == path
    if spec is not None:
        assert (spec.port, spec.timeout, spec.body, spec.failed_body) == (8080, 1.0, None, None)
        accepted = [status for status in (200, 204, 404, 429, 500, 503) if judge(spec, Reply(status=status)).ready]
        assert accepted == [200, 204, 404, 429]


def test_a_live_path_is_a_path() -> None:
    assert finding('[health]\nlive_path = "livez"').path == "health.live_path"


def test_example_loads_as_it_is(tmp_path: Path) -> None:
    config = load(write(tmp_path, example(), ""))
    assert config.context_dir == tmp_path
    # What is on in the example is the default, as it says.
    assert config == parse(MINIMAL, file=config.source, base=tmp_path)


def test_example_shows_every_key_that_has_an_effect() -> None:
    shown = tomllib.loads(example_with_all_on())
    assert {section: list(keys) for section, keys in shown.items()} == {
        section: [key for key, value in keys.items() if not value.get("deprecated")]
        for section, keys in schema_keys().items()
    }


def test_keys_of_older_files_are_accepted_without_effect() -> None:
    deprecated = [key for key, value in schema_keys()["watchdog"].items() if value.get("deprecated")]
    assert deprecated == list(OBSOLETE)
    lines = (
        "min_requests = 100\nmax_error_rate = 0.02\nerror_margin = 0.01\nmax_latency = '500ms'\nlatency_factor = 2\n"
    )
    config = ok(f"[watchdog]\n{lines}")
    assert config.watchdog.without_effect == deprecated
    assert ok().watchdog.without_effect == []
    # They are not stored with a release, and not part of what the next one is compared with.
    assert config.snapshot() == ok().snapshot()
    assert [item.path for item in findings("[watchdog]\nmax_latency = 'x'\n")] == ["watchdog.max_latency"]


def test_example_settings_that_are_off_can_be_used() -> None:
    text = example_with_all_on()
    assert [item.path for item in findings(text, "")] == ["health.preset", "rollout.stages"]
    text = text.replace('strategy = "blue-green"', 'strategy = "canary"')
    with_path = re.sub(r"(?m)^(preset|model) = .*$", "", text)
    assert ok(with_path, "").model_dir == BASE / "model"
    assert ok(text.replace('path = "/healthz"', ""), "").health.preset == "kserve-v2"


def test_import_stays_light() -> None:
    heavy = {"docker", "httpx", "rich", "typer", "requests", "orchestrator.domain.health.presets"}
    code = f"import sys, orchestrator.config; print(sorted({heavy!r} & set(sys.modules)))"
    root = Path(module.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


# --- whatever comes --------------------------------------------------------------------------------------


def toml_text(value: str) -> str:
    def escape(character: str) -> str:
        plain = character.isprintable() and character not in '"\\'
        return character if plain else f"\\U{ord(character):08x}"

    return '"' + "".join(map(escape, value)) + '"'


def toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return toml_text(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_text(key)} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, datetime.date | datetime.datetime | datetime.time):
        return value.isoformat()
    # Hexadecimal, because a decimal number may have more digits than Python agrees to write.
    return hex(value) if isinstance(value, int) and value > 10**9 else str(value)


def toml(document: dict[str, Any]) -> str:
    return "".join(f"{toml_text(key)} = {toml_value(value)}\n" for key, value in document.items())


class Huge(int):
    """A number that Python refuses to print, and hypothesis wants to."""

    def __repr__(self) -> str:
        return f"2**{self.bit_length() - 1}"


SOME_GOOD = [
    "mymodel",
    ".",
    "/healthz",
    "/data",
    "5s",
    "0s",
    "512m",
    ":8000",
    "a.example",
    "./a:/b",
    "cog",
    "tf-serving",
    "auto",
    "blue-green",
    "all",
    "SYS_NICE",
    1,
    2,
    8080,
    True,
]
scalars = st.one_of(
    st.sampled_from(SOME_GOOD),
    st.text(max_size=12),
    st.integers(-(10**9), 10**9),
    st.sampled_from([Huge(2**64), Huge(2**10000), Huge(2**20000)]),
    st.floats(),
    st.booleans(),
    st.dates(),
    st.datetimes(min_value=datetime.datetime(1000, 1, 1)),
    st.times(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6) | st.just("A"), inner, max_size=3)
    ),
    max_leaves=6,
)
SECTIONS = {name: list(keys) for name, keys in schema_keys().items()}


def tables(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(SECTIONS[name]) | st.text(max_size=6), values, max_size=4)


def good_values(key: str) -> st.SearchStrategy[Any]:
    known: dict[str, list[Any]] = {
        "path": ["/healthz", "/x?y=1"],
        "mount": ["/m"],
        "env": [{"A": 1, "B": "x\ny"}],
        "args": [{"A": True}],
        "command": ["a b", ["a"]],
        "volumes": [["./a:/a", "bb:/b:ro"]],
        "host": ["a.example", ["*.b.example"]],
        "port": [1, 65535],
        "listen": [":1", "localhost:2"],
        "preset": ["cog", "kserve-v2"],
        "memory": ["6m", 2**33],
        "versions": [2, 9],
        "gpus": ["all", 1],
        "cap_add": [[], ["ALL"]],
        "user": ["1:1"],
        "builder": ["auto"],
        "strategy": ["blue-green", "canary", "recreate"],
        "stages": [["5% 5m"], ["0.01% 1s", "99.99% 1h"]],
        "shield_methods": [["GET"], ["POST", "PUT"]],
        "preview": [":3", "localhost:4"],
        "sticky": ["none", "cookie", "header:X-User"],
        "alpha": [0.01, 0.2],
        "idle": ["hold", "advance"],
        "path_prefix": ["/", "/a/"],
        "push": ["registry.example.com:5000/mymodel"],
    }
    alike: list[tuple[str, list[Any]]] = [
        ("interval timeout drain keep_warm stop_timeout deadline patience settle hold", ["1s", "2m", "1.5h"]),
        ("shm_size log_max_size", ["1k", "1.5g", 5]),
        ("init read_only no_new_privileges strip_prefix approve shield", [True, False]),
        ("replicas successes pids_limit log_max_files cpus", [1, 3]),
        ("error_ratio latency_ratio", [2, 1.1]),
    ]
    known.update((name, choices) for names, choices in alike for name in names.split())
    return st.sampled_from(known.get(key, ["abc"]))


# Required, so above already; and a file, which parse does not look at.
LEFT_OUT = (("model", "path"), ("run", "env_file"))
mostly_good = st.fixed_dictionaries(
    {"app": st.fixed_dictionaries({"name": st.just("m"), "port": good_values("port")})},
    optional={
        name: st.fixed_dictionaries(
            {"path": good_values("path")} if name == "model" else {},
            optional={key: good_values(key) for key in keys if (name, key) not in LEFT_OUT},
        )
        for name, keys in SECTIONS.items()
        if name != "app"
    },
)
anything = st.one_of(
    st.fixed_dictionaries({}, optional={name: tables(name) | values for name in SECTIONS}),
    st.dictionaries(st.sampled_from(list(SECTIONS)) | st.text(max_size=6), values, max_size=4),
)


def parses_or_explains(text: str) -> Config | None:
    try:
        config = parse(text, file="deploy.toml", base=BASE)
    except ConfigError as error:
        assert error.findings
        for found in error.findings:
            assert found.path
            assert found.message
            # What is printed on a terminal must not steer it.
            assert str(found).isprintable()
        return None
    if config.run.env_file is None:
        assert Config.from_snapshot(json.loads(json.dumps(config.snapshot()))) == kept(config)
    assert 1 <= config.port <= 65535
    assert config.probe_spec().path.startswith("/")
    return config


@settings(max_examples=400, deadline=None)
@given(anything)
def test_any_table_parses_or_is_explained(document: dict[str, Any]) -> None:
    text = toml(document)
    tomllib.loads(text)
    parses_or_explains(text)


@settings(max_examples=300, deadline=None)
@given(mostly_good)
def test_good_values_parse_or_contradict_each_other(document: dict[str, Any]) -> None:
    config = parses_or_explains(toml(document))
    if config is not None:
        assert config.app.name == "m"


@settings(max_examples=400, deadline=None)
@given(st.text())
@with_example("\x00")
@with_example("[app]\nname = \x07")
@with_example("\u2028 = 1")
def test_any_text_parses_or_is_explained(text: str) -> None:
    parses_or_explains(text)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([(s, k) for s, keys in SECTIONS.items() for k in keys]), values)
def test_any_value_at_any_key(place: tuple[str, str], value: Any) -> None:
    section, key = place
    document: dict[str, Any] = {"app": {"name": "m", "port": 1}}
    document.setdefault(section, {})[key] = value
    parses_or_explains(toml(document))
