"""[proxy]: where clients reach the app."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from orchestrator.config import values as read
from orchestrator.config.section import Section
from orchestrator.config.types import Duration, DurationOrZero, Hosts, Sticky, Trusted, written


class Proxy(Section):
    """Where clients reach the app."""

    listen: Annotated[str, AfterValidator(read.listen)] = Field(
        default="127.0.0.1:8000", description='"address:port"; ":8000" listens on all addresses, IPv4 and IPv6.'
    )
    host: Hosts = Field(default=[], description="DNS names of this app; without any, it receives all names.")
    path_prefix: Annotated[str, AfterValidator(read.path_prefix)] = Field(
        default="", description="Prefix of the paths that are routed to this app."
    )
    strip_prefix: bool = Field(default=True, description="Remove the prefix before the request reaches the model.")
    drain: DurationOrZero = written(30.0, "30s", "Time for open requests to finish after a switch.")
    timeout: Duration = written(3600.0, "1h", "Longest time that the model may take to answer.")
    trust_forwarded: Trusted = Field(
        default="loopback",
        description='Whose X-Forwarded-* headers are passed on: "loopback", "all", or networks; those of others are'
        " replaced.",
    )
    metrics: Annotated[str, AfterValidator(read.listen)] | None = Field(
        default=None, description='"address:port" where the proxy serves metrics for Prometheus, at /metrics.'
    )
    preview: Annotated[str, AfterValidator(read.listen)] | None = Field(
        default=None, description='"address:port" for a version that gets no requests of clients yet; no other use.'
    )
    sticky: Sticky = Field(
        default="none",
        description='What keeps requests on one replica and version: "none", "cookie", "header:NAME" or "query:NAME".',
    )
