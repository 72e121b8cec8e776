"""The reports of `init` and `config`. Pure."""

from __future__ import annotations

from orchestrator.frozen import frozen
from orchestrator.reports.error import FindingReport


@frozen
class InitReport:
    """The file that `init` wrote."""

    file: str


@frozen
class ConfigReport:
    """A valid deploy.toml. `findings` is empty: problems are an error. `notes` are variables that are not set here."""

    file: str
    app: str
    findings: tuple[FindingReport, ...]
    notes: tuple[str, ...]


@frozen
class ReportNames:
    """The names that `config report-schema` accepts."""

    reports: tuple[str, ...]
