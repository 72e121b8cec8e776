"""Reports as JSON: the document of a report, and the JSON Schema of a report's type. Pure.

A report is an immutable record. Its fields are the fields of its document, in the same order and with the same names; a
field whose name is a Python keyword ends with an underscore (`from_`), which the document omits. A tuple is an
array, a mapping an object with these keys, another record an object, None is null.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA_VERSION = 1
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SIMPLE = {str: "string", bool: "boolean", int: "integer", float: "number", types.NoneType: "null"}


def key(name: str) -> str:
    """The name that a dataclass's field has in a document."""
    return name.removesuffix("_")


def document(report: DataclassInstance) -> dict[str, Any]:
    """What `--json` prints of a report."""
    return {"schema_version": SCHEMA_VERSION, **_plain(report)}


def _plain(value: Any) -> Any:
    # Without comprehensions, which would add a frame per level: a tree of 200 versions is 400 levels deep.
    if is_dataclass(value) and not isinstance(value, type):
        record = {}
        for field in fields(value):
            record[key(field.name)] = _plain(getattr(value, field.name))
        return record
    if isinstance(value, Mapping):
        mapping = {}
        for name, inner in value.items():
            mapping[str(name)] = _plain(inner)
        return mapping
    if isinstance(value, (list, tuple)):
        array = []
        for inner in value:
            array.append(_plain(inner))
        return array
    return value


def schema(report_type: type[DataclassInstance]) -> dict[str, Any]:
    """The JSON Schema of a report's documents, made from its type. Documents may grow: other fields are allowed."""
    definitions: dict[str, Any] = {}
    body = _object(report_type, definitions)
    properties = {"schema_version": {"const": SCHEMA_VERSION}, **body["properties"]}
    required = ["schema_version", *body["required"]]
    whole = {"$schema": _DIALECT, "title": report_type.__name__, **body, "properties": properties, "required": required}
    return {**whole, "$defs": dict(sorted(definitions.items()))} if definitions else whole


def _object(record_type: type[DataclassInstance], definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(record_type)
    names = [field.name for field in fields(record_type)]
    return {
        "type": "object",
        "description": " ".join(cleandoc(record_type.__doc__ or "").split()),
        "properties": {key(name): _value(hints[name], definitions) for name in names},
        "required": [key(name) for name in names],
    }


def _value(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field's type; the records that it names are added to `definitions`.

    Raises:
        TypeError: a report cannot have a field of this type.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return {}
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_value(each, definitions) for each in arguments]}
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return {"type": "array", "items": _value(arguments[0], definitions)}
    if origin is Mapping and arguments[0] is str:
        return {"type": "object", "additionalProperties": _value(arguments[1], definitions)}
    if isinstance(hint, type) and is_dataclass(hint):
        name = hint.__name__
        if name not in definitions:
            definitions[name] = {}  # a record may hold records of its own type
            definitions[name] = _object(hint, definitions)
        return {"$ref": f"#/$defs/{name}"}
    raise TypeError(f"a report cannot have a field of the type {hint!r}")
