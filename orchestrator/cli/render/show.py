"""The output of `show` for people."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.render.history import progress
from orchestrator.cli.render.text import commit, joined, setting, when
from orchestrator.config.explain import printable
from orchestrator.reports.versions import ShowReport, VersionFiles
from orchestrator.text import size

_FACTS = (
    "parent",
    "image",
    "image_id",
    "pushed",
    "from_image",
    "manifest",
    "author",
    "created_at",
    "live_at",
    "stable_at",
    "pruned_at",
)
_SHOWN_PATHS = 20
Row = tuple[str, str]


def show(report: ShowReport) -> str:
    """The facts about a version, one per line."""
    title = f"{report.app} {report.version}: {report.mark}"
    return joined([title, *(f"{name:11} {text}" for name, text in _rows(report))])


def _rows(report: ShowReport) -> Iterator[Row]:
    for name in _FACTS:
        if (value := getattr(report, name)) is not None:
            yield name.replace("_", " "), printable(value)
    if report.git_commit:
        yield "commit", commit(report.git_commit, report.git_dirty)
    if report.bad_at:
        yield "marked bad", f"{when(report.bad_at)}: {printable(report.bad_why)}"
    if report.files:
        yield from _files(report.files, report.version)
    if report.image_layers:
        yield "layers", f"{len(report.image_layers)}, {size(sum(layer.size for layer in report.image_layers))}"
    for period in report.was_live:
        until = when(period.until) if period.until else "now"
        yield "was live", f"{when(period.since)} to {until}, {period.slot}"
    for container in report.containers:
        yield "container", f"{container.name} in {container.slot}: {container.state}"
    for row in report.deployments:
        versions = f"{row.from_} → {row.to}" if row.from_ else f"of {row.to}"
        what = f"{row.id}: {row.kind} {versions} {row.outcome or progress(row)}"
        yield "deployment", f"{what}, {when(row.started_at)} by {printable(row.actor)}"
    for key, value in report.settings.items():
        yield "setting", f"{printable(key)} = {setting(key, value)}"


def _files(files: VersionFiles, version: str) -> Iterator[Row]:
    delta = f"compared with its parent +{files.changed} -{files.removed}, {size(files.new_bytes)} unique"
    yield "files", f"{files.count}, {size(files.bytes)}; {delta}"
    for path in files.paths[:_SHOWN_PATHS]:
        yield "", printable(path)
    if files.count > _SHOWN_PATHS:
        yield "", f"and {files.count - _SHOWN_PATHS} more: deployctl show {version} --json"
