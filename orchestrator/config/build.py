"""[build]: how an image is built."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from orchestrator.config import values as read
from orchestrator.config.section import Section
from orchestrator.config.types import ArgValue, SecretName, SecretSource, Stage, Text, Variable


class Build(Section):
    """How an image is built."""

    context: Text = Field(default=".", description="Folder that is sent to the builder.")
    dockerfile: Annotated[str, AfterValidator(read.inside)] = Field(
        default="Dockerfile", description="Dockerfile, relative to the context and inside it."
    )
    args: dict[Variable, ArgValue] = Field(default={}, repr=False, description="Build arguments.")
    secrets: dict[SecretName, SecretSource] = Field(
        default={},
        repr=False,
        description='For RUN --mount=type=secret,id=NAME: NAME = "env:NAME" or "file:PATH". Needs BuildKit.',
    )
    network: Literal["default", "none", "host"] = Field(
        default="default", description="Network of the RUN instructions."
    )
    target: Stage | None = Field(default=None, description="Stage to build; without it the last one.")
    builder: Literal["auto", "buildkit", "classic"] = Field(
        default="auto", description="Builder to use; auto: BuildKit if possible."
    )
