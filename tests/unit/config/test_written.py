"""Values with a unit, as deploy.toml has them: what is written is read as the same value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import parse
from orchestrator.config.written import written


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("health.timeout", 2.0, "2s"),
        ("health.interval", 0.5, "0.5s"),
        ("proxy.drain", 90.25, "90.25s"),
        ("rollout.bake", 0.0, "0s"),
        ("proxy.timeout", 3600.0, "1h"),
        ("rollout.keep_warm", 30 * 86400.0, "720h"),
        ("watchdog.max_latency", 0.001, "0.001s"),
        ("run.memory", 512 * 1024**2, "512m"),
        ("run.shm_size", 1025, "1025b"),
        ("run.log_max_size", 1024**5, "1024t"),
        # Without a unit.
        ("run.replicas", 2, 2),
        ("run.cpus", 1.5, 1.5),
        ("app.port", 8080, 8080),
        ("rollout.bake", None, None),
        ("run.read_only", True, True),
        ("no.such", 3, 3),
    ],
)
def test_values_have_their_unit(key: str, value: Any, expected: Any) -> None:
    assert written(key, value) == expected
    if isinstance(expected, str):
        section, name = key.split(".")
        text = f'[app]\nname = "m"\nport = 80\n[{section}]\n{name} = "{expected}"\n'
        config = parse(text, file="deploy.toml", base=Path("/nowhere"))
        assert getattr(getattr(config, section), name) == value
