"""[rollout]: how a version goes live."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from orchestrator.config.section import Section
from orchestrator.config.types import DurationOrZero, written


class Rollout(Section):
    """How a version goes live."""

    strategy: Literal["blue-green"] = Field(default="blue-green", description="How traffic moves to the new version.")
    keep_warm: DurationOrZero = written(600.0, "10m", "How long the previous version keeps running.")
    bake: DurationOrZero = written(0.0, "0s", "How long a new version is watched before it becomes stable.")
