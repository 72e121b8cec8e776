"""Files of KEY=VALUE lines, as `docker run --env-file` reads them."""

from __future__ import annotations

import re
from pathlib import Path

from orchestrator.config.explain import printable
from orchestrator.config.values import VARIABLE
from orchestrator.errors import Finding
from orchestrator.files import NotRegular, TooLarge, read_small


def read_env_file(path: Path) -> tuple[dict[str, str], list[Finding]]:
    """The variables of a file, and the problems in it. No finding quotes a line, which may contain a password."""
    where, shown = "run.env_file", printable(path)
    try:
        text = read_small(path).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        return {}, [Finding(where, f"there is no file {shown}")]
    except (NotRegular, TooLarge) as error:
        return {}, [Finding(where, f"{shown} is {error.strerror}")]
    except OSError as error:
        return {}, [Finding(where, f"{shown} cannot be read: {error.strerror}")]
    except UnicodeDecodeError:
        return {}, [Finding(where, f"{shown} is not UTF-8")]
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
