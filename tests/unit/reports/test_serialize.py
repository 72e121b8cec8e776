"""Reports as JSON: documents, schemas, and the page that describes them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from orchestrator.errors import ConfigError, Finding, UsageError
from orchestrator.reports.catalog import REPORTS, report_schema
from orchestrator.reports.error import error_report
from orchestrator.reports.notify import notify_report
from orchestrator.reports.serialize import document, key, schema
from tests.unit.reports.conforming import conforms

PAGE = (Path(__file__).parents[3] / "docs" / "json.md").read_text()


@dataclass(frozen=True)
class Leaf:
    """One thing."""

    size: int
    kind: Literal["file", "link"]


@dataclass(frozen=True)
class Report:
    """A report for tests.

    It has a second line.
    """

    from_: str | None
    leaves: tuple[Leaf, ...]
    by_name: Mapping[str, Leaf]
    share: float
    detail: Any
    parts: tuple[Report, ...] = ()


MADE = Report(None, (Leaf(1, "file"),), {"a": Leaf(2, "link")}, 0.5, {"x": [1]}, (Report("v1", (), {}, 1.0, None),))


# --- documents and schemas ---------------------------------------------------------------------------------------


def test_a_document_has_the_fields_of_its_report() -> None:
    empty = {"leaves": [], "by_name": {}, "share": 1.0, "detail": None, "parts": []}
    assert document(MADE) == {
        "schema_version": 1,
        "from": None,
        "leaves": [{"size": 1, "kind": "file"}],
        "by_name": {"a": {"size": 2, "kind": "link"}},
        "share": 0.5,
        "detail": {"x": [1]},
        "parts": [{"from": "v1", **empty}],
    }


def test_a_schema_is_made_from_the_type() -> None:
    body = schema(Report)
    assert body["description"] == "A report for tests. It has a second line."
    assert body["required"] == ["schema_version", "from", "leaves", "by_name", "share", "detail", "parts"]
    assert body["properties"]["from"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert body["properties"]["by_name"] == {"type": "object", "additionalProperties": {"$ref": "#/$defs/Leaf"}}
    assert body["$defs"]["Leaf"]["properties"]["kind"] == {"enum": ["file", "link"]}
    assert set(body["$defs"]) == {"Leaf", "Report"}


def test_a_type_that_json_does_not_have_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd:
        value: bytes

    with pytest.raises(TypeError, match="cannot have a field of the type <class 'bytes'>"):
        schema(Odd)


@pytest.mark.parametrize(
    "wrong", [{"share": "much"}, {"from": 1}, {"leaves": [{"size": 1, "kind": "tree"}]}, {"by_name": {"a": {}}}]
)
def test_the_schema_tells_wrong_documents_from_right_ones(wrong: dict[str, Any]) -> None:
    assert conforms(document(MADE), schema(Report)) == []
    assert conforms({**document(MADE), **wrong}, schema(Report)) != []


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_is_a_frozen_record_with_a_schema(name: str) -> None:
    body = report_schema(name)
    records = [body, *body.get("$defs", {}).values()]
    assert all(record["description"] for record in records)
    for record_type in _record_types(REPORTS[name], set()):
        assert record_type.__setattr__ is not object.__setattr__, record_type


def test_an_unknown_report_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown report 'weather'"):
        report_schema("weather")


def test_an_error_lists_its_findings() -> None:
    body = document(error_report(ConfigError("deploy.toml", [Finding("app.name", "is missing", "add it")])))
    assert body["error"]["findings"] == [{"path": "app.name", "message": "is missing", "hint": "add it"}]
    assert conforms(body, report_schema("error")) == []


def test_a_notification_counts_what_was_delivered() -> None:
    body = document(notify_report("mymodel", (None, "refused", None), ("odd",)))
    assert body == {
        "schema_version": 1,
        "app": "mymodel",
        "urls": 3,
        "delivered": 2,
        "failed": [{"number": 2, "why": "refused"}],
        "problems": ["odd"],
    }


# --- docs/json.md ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPORTS)
def test_the_page_describes_exactly_the_fields_of_each_report(name: str) -> None:
    described = described_fields(name)
    assert len(described) == len(set(described)), "a field is described twice"
    assert set(described) == set(_paths(REPORTS[name], ()))


def described_fields(name: str) -> list[str]:
    """The paths in the first column of the table `field | value` below the heading that names the report."""
    sections = re.split(r"^#{2,3} (.*)$", PAGE, flags=re.MULTILINE)[1:]
    (text,) = (text for title, text in zip(sections[::2], sections[1::2], strict=True) if name in title.split(", "))
    _, table = text.split("| field | value |\n|---|---|\n")
    rows = table.split("\n\n")[0].splitlines()
    return [path for row in rows for path in re.findall(r"`([^`]+)`", row.split("|")[1])]


def _paths(record_type: type, above: tuple[type, ...]) -> Iterator[str]:
    hints = get_type_hints(record_type)
    for field in fields(record_type):
        inner, many = _element(hints[field.name])
        path = key(field.name) + ("[]" if many else "")
        yield path
        if is_dataclass(inner) and inner not in (*above, record_type):
            yield from (f"{path}.{below}" for below in _paths(inner, (*above, record_type)))


def _element(hint: Any) -> tuple[Any, bool]:
    """The type of a field, or of the elements of a list; without None."""
    options = [each for each in get_args(hint) if each is not type(None)]
    if type(None) in get_args(hint) and len(options) == 1:
        hint = options[0]
    return (get_args(hint)[0], True) if get_origin(hint) is tuple else (hint, False)


def _record_types(record_type: type, seen: set[type]) -> set[type]:
    seen.add(record_type)
    for hint in get_type_hints(record_type).values():
        inner, _ = _element(hint)
        if is_dataclass(inner) and inner not in seen:
            _record_types(inner, seen)  # type: ignore[arg-type]
    return seen
