"""The part of a configuration that containers are started with."""

from __future__ import annotations

import hashlib
import json

from orchestrator.config import Config


def settings_digest(config: Config) -> str:
    """The digest of what containers are started with; the same digest means: no reason to start them anew."""
    snapshot = config.snapshot()
    parts = {key: snapshot[key] for key in ("port", "environment", "run", "health", "model")}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
