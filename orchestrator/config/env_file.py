"""Files of KEY=VALUE lines, as `docker run --env-file` reads them."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.config.values import VARIABLE
from orchestrator.errors import Finding


def read_env_file(path: Path) -> tuple[dict[str, str], list[Finding]]:
    """KEY=VALUE lines; the findings never quote a line, because it may hold a password."""
    where = "run.env_file"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}, [Finding(where, f"there is no file {path}")]
    except UnicodeDecodeError:
        return {}, [Finding(where, f"{path} is not UTF-8")]
    except (OSError, ValueError) as error:
        return {}, [Finding(where, f"{path} cannot be read: {getattr(error, 'strerror', '') or error}")]
    values: dict[str, str] = {}
    findings: list[Finding] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = re.sub(r"^export\s+", "", line).partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not re.fullmatch(VARIABLE, key) or "\0" in value:
            findings.append(Finding(where, f"line {number}: expected KEY=VALUE"))
            continue
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[key] = value
    return values, findings
