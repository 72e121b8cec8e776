"""[health]: when a version is ready for traffic."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from orchestrator.config import values as read
from orchestrator.config.section import Section
from orchestrator.config.types import Duration, ModelName, PresetName, written

DEFAULT_HEALTH_PATH = "/healthz"


class Health(Section):
    """When a version is ready for traffic."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["path", "preset"]}})

    path: Annotated[str, AfterValidator(read.url_path)] | None = Field(
        default=None,
        description=f"Path that answers 2xx when the model is ready; {DEFAULT_HEALTH_PATH} without a preset.",
    )
    preset: PresetName | None = Field(default=None, description="Type of the model server, instead of a path.")
    model: ModelName | None = Field(default=None, description="Name of the model that the preset asks about.")
    live_path: Annotated[str, AfterValidator(read.url_path)] | None = Field(
        default=None, description="Path that says whether the process lives; else any answer to a probe says so."
    )
    host: Annotated[str, AfterValidator(read.probe_host)] | None = Field(
        default=None,
        description='Host of every probe; default: the first proxy.host without "*", else "localhost".',
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="Port of the health path, when it is not app.port."
    )
    interval: Duration = written(0.5, "500ms", "Pause between two probes.")
    timeout: Duration = written(2.0, "2s", "Hard limit on one whole probe.")
    successes: int = Field(default=2, ge=1, le=100, description="Successful probes in a row that make a version ready.")
    deadline: Duration = written(300.0, "5m", "Time for a version to become ready.")

    @model_validator(mode="before")
    @classmethod
    def _default_path(cls, data: Any) -> Any:
        if isinstance(data, dict) and "path" not in data and "preset" not in data:
            return {**data, "path": DEFAULT_HEALTH_PATH}
        return data
