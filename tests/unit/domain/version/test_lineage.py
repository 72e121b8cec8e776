"""The tree of versions, also when the ledger is damaged."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.version.lineage import Node, ancestors, kept, rollback_target, stable_beside, tree
from orchestrator.domain.version.version import Version
from tests.unit.builders import chain, version


def names(versions: list[Version]) -> list[str]:
    return [item.name for item in versions]


def shape(nodes: tuple[Node, ...]) -> list[object]:
    return [[node.version.name, *shape(node.children)] for node in nodes]


def test_ancestors_nearest_first() -> None:
    assert names(ancestors(chain(4), "v4")) == ["v3", "v2", "v1"]
    assert names(ancestors(chain(4), "v1")) == []


def test_an_unknown_version_or_parent_ends_the_walk() -> None:
    assert ancestors(chain(2), "v9") == []
    assert names(ancestors({"v2": version("v2", "v1"), "v3": version("v3", "v2")}, "v3")) == ["v2"]


def test_a_cycle_ends_the_walk() -> None:
    circle = {"v1": version("v1", "v3"), "v2": version("v2", "v1"), "v3": version("v3", "v2")}
    assert names(ancestors(circle, "v3")) == ["v2", "v1"]
    assert ancestors({"v1": version("v1", "v1")}, "v1") == []


def test_other_targets_are_stable_good_and_kept() -> None:
    versions = {**chain(10), "v11": version("v11", "v10", stable=False)}
    versions["v2"] = replace(versions["v2"], bad_at="2031-01-01T00:00:00.000Z")
    versions["v9"] = replace(versions["v9"], pruned_at="2031-01-01T00:00:00.000Z")
    assert stable_beside(versions, "v8") == ["v10", "v7", "v6", "v5", "v4", "v3", "v1"]
    assert stable_beside(chain(1), "v1") == []


def test_the_rollback_target_is_the_last_stable_version_up_the_tree() -> None:
    versions = {**chain(2), "v3": version("v3", "v2", stable=False), "v4": version("v4", "v3")}
    target = rollback_target(versions, "v4")
    assert target is not None
    assert target.name == "v2"


def test_a_newer_version_outside_the_lineage_is_not_the_target() -> None:
    # v3 was released after v2 and rolled back; the parent of v4 is v2.
    versions = {**chain(3), "v4": version("v4", "v2")}
    target = rollback_target(versions, "v4")
    assert target is not None
    assert target.name == "v2"


def test_without_a_stable_ancestor_there_is_no_target() -> None:
    assert rollback_target(chain(3), None) is None
    assert rollback_target(chain(3), "v1") is None
    assert rollback_target({"v1": version("v1", stable=False), "v2": version("v2", "v1")}, "v2") is None


def test_the_tree_is_ordered_by_numbers() -> None:
    versions = {**chain(2), "v10": version("v10", "v1"), "v3": version("v3", "v1"), "v4": version("v4", "v0")}
    assert shape(tree(versions)) == [["v1", ["v2"], ["v3"], ["v10"]], ["v4"]]


def test_a_version_that_is_its_own_parent_is_a_root() -> None:
    assert shape(tree({"v1": version("v1", "v1"), "v2": version("v2", "v1")})) == [["v1", ["v2"]]]


def test_retention_keeps_the_newest_versions_that_were_live() -> None:
    versions = {**chain(6), "v7": version("v7", "v6", live=False)}
    assert kept(versions, "v6", set(), 2) == {"v5", "v6"}
    assert kept(versions, "v6", {"v1"}, 2) == {"v1", "v5", "v6"}


def test_versions_that_went_bad_or_were_left_by_a_rollback_go_first() -> None:
    versions = chain(6)
    versions["v5"] = replace(versions["v5"], bad_at="2031-01-01T00:00:00.000Z")
    versions["v4"] = replace(versions["v4"], stable_at=None)
    assert kept(versions, "v6", set(), 3) == {"v2", "v3", "v6"}
    assert kept(versions, "v6", set(), 3, rolled_back={"v2"}) == {"v1", "v3", "v6"}
    assert kept(versions, "v6", {"v5"}, 3, rolled_back={"v2"}) == {"v1", "v3", "v5", "v6"}


def test_retention_keeps_the_rollback_target_however_old_it_is() -> None:
    versions = {
        **chain(1),
        **{f"v{n}": version(f"v{n}", "v1", stable=False) for n in range(2, 9)},
        "v9": version("v9", "v8"),
    }
    assert kept(versions, "v9", set(), 2) == {"v1", "v9"}


@st.composite
def lineages(draw: st.DrawFn) -> dict[str, Version]:
    """Versions with any parents: unknown ones, themselves, each other."""
    numbers = draw(st.lists(st.integers(0, 12), unique=True, max_size=10))
    versions = {}
    for number in numbers:
        parent = draw(st.none() | st.integers(0, 14).map("v{}".format))
        live = draw(st.booleans())
        pruned = "2031-01-01T00:00:00.000Z" if draw(st.booleans()) else None
        versions[f"v{number}"] = version(f"v{number}", parent, live=live, stable=draw(st.booleans()), pruned_at=pruned)
    return versions


@given(lineages(), st.data(), st.integers(2, 6))
def test_retention_always_keeps_the_live_the_warm_and_the_target(
    versions: dict[str, Version], data: st.DataObject, limit: int
) -> None:
    live = data.draw(st.none() | st.sampled_from(sorted(versions) or ["v1"]))
    warm = set(data.draw(st.lists(st.sampled_from(sorted(versions) or ["v1"]), max_size=2)))
    keep = kept(versions, live, warm, limit)
    assert warm <= keep
    assert live is None or live in keep
    target = rollback_target(versions, live)
    assert target is None or target.name in keep
    # Nothing else is kept.
    assert len(keep) <= limit + len(warm) + 2


@given(lineages())
def test_the_list_of_ancestors_ends_and_has_no_version_twice(versions: dict[str, Version]) -> None:
    for name in versions:
        above = names(ancestors(versions, name))
        assert len(above) == len(set(above))
        assert name not in above
        target = rollback_target(versions, name)
        assert target is None or (target.stable_at and target.name in above)


@given(lineages())
def test_the_tree_shows_no_version_twice(versions: dict[str, Version]) -> None:
    def flat(nodes: tuple[Node, ...]) -> list[str]:
        return [name for node in nodes for name in (node.version.name, *flat(node.children))]

    shown = flat(tree(versions))
    assert len(shown) == len(set(shown))
    assert set(shown) <= set(versions)
    for name, item in versions.items():
        if item.parent not in versions:
            assert name in shown


@given(st.lists(st.none() | st.integers(0, 20), min_size=1, max_size=12))
def test_without_a_cycle_the_tree_shows_every_version(parents: list[int | None]) -> None:
    def count(nodes: tuple[Node, ...]) -> int:
        return sum(1 + count(node.children) for node in nodes)

    # A parent is older than its children, or unknown.
    versions = {
        f"v{n}": version(f"v{n}", None if parent is None else f"v{parent if parent < n else parent + 100}")
        for n, parent in enumerate(parents)
    }
    assert count(tree(versions)) == len(versions)


def test_a_pruned_version_is_not_the_target() -> None:
    # v2 was pruned while v1 was live; v3, whose parent it is, was released again.
    versions = {
        "v1": version("v1", stable=True),
        "v2": version("v2", "v1", stable=True, pruned_at="2031-01-01T00:00:00.000Z"),
        "v3": version("v3", "v2", stable=True),
    }
    target = rollback_target(versions, "v3")
    assert target is not None
    assert target.name == "v1"
    assert "v1" in kept(versions, "v3", set(), 1)


class _Recorded(dict[str, Version]):
    """Records which versions were looked up."""

    def __init__(self, *given: dict[str, Version]) -> None:
        super().__init__(*given)
        self.names: list[str] = []

    def get(self, name: str, otherwise: Version | None = None) -> Version | None:  # type: ignore[override]
        self.names.append(name)
        return super().get(name, otherwise)


def test_finding_a_near_target_does_not_walk_the_whole_history() -> None:
    versions = _Recorded(chain(1000))
    target = rollback_target(versions, "v1000")
    assert target is not None
    assert target.name == "v999"
    assert versions.names == ["v1000", "v999"]
