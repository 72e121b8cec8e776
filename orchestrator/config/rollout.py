"""[rollout]: how a version goes live."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from orchestrator.config.explain import Invalid, describe
from orchestrator.config.section import Section
from orchestrator.config.types import Duration, DurationOrZero, written
from orchestrator.domain.durations import PATTERN
from orchestrator.domain.rollout.stages import DEFAULT, SHARE, Stage, check_rising, parse

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
"""The methods of HTTP, without CONNECT: a tunnel has no answer that another version could give."""

_STAGE_HINT = 'write a share and a duration: "5% 5m"'
_CANARY: dict[str, Any] = {"properties": {"strategy": {"const": "canary"}}, "required": ["strategy"]}
_NO_STAGES: dict[str, Any] = {"not": {"required": ["stages"]}, "properties": {"approve": {"const": False}}}


def _stage(value: object) -> Stage:
    """The stage that a text such as "5% 5m" describes."""
    if not isinstance(value, str):
        raise Invalid(f"expected text, got {describe(value)}", _STAGE_HINT)
    try:
        return parse(value)
    except ValueError as error:
        raise Invalid(f"not a stage: {error}", _STAGE_HINT) from None


def _rising(value: list[Stage]) -> list[Stage]:
    try:
        check_rising(value)
    except ValueError as error:
        raise Invalid(str(error), "after the last stage the version gets all requests") from None
    return value


Stages = Annotated[
    list[
        Annotated[
            Stage,
            PlainValidator(_stage),
            PlainSerializer(str, return_type=str),
            WithJsonSchema({"type": "string", "pattern": f"^{SHARE} {PATTERN.strip('^$')}$"}),
        ]
    ],
    AfterValidator(_rising),
]


def _methods(value: list[Method]) -> list[Method]:
    """At least one method, and none of them twice."""
    if not value:
        raise Invalid("must not be empty", "write shield = false to ask no other version")
    twice = [method for index, method in enumerate(value) if method in value[:index]]
    if twice:
        raise Invalid(f"{twice[0]!r} is in the list twice", "remove one")
    return value


class Rollout(Section):
    """How a version goes live."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_CANARY, _NO_STAGES]})

    strategy: Literal["blue-green", "canary", "recreate"] = Field(
        default="blue-green", description="How traffic moves to the new version."
    )
    stages: Stages = Field(
        default=[],
        description="Shares of the new version, each with its duration; canary only.",
        json_schema_extra={"default": list(DEFAULT)},
    )
    approve: bool = Field(default=False, description="Whether each stage waits for a person; canary only.")
    shield: bool = Field(
        default=True, description="Whether the older version answers requests that fail on the newer one."
    )
    shield_methods: Annotated[list[Method], AfterValidator(_methods)] = Field(
        default=["GET", "HEAD", "POST", "OPTIONS"], description="Methods of requests that may be retried."
    )
    patience: Duration = written(
        30.0, "30s", "Time for the newer version to start its response; proxy.timeout limits it too."
    )
    settle: DurationOrZero = written(3.0, "3s", "How long a new version is watched closely after the switch.")
    hold: Duration = written(60.0, "60s", "Longest time that a request is held.")
    keep_warm: DurationOrZero = written(600.0, "10m", "How long the previous version keeps running.")
    bake: DurationOrZero = written(0.0, "0s", "How long a new version is watched before it becomes stable.")

    @model_validator(mode="before")
    @classmethod
    def _default_stages(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("strategy") == "canary" and "stages" not in data:
            return {**data, "stages": list(DEFAULT)}
        return data
