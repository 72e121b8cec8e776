"""Every error that a user can meet, in one tree.

    DeployctlError              exit 1   the base; met alone it is a bug of ours
    ├── UsageError              exit 2   what was asked cannot be done as it was asked
    │   └── ConfigError         exit 2   deploy.toml is wrong; carries every finding at once
    ├── DeploymentFailed        exit 3   tried, failed, undone: what served before still serves
    │   ├── BuildFailed         exit 3
    │   ├── ProbeFailed         exit 3
    │   ├── EngineError         exit 3   the engine refused
    │   │   └── EngineUnreachable  exit 3   the engine is not there, or hangs
    │   └── ProxyError          exit 3   the proxy refused or is not there
    ├── Degraded                exit 4   somebody must act now
    │   └── LedgerDamaged       exit 4   the record is gone or broken: nothing can be changed
    ├── Locked                  exit 75  another command holds the app
    └── Interrupted             exit 128 + signal

Each says what happened, why, and what to do next.
"""

from __future__ import annotations

from dataclasses import dataclass


class DeployctlError(Exception):
    """What happened (`message`), why (`why`), what to do next (`hint`), and the exit code of the program."""

    exit_code = 1

    def __init__(self, message: str, *, why: str = "", hint: str = "", details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.why = why
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.message}: {self.why}" if self.why else self.message


class UsageError(DeployctlError):
    """What was asked cannot be done as it was asked; nothing was changed."""

    exit_code = 2


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong in a configuration: where (`health.timeout`), what, and how to mend it."""

    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(UsageError):
    """deploy.toml cannot be used; `findings` lists everything that is wrong with it."""

    def __init__(self, file: str, findings: list[Finding]) -> None:
        count = f"{len(findings)} problem{'s' if len(findings) != 1 else ''}"
        super().__init__(
            f"{file}: {count}",
            hint="mend the file, then run 'deployctl config check'",
            details="\n".join(str(finding) for finding in findings),
        )
        self.file = file
        self.findings = findings


class DeploymentFailed(DeployctlError):
    """The deployment failed and was undone: what served before still serves."""

    exit_code = 3


class BuildFailed(DeploymentFailed):
    """The image could not be built."""


class ProbeFailed(DeploymentFailed):
    """The version did not become ready."""


class EngineError(DeploymentFailed):
    """The Docker engine refused."""


class EngineUnreachable(EngineError):
    """The Docker engine does not answer: what it would say is unknown."""


def engine_unreachable(error: Exception, doing: str = "say who it is", *, hung: bool) -> EngineUnreachable:
    """What a client's error means, in plain words; `hung` says that the time was up."""
    if hung:
        return EngineUnreachable(
            f"the Docker engine gave no answer in time when asked to {doing}",
            hint="is it hung? 'docker ps' tells; when it answers again: deployctl recover",
        )
    text = str(error)
    if "FileNotFoundError" in text or "No such file" in text:
        text = "its socket is not there"
    elif "Connection refused" in text:
        text = "nobody listens on its socket"
    elif "PermissionError" in text or "Permission denied" in text:
        text = "its socket may not be used by this user"
    return EngineUnreachable(
        "the Docker engine does not answer", why=text, hint="is it running, and may you use it? 'docker version' tells"
    )


class ProxyError(DeploymentFailed):
    """The proxy refused, or does not answer."""


class Degraded(DeployctlError):
    """Traffic, truth or the way back is in danger: somebody must act now."""

    exit_code = 4


class LedgerDamaged(Degraded):
    """The ledger is gone or broken. What runs goes on; nothing is changed that cannot be recorded."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(
            f"the ledger {file} cannot be used",
            why=why,
            hint="restore it from a backup, or put it together from the containers: deployctl recover --rebuild-ledger",
        )


class Locked(DeployctlError):
    """Another command holds the app's lock."""

    exit_code = 75


class Interrupted(DeployctlError):
    """A signal asked the command to stop."""

    def __init__(self, message: str, *, signal: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.signal = signal
        self.exit_code = 128 + signal
