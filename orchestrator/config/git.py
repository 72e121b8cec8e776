"""[git]: what a release reads from Git and writes to it."""

from __future__ import annotations

from pydantic import Field

from orchestrator.config.section import Section


class Git(Section):
    """What a release reads from Git and writes to it."""

    tag: bool = Field(default=False, description="Create an annotated tag NAME/vN when a version becomes stable.")
    require_clean: bool = Field(default=False, description="Refuse to release uncommitted changes.")
