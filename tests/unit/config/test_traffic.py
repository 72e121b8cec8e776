"""[rollout], [judge], and the keys of [proxy] that belong to them: what they may say, and what is stored of them."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import Config, json_schema, parse
from orchestrator.domain.rollout.stages import DEFAULT, Stage
from orchestrator.domain.traffic.judge import Limits
from orchestrator.errors import ConfigError, Finding
from tests.unit.builders import kept

HEAD = '[app]\nname = "mymodel"\nport = 8080\n'
CANARY = '[rollout]\nstrategy = "canary"\n'
NEW = {
    "rollout": ("stages", "approve", "shield", "shield_methods", "patience", "settle", "hold"),
    "proxy": ("preview", "sticky"),
}


def parsed(text: str = "") -> Config:
    """The configuration; the stored one is the same."""
    config = parse(HEAD + text, file="deploy.toml", base=Path("/srv/mymodel"))
    assert Config.from_snapshot(json.loads(json.dumps(config.snapshot()))) == kept(config)
    return config


def finding(text: str) -> Finding:
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert len(caught.value.findings) == 1, caught.value.findings
    return caught.value.findings[0]


def test_defaults() -> None:
    config = parsed()
    rollout, judge = config.rollout, config.judge
    assert (rollout.strategy, rollout.stages, rollout.approve) == ("blue-green", [], False)
    assert (rollout.shield, rollout.shield_methods) == (True, ["GET", "HEAD", "POST", "OPTIONS"])
    assert (rollout.patience, rollout.settle, rollout.hold) == (30.0, 3.0, 60.0)
    assert (judge.alpha, judge.max_error_rate, judge.error_ratio, judge.latency_ratio) == (0.01, 0.05, 1.5, 1.25)
    assert judge.idle == "hold"
    assert (config.proxy.preview, config.proxy.sticky, config.route().preview) == (None, "none", "")


def test_everything_set() -> None:
    config = parsed(
        CANARY
        + 'stages = ["0.25% 30s", "99.99% 1h30m"]\napprove = true\nshield = false\nshield_methods = ["PUT"]\n'
        + 'patience = "1s"\nsettle = "0s"\nhold = "1m"\n'
        + '[judge]\nalpha = 0.2\nmax_error_rate = 0.999\nerror_ratio = 2\nlatency_ratio = 1.01\nidle = "advance"\n'
        + '[proxy]\npreview = ":8001"\nsticky = "header:X-User"\n'
    )
    rollout, judge = config.rollout, config.judge
    assert rollout.stages == [Stage(25, 30.0), Stage(9999, 5400.0)]
    assert (rollout.approve, rollout.shield, rollout.shield_methods) == (True, False, ["PUT"])
    assert (rollout.patience, rollout.settle, rollout.hold) == (1.0, 0.0, 60.0)
    assert judge.model_dump() == {
        "alpha": 0.2,
        "max_error_rate": 0.999,
        "error_ratio": 2.0,
        "latency_ratio": 1.01,
        "idle": "advance",
    }
    assert (config.proxy.preview, config.route().preview, config.proxy.sticky) == ("*:8001", "*:8001", "header:X-User")


def test_only_a_canary_has_stages() -> None:
    assert [str(stage) for stage in parsed(CANARY).rollout.stages] == list(DEFAULT)
    for strategy in ("blue-green", "recreate"):
        assert parsed(f'[rollout]\nstrategy = "{strategy}"\napprove = false').rollout.stages == []
        for key, value in (("stages", '["5% 5m"]'), ("approve", "true")):
            found = finding(f'[rollout]\nstrategy = "{strategy}"\n{key} = {value}')
            assert found == Finding(
                f"rollout.{key}",
                f'has no effect with strategy = "{strategy}"',
                'remove it, or set rollout.strategy = "canary"',
            )


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        *[
            (CANARY + text, path, message)
            for text, path, message in [
                ("stages = []", "rollout.stages", 'must not be empty with strategy = "canary"'),
                ('stages = "5% 5m"', "rollout.stages", "expected a list, got text '5% 5m'"),
                ('stages = ["5% 5m", 5]', "rollout.stages[1]", "expected text, got the number 5"),
                (
                    'stages = ["5% 5m", "5"]',
                    "rollout.stages[1]",
                    "not a stage: expected a share and a duration with one space between them",
                ),
                (
                    'stages = ["100% 5m"]',
                    "rollout.stages[0]",
                    "not a stage: the share must be 0.01% to 99.99%, got 100%",
                ),
                ('stages = ["5% 5m", "5.00% 5m"]', "rollout.stages", "the shares must rise: 5% follows 5%"),
                ("approve = 1", "rollout.approve", "expected true or false, got the number 1"),
            ]
        ],
        (
            '[rollout]\nstrategy = "rolling"',
            "rollout.strategy",
            "must be 'blue-green', 'canary' or 'recreate', got text 'rolling'",
        ),
        ('[rollout]\nshield = "no"', "rollout.shield", "expected true or false, got text 'no'"),
        ("[rollout]\nshield_methods = []", "rollout.shield_methods", "must not be empty"),
        ('[rollout]\nshield_methods = "GET"', "rollout.shield_methods", "expected a list, got text 'GET'"),
        (
            '[rollout]\nshield_methods = ["GET", "POST", "GET"]',
            "rollout.shield_methods",
            "'GET' is in the list twice",
        ),
        (
            '[rollout]\nshield_methods = ["GET", "CONNECT"]',
            "rollout.shield_methods[1]",
            "must be 'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS' or 'TRACE', got text 'CONNECT'",
        ),
        ('[rollout]\npatience = "0s"', "rollout.patience", "must be longer than zero"),
        ('[rollout]\nsettle = "3"', "rollout.settle", "expected a duration, got text '3'"),
        ('[rollout]\nhold = "0s"', "rollout.hold", "must be longer than zero"),
        ("[judge]\nalpha = 0", "judge.alpha", "must be more than 0.0, got the number 0"),
        ("[judge]\nalpha = 0.21", "judge.alpha", "must be at most 0.2, got the number 0.21"),
        ("[judge]\nalpha = nan", "judge.alpha", "expected a finite number, got the number nan"),
        ("[judge]\nmax_error_rate = 0.0", "judge.max_error_rate", "must be more than 0.0, got the number 0.0"),
        ("[judge]\nmax_error_rate = 1", "judge.max_error_rate", "must be less than 1.0, got the number 1"),
        ("[judge]\nerror_ratio = 1.0", "judge.error_ratio", "must be more than 1.0, got the number 1.0"),
        ("[judge]\nerror_ratio = inf", "judge.error_ratio", "expected a finite number, got the number inf"),
        ("[judge]\nlatency_ratio = 0.5", "judge.latency_ratio", "must be more than 1.0, got the number 0.5"),
        ("[judge]\nlatency_ratio = 1001", "judge.latency_ratio", "must be at most 1000.0, got the number 1001"),
        ('[judge]\nidle = "wait"', "judge.idle", "must be 'hold' or 'advance', got text 'wait'"),
        ("[judge]\nratio = 2", "judge.ratio", "unknown key"),
        (
            '[proxy]\npreview = "8001"',
            "proxy.preview",
            "expected an address and a port from 1 to 65535, got text '8001'",
        ),
        (
            '[proxy]\npreview = "[::1]:8000"\nlisten = ":8000"',
            "proxy.preview",
            "[::1]:8000 is taken by proxy.listen (*:8000)",
        ),
        (
            '[proxy]\npreview = ":8405"\nmetrics = "127.0.0.1:8405"',
            "proxy.preview",
            "*:8405 is taken by proxy.metrics (127.0.0.1:8405)",
        ),
    ],
)
def test_findings(text: str, path: str, message: str) -> None:
    found = finding(text)
    assert (found.path, found.message) == (path, message)


def test_hints() -> None:
    assert finding(CANARY + 'stages = ["5%"]').hint == 'write a share and a duration: "5% 5m"'
    assert finding('[rollout]\nshield_methods = ["get"]').hint == "did you mean 'GET'?"
    assert finding("[rollout]\nshield_methods = []").hint == "write shield = false to ask no other version"
    assert finding('[proxy]\npreview = "127.0.0.1:8000"').hint == "choose another port"
    assert finding(CANARY + 'stages = "5% 5m"').hint == 'write a list: ["5% 5m"]'
    for wrong in ("5", '"5%"', "1"):
        assert "5 % is 0.05" in finding(f"[judge]\nmax_error_rate = {wrong}").hint


@pytest.mark.parametrize("name", ["Host", "connection", "Content-Length", "Expect"])
def test_a_header_that_every_request_has_names_no_session(name: str) -> None:
    found = finding(f'[proxy]\nsticky = "header:{name}"')
    assert found.path == "proxy.sticky"
    assert found.message == f"the header {name} does not tell sessions apart"
    assert "X-Session-Id" in found.hint


def test_a_bad_strategy_is_no_reason_against_stages() -> None:
    assert finding('[rollout]\nstrategy = "canari"\nstages = ["5% 5m"]\napprove = true').path == "rollout.strategy"
    assert finding(CANARY + 'stages = ["5%"]').path == "rollout.stages[0]"
    assert finding('[proxy]\nlisten = ":x"\npreview = "127.0.0.1:8000"').path == "proxy.listen"


@pytest.mark.parametrize(
    "written", ["none", "cookie", "header:X-User", "header:x_user.id", "query:user", f"query:{'a' * 64}"]
)
def test_sticky(written: str) -> None:
    assert parsed(f'[proxy]\nsticky = "{written}"').proxy.sticky == written


@pytest.mark.parametrize("prefix", ["header:", "query:"])
@pytest.mark.parametrize("name", ["", "-a", ".a", "a" * 65, *[f"a{sign}b" for sign in "!#$%&'*+^`|~,()[]{}/:;= @é"]])
def test_no_name_that_haproxy_could_read_as_syntax(prefix: str, name: str) -> None:
    found = finding(f'[proxy]\nsticky = "{prefix}{name}"')
    assert found.path == "proxy.sticky"
    assert found.message.startswith('expected "none", "cookie", "header:NAME" or "query:NAME"')


@pytest.mark.parametrize("written", ["", "None", "cookie:a", "header", "query", "source", "header:a\\n"])
def test_not_sticky(written: str) -> None:
    assert finding(f'[proxy]\nsticky = "{written}"').path == "proxy.sticky"


@pytest.mark.parametrize(
    ("patience", "timeout", "seconds"), [("30s", "1h", 30), ("30s", "10s", 10), ("2h", "1h", 3600)]
)
def test_nobody_waits_for_longer_than_the_proxy(patience: str, timeout: str, seconds: float) -> None:
    text = f'[rollout]\npatience = "{patience}"\n[proxy]\ntimeout = "{timeout}"'
    assert parsed(text).patience() == seconds


def test_the_defaults_are_those_of_the_judge() -> None:
    judge = parsed().judge
    # Whether sessions are sticky stands in [proxy].
    names = [each.name for each in fields(Limits) if each.name != "sticky"]
    assert Limits(**{name: getattr(judge, name) for name in names}) == Limits()


# What changes with each new key: never how containers are started.
CHANGES = [
    CANARY,
    CANARY + 'stages = ["1% 1m"]',
    CANARY + "approve = true",
    '[rollout]\nstrategy = "recreate"',
    "[rollout]\nshield = false",
    '[rollout]\nshield_methods = ["GET"]',
    '[rollout]\npatience = "1s"',
    '[rollout]\nsettle = "1s"',
    '[rollout]\nhold = "1s"',
    "[judge]\nalpha = 0.1",
    "[judge]\nmax_error_rate = 0.1",
    "[judge]\nerror_ratio = 2",
    "[judge]\nlatency_ratio = 2",
    '[judge]\nidle = "advance"',
    '[proxy]\npreview = ":8001"',
    '[proxy]\nsticky = "cookie"',
]


@pytest.mark.parametrize("text", CHANGES)
def test_no_new_containers_are_needed(text: str) -> None:
    before, after = parsed(), parsed(text)
    assert before.snapshot() != after.snapshot()
    assert before.run_digest() == after.run_digest()


def test_stages_are_stored_as_text() -> None:
    stored = parsed(CANARY + 'stages = ["0.5% 90s", "10% 1h"]').snapshot()
    assert stored["rollout"]["stages"] == ["0.5% 90s", "10% 1h"]


def test_settings_from_before_these_keys() -> None:
    config = parsed('[rollout]\nbake = "1m"\n[proxy]\nlisten = ":9000"')
    stored: dict[str, Any] = json.loads(json.dumps(config.snapshot()))
    del stored["judge"]
    for section, names in NEW.items():
        for name in names:
            del stored[section][name]
    assert Config.from_snapshot(stored) == config
    stored["rollout"]["strategy"] = "canary"
    assert [str(stage) for stage in Config.from_snapshot(stored).rollout.stages] == list(DEFAULT)


def test_damaged_stages_in_stored_settings() -> None:
    stored = parsed(CANARY).snapshot()
    for stages in (["5%"], [500], ["5% 5m", "5% 5m"], "5% 5m"):
        with pytest.raises(ConfigError, match="stored settings of"):
            Config.from_snapshot({**stored, "rollout": {**stored["rollout"], "stages": stages}})


def test_the_schema_knows_what_belongs_to_a_canary() -> None:
    rollout = json_schema()["$defs"]["Rollout"]
    assert rollout["anyOf"] == [
        {"properties": {"strategy": {"const": "canary"}}, "required": ["strategy"]},
        {"not": {"required": ["stages"]}, "properties": {"approve": {"const": False}}},
    ]
    assert rollout["properties"]["stages"]["default"] == list(DEFAULT)
