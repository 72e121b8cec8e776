"""deploy.toml: what an app is, how it is built, run, probed and routed.

`load` reads and checks the file and reports all of its problems at once. The result is frozen and resolved: it has
seconds, bytes, absolute volumes and a port.

    reading ──► config ──► one file per section ──► types ──► values ──► explain     (each imports those to its right)
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from orchestrator.config.config import Config
from orchestrator.config.explain import printable
from orchestrator.config.ignoring import ignore_patterns
from orchestrator.config.reading import load, parse, seconds
from orchestrator.config.types import MODEL_PRESETS, PRESET_NAMES

__all__ = [
    "MODEL_PRESETS",
    "PRESET_NAMES",
    "Config",
    "example",
    "example_for",
    "ignore_patterns",
    "json_schema",
    "load",
    "parse",
    "printable",
    "seconds",
]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of deploy.toml, for editors."""
    from orchestrator.config.schema import json_schema as make

    return make()


def example() -> str:
    """The commented example, which `deployctl init` writes."""
    return resources.files("orchestrator").joinpath("deploy.example.toml").read_text(encoding="utf-8")


def example_for(preset: str) -> str:
    """The commented example for a kind of model server: with its health preset and its port.

    Raises:
        UsageError: there is no such preset.
    """
    from orchestrator.domain.health.presets import resolve

    port = resolve(preset, None).port
    text = example()
    for default, chosen in (
        ("\nport = 8080\n", f"\nport = {port}\n"),
        ('\npath = "/healthz"\n', '\n#path = "/healthz"\n'),
        ('\n#preset = "kserve-v2"\n', f'\npreset = "{preset}"\n'),
    ):
        assert text.count(default) == 1, default
        text = text.replace(default, chosen)
    return text
