"""[app]: the service."""

from __future__ import annotations

from pydantic import Field

from orchestrator.config.section import Section
from orchestrator.config.types import AppName


class App(Section):
    """The service."""

    name: AppName = Field(description="Name of the app; images are NAME:vN.")
    port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port on which the server listens in its container; presets have a default.",
    )
