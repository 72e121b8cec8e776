"""Every report by the name of its command: what `config report-schema` prints, and docs/json.md describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.errors import UsageError
from orchestrator.reports.apps import AppsReport
from orchestrator.reports.config import ConfigReport, InitReport, ReportNames
from orchestrator.reports.diff import DiffReport
from orchestrator.reports.doctor import DoctorReport
from orchestrator.reports.drill import DrillReport
from orchestrator.reports.error import ErrorReport
from orchestrator.reports.events import EventsReport
from orchestrator.reports.file_log import FileLogReport
from orchestrator.reports.history import HistoryReport
from orchestrator.reports.logs import LogsReport
from orchestrator.reports.maintenance import MaintenanceReport
from orchestrator.reports.metrics import MetricsReport
from orchestrator.reports.notify import NotifyReport
from orchestrator.reports.passes import PassesReport
from orchestrator.reports.plan import PlanReport
from orchestrator.reports.proxy import ProxyReport, ProxyStatusReport, ProxyUpgradeReport
from orchestrator.reports.prune import PruneReport
from orchestrator.reports.recover import RecoverReport
from orchestrator.reports.release import HeldReport, ReleaseReport, TogetherReport
from orchestrator.reports.remove import RemoveReport
from orchestrator.reports.serialize import schema
from orchestrator.reports.status import StatusReport
from orchestrator.reports.verify import VerifyReport
from orchestrator.reports.versions import ShowReport, TreeReport
from orchestrator.reports.watchdog import InstallReport, UninstallReport, WatchdogReport
from orchestrator.reports.who_was_live import WhoWasLiveReport

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

REPORTS: Mapping[str, type[DataclassInstance]] = {
    "abort": ReleaseReport,
    "config check": ConfigReport,
    "config report-schema": ReportNames,
    "diff": DiffReport,
    "doctor": DoctorReport,
    "error": ErrorReport,
    "events": EventsReport,
    "history": HistoryReport,
    "hold": HeldReport,
    "init": InitReport,
    "list": AppsReport,
    "log": FileLogReport,
    "logs": LogsReport,
    "maintenance": MaintenanceReport,
    "maintenance off": MaintenanceReport,
    "maintenance on": MaintenanceReport,
    "metrics": MetricsReport,
    "notify": NotifyReport,
    "plan": PlanReport,
    "promote": ReleaseReport,
    "proxy down": ProxyReport,
    "proxy reload": ProxyReport,
    "proxy status": ProxyStatusReport,
    "proxy up": ProxyReport,
    "proxy upgrade": ProxyUpgradeReport,
    "prune": PruneReport,
    "recover": RecoverReport,
    "release": ReleaseReport,
    "release together": TogetherReport,
    "remove": RemoveReport,
    "resume": HeldReport,
    "rollback": ReleaseReport,
    "rollback drill": DrillReport,
    "show": ShowReport,
    "status": StatusReport,
    "tree": TreeReport,
    "verify": VerifyReport,
    "watchdog install": InstallReport,
    "watchdog run": PassesReport,
    "watchdog status": WatchdogReport,
    "watchdog uninstall": UninstallReport,
    "who-was-live": WhoWasLiveReport,
}


def report_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of the report of a command.

    Raises:
        UsageError: no report has this name.
    """
    if name not in REPORTS:
        raise UsageError(f"unknown report {name!r}", hint="list the names: deployctl config report-schema")
    return schema(REPORTS[name])
