"""[judge]: when a new version counts as worse than the one that runs beside it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.config.section import Section

# Beyond any use, and below what makes the arithmetic of the judge overflow.
Ratio = Annotated[float, Field(gt=1, le=1000, allow_inf_nan=False)]


class Judge(Section):
    """When a new version counts as worse than the one that runs beside it."""

    alpha: float = Field(
        default=0.01,
        gt=0,
        le=0.2,
        allow_inf_nan=False,
        description="Chance, over a whole rollout, that a version as good as the old one counts as worse.",
    )
    max_error_rate: float = Field(
        default=0.05, gt=0, lt=1, allow_inf_nan=False, description="Share of requests that may fail."
    )
    error_ratio: Ratio = Field(default=1.5, description="How many times as often as the old version it may fail.")
    latency_ratio: Ratio = Field(default=1.25, description="How many times as slow as the old version it may be.")
    idle: Literal["hold", "advance"] = Field(
        default="hold", description="What happens when a stage's time is over and the candidate got no request in it."
    )
