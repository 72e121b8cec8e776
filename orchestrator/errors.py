"""All errors that users can see, in one tree. Each is named after what happened, which also decides the exit code.

    DeployctlError                 exit 1   the base; on its own it is an internal error
    ├── UsageError                 exit 2   the request is invalid or cannot be carried out; nothing was changed
    │   └── ConfigError            exit 2   deploy.toml is invalid; lists every problem at once
    ├── OperationFailed            exit 3   an operation failed; what served before still serves
    │   ├── DeploymentFailed       exit 3   a deployment failed and was undone
    │   │   ├── BuildFailed        exit 3   the image could not be built
    │   │   ├── DrillFailed        exit 3   a rollback would fail
    │   │   └── ProbeFailed        exit 3   the version did not become ready
    │   ├── EngineError            exit 3   the Docker engine refused
    │   │   └── EngineUnreachable  exit 3   the Docker engine does not answer
    │   ├── RegistryError          exit 3   the registry refused, or does not answer
    │   │   └── TagTaken           exit 3   the tag exists in the registry and is not moved
    │   ├── ProxyError             exit 3   the proxy refused, or does not answer
    │   ├── StorageError           exit 3   the state folder cannot be read or written, or its content was changed
    │   ├── GitError               exit 3   Git cannot provide what is needed
    │   ├── SecretUnavailable      exit 3   the value of a secret is not available
    │   ├── HostError              exit 3   a program or a file of the host cannot be used
    │   └── NotDelivered           exit 3   a notification was not delivered
    ├── Degraded                   exit 4   act now: traffic, the record or the rollback is at risk
    │   └── LedgerDamaged          exit 4   the ledger is missing or damaged; nothing can be changed
    ├── Locked                     exit 75  another command holds the lock
    └── Interrupted                exit 128 + signal

Each error says what happened, why, and what to do next.
"""

from __future__ import annotations

from orchestrator.frozen import frozen


class DeployctlError(Exception):
    """What happened (`message`), why (`why`), what to do next (`hint`), and the exit code of the program.

    `details` are more lines that explain the error, such as the end of a log.
    """

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
    """The request is invalid or cannot be carried out; nothing was changed."""

    exit_code = 2


@frozen
class Finding:
    """One problem in a configuration: where (`health.timeout`), what is wrong, and how to fix it."""

    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(UsageError):
    """deploy.toml is invalid; `findings` lists every problem in it."""

    def __init__(self, file: str, findings: list[Finding]) -> None:
        count = f"{len(findings)} problem{'s' if len(findings) != 1 else ''}"
        super().__init__(
            f"{file}: {count}",
            hint="fix the file, then run 'deployctl config check'",
            details="\n".join(str(finding) for finding in findings),
        )
        self.file = file
        self.findings = findings


class OperationFailed(DeployctlError):
    """An operation failed; what served before still serves."""

    exit_code = 3


class DeploymentFailed(OperationFailed):
    """The deployment failed and was undone; what served before still serves."""


class BuildFailed(DeploymentFailed):
    """The image could not be built."""


class DrillFailed(DeploymentFailed):
    """A rollback would fail: its drill did. Nothing that clients see was changed."""


class ProbeFailed(DeploymentFailed):
    """The version did not become ready."""


class EngineError(OperationFailed):
    """The Docker engine refused."""


class EngineUnreachable(EngineError):
    """The Docker engine does not answer, so its state is unknown."""


class RegistryError(OperationFailed):
    """The registry refused, or does not answer."""


class TagTaken(RegistryError):
    """The registry has another image with this tag, and it is not or cannot be moved."""


class ProxyError(OperationFailed):
    """The proxy refused, or does not answer."""


class StorageError(OperationFailed):
    """The state folder cannot be read or written, or its content is not what was stored."""


class GitError(OperationFailed):
    """Git cannot provide what is needed."""


class SecretUnavailable(OperationFailed):
    """The value of a secret is not available. The message contains no value."""


class HostError(OperationFailed):
    """A program or a file of the host cannot be used."""


class NotDelivered(OperationFailed):
    """A notification was not delivered to every URL."""


class Degraded(DeployctlError):
    """Act now: traffic, the record or the rollback is at risk."""

    exit_code = 4


class LedgerDamaged(Degraded):
    """The ledger is missing or damaged. Running versions keep serving; nothing is changed that cannot be recorded."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(
            f"the ledger {file} cannot be used",
            why=why,
            hint="restore it from a backup, or rebuild it from the containers: deployctl recover --rebuild-ledger",
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
