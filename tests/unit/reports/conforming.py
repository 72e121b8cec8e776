"""Whether a document conforms to a JSON Schema, for the part of JSON Schema that reports use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "null": lambda value: value is None,
}


def conforms(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """Where a document differs from a schema; empty when it conforms."""
    return _differences(value, schema, schema.get("$defs", {}), "$")


def _differences(value: Any, schema: Mapping[str, Any], definitions: Mapping[str, Any], path: str) -> list[str]:
    if "$ref" in schema:
        return _differences(value, definitions[schema["$ref"].rpartition("/")[2]], definitions, path)
    if "anyOf" in schema:
        tries = [_differences(value, each, definitions, path) for each in schema["anyOf"]]
        return [] if [] in tries else [difference for each in tries for difference in each]
    if "const" in schema:
        return [] if value == schema["const"] else [f"{path}: {value!r} is not {schema['const']!r}"]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{path}: {value!r} is not one of {schema['enum']}"]
    if "type" in schema and not _TYPES[schema["type"]](value):
        return [f"{path}: {value!r} is not of type {schema['type']}"]
    differences = []
    if isinstance(value, list) and "items" in schema:
        for number, inner in enumerate(value):
            differences += _differences(inner, schema["items"], definitions, f"{path}[{number}]")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        differences += [f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        if properties:
            # A new field must be added to the schema.
            differences += [f"{path}: {name} is not in the schema" for name in value.keys() - properties.keys()]
        for name, inner in value.items():
            inside = properties.get(name, schema.get("additionalProperties", {}))
            differences += _differences(inner, inside, definitions, f"{path}.{name}")
    return differences
