"""What a pass that nobody types needs to know: which program it is, and the environment it would have had. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

_USUAL = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_DOCKER = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
# The command line says these, or a pass by itself has no use for them.
_NOT_KEPT = frozenset(f"DEPLOYCTL_{end}" for end in ("FILE", "STATE_DIR", "JSON", "QUIET", "NO_COLOR"))
# Others may read a schedule: nothing that could be a secret is written into it.
_SECRET = re.compile(r"URL|TOKEN|SECRET|PASS|KEY|CREDENTIAL")


def program(executable: str, argument: str, runs: Callable[[Path], bool]) -> tuple[str, ...]:
    """The words that start deployctl, whatever the folder and the PATH are.

    `executable` is Python's own path, `argument` the first word of the command line.
    """
    beside = Path(executable).parent / "deployctl"
    if runs(beside):
        return (str(beside),)
    # A link in the path is left alone: it may lead to the version that is installed now.
    typed = Path(os.path.abspath(argument))  # noqa: PTH100
    if typed.name == "deployctl" and runs(typed):
        return (str(typed),)
    return (executable, "-m", "orchestrator.cli.main")


def environment(
    environ: Mapping[str, str], which: Callable[[str], str | None], home: str, *, module: bool
) -> tuple[dict[str, str], list[str]]:
    """The variables of a schedule, and sentences on what was left out.

    `module`: deployctl is started as a module, so Python must find it as it did now.
    """
    folders = [str(Path(found).parent) for found in (which("docker"), which("git")) if found and found.startswith("/")]
    front = [folder for folder in dict.fromkeys(folders) if folder not in _USUAL and ":" not in folder]
    kept = {"PATH": ":".join([*front, *_USUAL]), "HOME": home}
    notes = []
    for key, value in sorted(environ.items()):
        ours = key.startswith("DEPLOYCTL_") and key not in _NOT_KEPT
        if ours and _SECRET.search(key):
            instead = "notify.urls_file names a file for it" if key == "DEPLOYCTL_NOTIFY_URLS" else "use deploy.toml"
            notes.append(f"{key} is not written into the schedule, which others may read: {instead}")
        elif value and (ours or key in _DOCKER or (module and key == "PYTHONPATH")):
            kept[key] = value
    return kept, notes
