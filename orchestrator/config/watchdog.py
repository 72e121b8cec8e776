"""[watchdog]: when the live version is unhealthy, and how it is repaired."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from orchestrator.config.section import Section
from orchestrator.config.types import Duration, DurationOrZero, Text, WebUrl, written

OBSOLETE = ("min_requests", "max_error_rate", "error_margin", "max_latency", "latency_factor")
_OBSOLETE: Any = Field(
    default=None,
    allow_inf_nan=False,
    description="No longer has any effect: see [judge].",
    exclude=True,
    json_schema_extra={"deprecated": True},
)


class Watchdog(Section):
    """When the live version is unhealthy, and how it is repaired."""

    probes: int = Field(default=5, ge=1, le=100, description="Maximum number of probes of a container in one pass.")
    failures: int = Field(default=3, ge=1, le=100, description="Failed probes among these that make it unhealthy.")
    busy: DurationOrZero = written(
        600.0, "10m", "How long a container may miss probes while it has open requests; proxy.timeout limits it too."
    )
    backoff: Duration = written(10.0, "10s", "Wait before the second restart; it doubles each time.")
    restarts: int = Field(default=5, ge=1, le=100, description="Number of restarts within the window that is too many.")
    window: Duration = written(600.0, "10m", "The time in which restarts are counted.")
    auto_rollback: bool = Field(default=True, description="Roll back a version that cannot be repaired.")
    cooldown: DurationOrZero = written(600.0, "10m", "Time after an automatic rollback without another one.")
    heartbeat: WebUrl | None = Field(
        default=None, repr=False, description="URL that is called after each successful pass (a dead man's switch)."
    )
    textfile: Text | None = Field(default=None, description="Metrics file for node_exporter, written after each pass.")

    # Files from before [judge] have them.
    min_requests: float | None = _OBSOLETE
    max_error_rate: float | None = _OBSOLETE
    error_margin: float | None = _OBSOLETE
    max_latency: Duration | None = _OBSOLETE
    latency_factor: float | None = _OBSOLETE

    @property
    def without_effect(self) -> list[str]:
        """The keys that are set and have no effect any more."""
        return [key for key in OBSOLETE if getattr(self, key) is not None]
