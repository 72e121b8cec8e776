"""Immutable records behave like those of `dataclass(frozen=True)`."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest

from orchestrator.frozen import frozen


@frozen
class Point:
    """A record with a default, a field that is not compared, one that is not hashed and one that is not shown."""

    x: int
    y: int = 0
    note: str = field(default="", compare=False)
    tags: dict[str, int] = field(default_factory=dict, hash=False)
    secret: str = field(default="", repr=False)


@frozen
class Point3(Point):
    """A record that inherits fields."""

    z: int = 0


@frozen
class Nothing:
    """A record without fields."""


@frozen
class Own:
    """A record with its own comparison and check."""

    name: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("empty")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and self.name.lower() == other.name.lower()

    def __hash__(self) -> int:
        return hash(self.name.lower())


@dataclass(frozen=True)
class Reference:
    """What `Point` must agree with."""

    x: int
    y: int = 0
    note: str = field(default="", compare=False)
    tags: dict[str, int] = field(default_factory=dict, hash=False)
    secret: str = field(default="", repr=False)


CASES: list[dict[str, Any]] = [
    {"x": 1},
    {"x": 1, "y": 2},
    {"x": 1, "note": "a"},
    {"x": 1, "tags": {"a": 1}},
    {"x": 1, "secret": "s"},
]


@pytest.mark.parametrize("one", CASES)
@pytest.mark.parametrize("other", CASES)
def test_it_compares_and_hashes_like_a_dataclass(one: dict[str, Any], other: dict[str, Any]) -> None:
    equal = Reference(**one) == Reference(**other)
    assert (Point(**one) == Point(**other)) is equal
    if equal:
        assert hash(Point(**one)) == hash(Point(**other))


@pytest.mark.parametrize("arguments", CASES)
def test_it_prints_like_a_dataclass(arguments: dict[str, Any]) -> None:
    assert repr(Point(**arguments)) == repr(Reference(**arguments)).replace("Reference", "Point")


def test_records_of_different_types_differ() -> None:
    assert Point(1) != Point3(1)
    assert Point(1) != Reference(1)
    assert Point3(1, z=2) == Point3(1, z=2)
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    assert repr(Nothing()) == "Nothing()"


def test_own_methods_stay() -> None:
    assert Own("A") == Own("a")
    assert hash(Own("A")) == hash(Own("a"))
    with pytest.raises(ValueError, match="empty"):
        Own("")


def test_a_field_is_set_once() -> None:
    point = Point(1)
    with pytest.raises(FrozenInstanceError, match="'x'"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError, match="'other'"):
        point.other = 2  # type: ignore[attr-defined]
    with pytest.raises(FrozenInstanceError, match="'x'"):
        del point.x
    assert replace(point, x=2) == Point(2)
    with pytest.raises(TypeError, match="missing 1 required"):
        Point()  # type: ignore[call-arg]
