"""What the terminal shows about the proxy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from orchestrator.domain.traffic.program import Refusals
from orchestrator.reports.proxy import ProxyStatusReport, ProxyUpgradeReport, program_text
from orchestrator.text import counted

_REMOVED = "a later command removes the old proxy when it has none left"


def status_lines(report: ProxyStatusReport, now: datetime) -> Iterator[str]:
    """The lines of `proxy status`."""
    program = f", {program_text(report.program, now)}" if report.program is not None else ""
    yield f"proxy: {report.proxy.state}{program}"
    if report.previous is not None:
        yield f"  the previous proxy still has {report.previous}"
    for row in report.apps:
        where = f"{row.listen}{row.path_prefix}" + (f" host {', '.join(row.hosts)}" if row.hosts else "")
        endpoints = ", ".join(f"{each.index} {each.status}" for each in row.endpoints)
        yield f"  {row.app}: {where} → {row.route or 'nothing'} ({endpoints or 'no endpoint'})"
    for address in report.addresses:
        yield f"  refused at {address.listen}: {_refused(address)}"


def upgrade_text(report: ProxyUpgradeReport) -> str:
    """What `proxy upgrade` has done, in a sentence."""
    before = f" (before: {report.before.name})" if report.before is not None else ""
    text = "the proxy was replaced, but does not answer yet"
    if report.after is not None:
        text = f"the proxy is {report.after.name}"
    text += before
    if report.previous is None:
        return text
    return f"{text}; the old proxy still has {report.previous}; {_REMOVED}"


def _refused(address: Refusals) -> str:
    return (
        f"{counted(address.denied, 'request')} (rules), {counted(address.unreadable, 'unreadable request')},"
        f" {counted(address.answers, 'model response')}"
    )
