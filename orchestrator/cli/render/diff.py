"""The output of `diff` for people."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cli.render.text import joined, setting
from orchestrator.config.explain import printable
from orchestrator.domain.version.tensors import TensorChange
from orchestrator.reports.diff import CommitRange, DiffReport, FileDifference, ImageDifference, SettingChange
from orchestrator.text import counted, size

_FEW = 20
_MARKS = {"added": "+", "removed": "-", "changed": "~"}


def diff(report: DiffReport) -> str:
    """The differences, part by part; a part without a difference is left out."""
    return joined(_lines(report))


def changes(report: DiffReport) -> str:
    """What a release changes, in at most a few lines for each part; `diff` shows all of it."""
    counts = report.summary
    lines = [f"files: {counts.added} added, {counts.removed} removed, {counts.changed} changed"]
    if report.files:
        lines[0] += f"; {size(counts.new_bytes)} new"
    lines += _few([_file(file) for file in report.files])
    lines += _settings("build", report.build)
    lines += _settings("settings", report.settings)
    lines += [layers(report.image)] if report.image else []
    lines += _few([*_commits(report.commits)]) if report.commits.before != report.commits.after else []
    if not (report.files or report.build or report.settings):
        lines = ["no file and no setting differs"]
    return joined(lines)


def layers(image: ImageDifference) -> str:
    """The layers of an image, compared with those of another one."""
    new = f"{len(image.new_layers)} new ({size(image.new_bytes)})"
    return f"image: {counted(image.shared_layers, 'layer')} shared ({size(image.shared_bytes)}), {new}"


def _few(lines: list[str]) -> list[str]:
    more = len(lines) - _FEW
    return lines if more <= 0 else [*lines[:_FEW], f"  … and {more} more"]


def _lines(report: DiffReport) -> Iterator[str]:
    counts = report.summary
    yield (
        f"{report.app} {report.from_} → {report.to}: {counts.added} added, {counts.removed} removed,"
        f" {counts.changed} changed; {size(counts.new_bytes)} unique to {report.to}"
    )
    yield from map(_file, report.files)
    for row in report.tensors:
        yield f"tensors of {printable(row.path)}:"
        for change in row.tensors:
            yield f"  {_MARKS[change.change]} {_tensor(change)}"
        if row.note:
            yield f"  not compared: {printable(row.note)}"
    yield from _settings("build", report.build)
    yield from _settings("settings", report.settings)
    if report.image:
        yield layers(report.image)
    yield from _commits(report.commits)


def _file(file: FileDifference) -> str:
    sizes = [size(each) for each in (file.size_before, file.size_after) if each is not None]
    return f"  {_MARKS[file.change]} {printable(file.path)}  {' → '.join(sizes)}"


def _settings(title: str, changes: tuple[SettingChange, ...]) -> Iterator[str]:
    if changes:
        yield f"{title}:"
    for change in changes:
        yield f"  ~ {printable(change.key)}: {setting(change.key, change.before)} → {setting(change.key, change.after)}"


def _tensor(change: TensorChange) -> str:
    sides = [
        f"{dtype}{list(shape or ())}"
        for dtype, shape in ((change.dtype_before, change.shape_before), (change.dtype_after, change.shape_after))
        if dtype is not None
    ]
    shapes = sides[0] if len(set(sides)) == 1 else " → ".join(sides)
    largest = "" if change.largest is None else f", largest change {change.largest:g}"
    odd = f", {change.nonfinite} became or were NaN or infinite" if change.nonfinite else ""
    # The name comes from an untrusted file.
    return f"{printable(change.name)}  {shapes}{largest}{odd}"


def _commits(commits: CommitRange) -> Iterator[str]:
    if not (commits.before or commits.after):
        return
    before, after = (commit[:10] if commit else "no commit" for commit in (commits.before, commits.after))
    if commits.between is None:
        yield f"commits: {before} → {after} (the commits between them are not in the repository)"
        return
    yield f"commits: {before} → {after}{' and uncommitted changes' if commits.dirty else ''}"
    for each in commits.between:
        yield f"  {each.commit[:10]} {each.at[:10]} {printable(each.author)}: {printable(each.subject)}"
