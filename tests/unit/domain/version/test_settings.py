"""Settings of versions as they are shown and compared, without secret values."""

from __future__ import annotations

from pathlib import Path

from orchestrator.config import Config, parse
from orchestrator.domain.version import settings
from tests.unit.builders import APP


def configured(more: str = "") -> Config:
    return parse(f'[app]\nname = "{APP}"\nport = 8080\n{more}', file="deploy.toml", base=Path("/nowhere"))


def test_secret_values_are_hidden() -> None:
    one = configured('[run]\nenv = { KEY = "hunter2" }\n[build]\nargs = { TOKEN = "s3cret" }').snapshot()
    two = configured('[run]\nreplicas = 2\nenv = { KEY = "hunter3", MORE = "x9x9" }').snapshot()
    shown = settings.changes(one, two)
    assert shown == [
        {"key": "build.args.TOKEN", "before": "(hidden)", "after": None},
        {"key": "environment.KEY", "before": "(hidden)", "after": "(hidden)"},
        {"key": "environment.MORE", "before": None, "after": "(hidden)"},
        {"key": "run.replicas", "before": 1, "after": 2},
    ]
    for text in ("hunter", "s3cret", "x9x9"):
        assert text not in str((shown, settings.shown(one), settings.shown(two)))
    assert settings.changes(one, one) == []


def test_the_digest_of_the_build_arguments_is_hidden() -> None:
    one, two = ({"dockerfile": name, "args": name.encode().hex().ljust(64, "0")} for name in ("a", "b"))
    assert settings.changes(one, two) == [
        {"key": "args", "before": "(hidden)", "after": "(hidden)"},
        {"key": "dockerfile", "before": "a", "after": "b"},
    ]
    assert settings.changes(one, one) == []
