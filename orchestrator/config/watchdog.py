"""The sections of what goes on when nobody types a command: the watchdog, and whom it tells."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.config.section import Section
from orchestrator.config.types import Duration, DurationOrZero, FileName, SecretUrl, Text, WebUrl, written

Notice = Literal["released", "rolled back", "healed", "degraded", "recovered"]


class Watchdog(Section):
    """When the live version counts as sick, what is tried, and for how long."""

    probes: int = Field(default=5, ge=1, le=100, description="Probes of one look at a container, at most.")
    failures: int = Field(default=3, ge=1, le=100, description="Failed ones of these that make it unhealthy.")
    busy: DurationOrZero = written(0.0, "0s", "How long a container may miss its probes while requests are open on it.")
    backoff: Duration = written(10.0, "10s", "Wait before the second restart; it doubles each time.")
    restarts: int = Field(default=5, ge=1, le=100, description="Restarts within the window that are too many.")
    window: Duration = written(600.0, "10m", "The time in which restarts are counted.")
    auto_rollback: bool = Field(default=True, description="Roll back what cannot be healed.")
    cooldown: DurationOrZero = written(600.0, "10m", "Time after an automatic rollback without another one.")
    min_requests: int = Field(default=100, ge=1, le=10**9, description="With fewer requests traffic says nothing.")
    max_error_rate: float = Field(
        default=0.05, ge=0, le=1, allow_inf_nan=False, description="Share of requests that may fail."
    )
    error_margin: float = Field(
        default=0.01, ge=0, le=1, allow_inf_nan=False, description="How much more may fail than before the switch."
    )
    max_latency: Duration | None = Field(default=None, description="Mean response time that is too long.")
    latency_factor: float = Field(
        default=3.0, ge=1, le=1000, allow_inf_nan=False, description="How many times longer than before the switch."
    )
    heartbeat: WebUrl | None = Field(
        default=None, repr=False, description="URL that is called after each good pass (a dead man's switch)."
    )
    textfile: Text | None = Field(default=None, description="File for node_exporter, written after each pass.")


class Notify(Section):
    """Whom to tell, through Apprise."""

    urls: list[SecretUrl] = Field(default=[], repr=False, description="Apprise URLs, such as mailto:// or slack://.")
    urls_file: FileName | None = Field(default=None, description="File with one Apprise URL a line.")
    on: list[Notice] = Field(
        default=["released", "rolled back", "healed", "degraded", "recovered"], description="What is told."
    )
    timeout: Duration = written(10.0, "10s", "Time after which a notification is given up.")
