"""[notify]: which notifications are sent, and where to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.config.section import Section
from orchestrator.config.types import Duration, FileName, SecretUrl, written

Notice = Literal["released", "rolled back", "healed", "degraded", "recovered"]


class Notify(Section):
    """Where notifications are sent, through Apprise."""

    urls: list[SecretUrl] = Field(default=[], repr=False, description="Apprise URLs, such as mailto:// or slack://.")
    urls_file: FileName | None = Field(default=None, description="File with one Apprise URL per line.")
    on: list[Notice] = Field(
        default=["released", "rolled back", "healed", "degraded", "recovered"], description="Events that are sent."
    )
    timeout: Duration = written(10.0, "10s", "Time limit for one delivery.")
