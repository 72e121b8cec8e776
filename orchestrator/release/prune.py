"""What `deployctl prune` does: recovery first, then retention."""

from __future__ import annotations

from orchestrator.ports.services import Services
from orchestrator.release import retention
from orchestrator.release.recover import recover


def prune(services: Services, app: str, keep: int, *, dry_run: bool) -> retention.Pruned:
    """Removes what the newest `keep` versions do not need; with `dry_run` only reports what would be removed."""
    with services.locks.app(app):
        if not dry_run:
            recover(services, app)
        return retention.prune(services, app, keep, dry_run=dry_run)
