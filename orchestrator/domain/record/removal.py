"""The removal of an app: how it is recorded before anything is removed, and what is kept of the app's history. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestrator.domain.rollout.deployment import Deployment
from orchestrator.domain.version.version import Version
from orchestrator.frozen import frozen

_OF_VERSIONS = (
    "name",
    "manifest",
    "image_id",
    "from_image",
    "git_commit",
    "author",
    "created_at",
    "live_at",
    "bad_at",
)
_OF_DEPLOYMENTS = (
    "id",
    "kind",
    "from_version",
    "to_version",
    "actor",
    "started_at",
    "finished_at",
    "outcome",
    "reason",
)


@frozen
class Removal:
    """Who removes an app, by which command, since when (UTC in ISO 8601)."""

    actor: str
    command: str
    since: str


def history(versions: Iterable[Version], deployments: Iterable[Deployment]) -> dict[str, Any]:
    """What the chain of events keeps of a removed app, ready for JSON: who deployed which version when.

    No settings: they contain environment variables.
    """
    return {
        "versions": [{name: getattr(version, name) for name in _OF_VERSIONS} for version in versions],
        "deployments": [
            {name: getattr(deployment, name) for name in _OF_DEPLOYMENTS}
            for deployment in sorted(deployments, key=lambda each: each.id)
        ],
    }
