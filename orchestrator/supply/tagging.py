"""Tags in Git for versions that have become stable."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.ports.services import Services


def tag(services: Services, config: Config, name: str, since: str) -> None:
    """Writes `app/vN` at the commit of a version that is stable `since` then, if `git.tag` asks for it.

    It may be done twice.

    A tag that cannot be written spoils nothing: it is noted and recorded.
    """
    if not config.git.tag:
        return
    app = config.app.name
    version = services.ledger.versions(app).get(name)
    if version is None:
        return
    label = f"{app}/{name}"
    if version.git_commit is None or version.git_dirty:
        built = "from changes that are not committed" if version.git_commit else "outside of Git"
        services.reporter.note(f"no tag {label}: it was built {built}")
        return
    message = "\n".join(
        [
            f"{app} {name}",
            "",
            f"manifest: {version.manifest}",
            f"stable since: {since}",
            f"released by: {version.author}",
        ]
    )
    written, why = services.artifacts.tag(config, label, version.git_commit, message, version.author)
    detail = {"version": name, "tag": label, "commit": version.git_commit}
    if written:
        services.reporter.detail(f"tag {label} at {version.git_commit[:10]}")
        services.ledger.event(app, "tagged", detail)
    elif why:
        services.reporter.note(f"the tag {label} was not written: {why}")
        services.ledger.event(app, "tag-failed", {**detail, "why": why})
