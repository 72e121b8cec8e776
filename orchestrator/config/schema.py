"""The JSON Schema of deploy.toml, for editors."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from orchestrator.config.config import Config


def json_schema() -> dict[str, Any]:
    """The JSON Schema of deploy.toml, for editors."""
    schema = Config.model_json_schema(schema_generator=_FileSchema)
    described = "deploy.toml of deployctl: what an app is, how it is built, run, probed and routed."
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **schema,
        "title": "deploy.toml",
        "description": described,
    }


class _FileSchema(GenerateJsonSchema):
    """TOML has no null: what is optional is left out."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
