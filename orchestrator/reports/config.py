"""The reports of `init` and `config`. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.reports.error import FindingReport


@dataclass(frozen=True)
class InitReport:
    """The file that `init` wrote."""

    file: str


@dataclass(frozen=True)
class ConfigReport:
    """A valid deploy.toml. `findings` is empty: problems are an error. `notes` are variables that are not set here."""

    file: str
    app: str
    findings: tuple[FindingReport, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ReportNames:
    """The names that `config report-schema` accepts."""

    reports: tuple[str, ...]
