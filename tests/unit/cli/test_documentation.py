"""The documentation names every key, every command and this version."""

from __future__ import annotations

import json
import re

from orchestrator import __version__
from orchestrator.cli.table import TABLE
from orchestrator.config import json_schema
from tests.unit.program import ROOT


def test_every_key_of_deploy_toml_is_described_with_its_default() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    schema = json_schema()
    for section, reference in schema["properties"].items():
        name = reference.get("$ref", reference.get("allOf", [{}])[0].get("$ref", "")).rpartition("/")[2]
        described = text.split(f"## [{section}]\n")[1].split("\n## ")[0]
        for key, value in schema["$defs"][name]["properties"].items():
            if value.get("deprecated"):
                assert re.search(rf"`{key}`[^.]* no\s+longer\s+have\s+any\s+effect", described), key
                continue
            (row,) = (line for line in described.splitlines() if line.startswith(f"| `{key}` |"))
            if "default" in value:
                assert row.split("|")[2].strip() == f"`{json.dumps(value['default'])}`", row


def test_every_command_that_prints_json_is_described() -> None:
    text = (ROOT / "docs" / "json.md").read_text()
    headings = {name for line in text.splitlines() if line.startswith("## ") for name in line[3:].split(", ")}
    assert {name for name, entry in TABLE.items() if not entry.hidden} - {"exec", "completion"} <= headings


def test_this_version_is_in_the_changelog() -> None:
    assert f"## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
