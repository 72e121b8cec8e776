"""[watchdog]: when the live version is unhealthy, and how it is repaired."""

from __future__ import annotations

from pydantic import Field

from orchestrator.config.section import Section
from orchestrator.config.types import Duration, DurationOrZero, Text, WebUrl, written


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
    min_requests: int = Field(default=100, ge=1, le=10**9, description="With fewer requests traffic is not judged.")
    max_error_rate: float = Field(
        default=0.05, ge=0, le=1, allow_inf_nan=False, description="Share of requests that may fail."
    )
    error_margin: float = Field(
        default=0.01,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="How much the share may exceed that before the switch.",
    )
    max_latency: Duration | None = Field(default=None, description="Mean response time that is too long.")
    latency_factor: float = Field(
        default=3.0, ge=1, le=1000, allow_inf_nan=False, description="How many times longer than before the switch."
    )
    heartbeat: WebUrl | None = Field(
        default=None, repr=False, description="URL that is called after each successful pass (a dead man's switch)."
    )
    textfile: Text | None = Field(default=None, description="Metrics file for node_exporter, written after each pass.")
