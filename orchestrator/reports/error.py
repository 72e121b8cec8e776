"""An error as a report: what a command that fails prints instead of its own document. Pure."""

from __future__ import annotations

from orchestrator.errors import ConfigError, DeployctlError
from orchestrator.frozen import frozen


@frozen
class FindingReport:
    """One problem in deploy.toml: where, what, and how to fix it."""

    path: str
    message: str
    hint: str


@frozen
class ErrorFacts:
    """What happened, why, what to do next. `code` is the exit code; `findings` are the problems in deploy.toml."""

    code: int
    message: str
    why: str
    details: str
    next: str
    findings: tuple[FindingReport, ...]


@frozen
class ErrorReport:
    """An error that ended a command."""

    error: ErrorFacts


def error_report(error: DeployctlError) -> ErrorReport:
    """An error as a report."""
    findings = error.findings if isinstance(error, ConfigError) else []
    return ErrorReport(
        ErrorFacts(
            code=error.exit_code,
            message=error.message,
            why=error.why,
            details=error.details,
            next=error.hint,
            findings=tuple(FindingReport(each.path, each.message, each.hint) for each in findings),
        )
    )
