"""Names and labels of versions, images and containers. Pure."""

from __future__ import annotations

import hashlib
import re

from orchestrator.domain.traffic.slot import Slot
from orchestrator.frozen import frozen

DEFAULT_STATE_DIR = "/var/lib/deployctl"
VERSION = re.compile(r"v(0|[1-9][0-9]{0,8})")

LABEL_APP = "deployctl.app"
LABEL_VERSION = "deployctl.version"
LABEL_SLOT = "deployctl.slot"
LABEL_DEPLOYMENT = "deployctl.deployment"
LABEL_MANIFEST = "deployctl.manifest"
LABEL_STATE = "deployctl.state"
LABEL_ROLE = "deployctl.role"
LABEL_INDEX = "deployctl.index"
LABEL_NUMBER = "deployctl.number"
LABEL_CONFIG = "deployctl.config"
LABEL_RECORD = "deployctl.record"


@frozen
class Names:
    """The names that a state folder uses on the engine.

    The default folder uses plain names. Every other folder adds a digest of its path to all of them, so two folders
    on one engine never share a name.
    """

    state_id: str

    @classmethod
    def of(cls, state_dir: str) -> Names:
        if state_dir == DEFAULT_STATE_DIR:
            return cls("default")
        return cls(hashlib.sha256(state_dir.encode()).hexdigest()[:8])

    @property
    def _suffix(self) -> str:
        return "" if self.state_id == "default" else f"-{self.state_id}"

    @property
    def network(self) -> str:
        return f"deployctl{self._suffix}"

    @property
    def proxy(self) -> str:
        return f"deployctl-proxy{self._suffix}"

    def container(self, app: str, version: str, slot: Slot, index: int) -> str:
        return f"{app}-{version}-{slot}-{index}{self._suffix}"


def image(app: str, version: str) -> str:
    """The tag of a version's image."""
    return f"{app}:{version}"


def image_labels(app: str, version: str, manifest: str, state_id: str) -> dict[str, str]:
    """The labels of a version's image."""
    return {LABEL_APP: app, LABEL_VERSION: version, LABEL_MANIFEST: manifest, LABEL_STATE: state_id}


def is_version(text: str) -> bool:
    """True for v0, v1, v2 …"""
    return VERSION.fullmatch(text) is not None


def version_number(name: str) -> int:
    """7 for v7. `name` must be a version."""
    return int(name[1:])


def next_version(existing: list[str]) -> str:
    """The version after the highest one that exists."""
    return f"v{max((version_number(name) for name in existing), default=0) + 1}"
