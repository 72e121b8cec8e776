"""[retention]: which versions are kept."""

from __future__ import annotations

from pydantic import Field

from orchestrator.config.section import Section


class Retention(Section):
    """Which versions are kept."""

    versions: int = Field(default=5, ge=2, le=10000, description="Versions whose images are kept for a rollback.")
