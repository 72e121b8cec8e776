"""Manifests and deltas: M_n = M_(n-1) + ΔM_n holds exactly for every version."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.version import manifest
from orchestrator.domain.version.build import Layer
from orchestrator.domain.version.manifest import EMPTY, Delta, File, Manifest, apply, delta, new_bytes, read

PATHS = st.one_of(
    st.sampled_from(["context/a", "context/b/c", "model/w.bin", "model/x"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).map("model/".__add__),
)
DIGESTS = st.sampled_from([hashlib.sha256(bytes([n])).hexdigest() for n in range(4)])
PLAIN = st.builds(
    File, PATHS, st.just("file"), st.sampled_from(["0644", "0755"]), st.integers(0, 2**63 - 1), DIGESTS, st.just("")
)
LINKS = st.builds(File.link, PATHS, st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
BUILDS = st.dictionaries(st.sampled_from(["dockerfile", "target", "args"]), st.text(max_size=3), max_size=3)
MANIFESTS = st.builds(Manifest.of, st.lists(st.one_of(PLAIN, LINKS), max_size=8), BUILDS)


@given(MANIFESTS, MANIFESTS)
def test_applying_the_delta_gives_the_other_manifest(before: Manifest, after: Manifest) -> None:
    made = apply(before, delta(before, after))
    assert made == after
    assert made.digest == after.digest


@given(MANIFESTS, MANIFESTS)
def test_a_delta_contains_only_differences(before: Manifest, after: Manifest) -> None:
    change = delta(before, after)
    assert delta(after, after) == Delta()
    assert all(before.files.get(file.path) != file for file in change.changed)
    assert not set(change.removed) & after.files.keys()
    assert {file.path for file in change.changed} | set(change.removed) == {
        path for path in before.files.keys() | after.files.keys() if before.files.get(path) != after.files.get(path)
    }


@given(st.lists(MANIFESTS, min_size=1, max_size=6))
def test_a_manifest_is_the_sum_of_the_deltas_of_its_lineage(line: list[Manifest]) -> None:
    made = EMPTY
    for before, after in zip([EMPTY, *line], line, strict=False):
        made = apply(made, delta(before, after))
        assert made == after


@given(MANIFESTS)
def test_the_text_gives_the_same_manifest_and_digest(one: Manifest) -> None:
    again = read(one.text)
    assert again == one
    assert again.text == one.text
    assert again.digest == one.digest == manifest.identity(one.text)


@given(MANIFESTS, MANIFESTS)
def test_the_digest_is_an_identity(one: Manifest, two: Manifest) -> None:
    assert (one.digest == two.digest) == (one == two)


@given(MANIFESTS, MANIFESTS)
def test_new_bytes_count_each_content_once(before: Manifest, after: Manifest) -> None:
    known = {file.digest for file in before.files.values()}
    sizes = {file.digest: file.size for file in after.files.values()}
    assert new_bytes(before, after) == sum(size for digest, size in sizes.items() if digest not in known)
    assert new_bytes(after, after) == 0


def test_a_delta_of_another_manifest_is_refused() -> None:
    with pytest.raises(ValueError, match="the change removes context/a, which does not exist"):
        apply(EMPTY, Delta(removed=("context/a",)))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"schema":2,"build":{},"files":[]}', '{"schema":1,"files":3}']
)
def test_invalid_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


def test_any_difference_changes_the_digest() -> None:
    file = File("model/w", "file", "0644", 1, "0" * 64)
    one = Manifest.of([file], {})
    for other in (replace(file, mode="0755"), replace(file, size=2), replace(file, path="model/v")):
        assert Manifest.of([other], {}).digest != one.digest


def test_context_and_model_are_distinguished_by_prefix() -> None:
    one = Manifest.of([File.link("model/a", "b"), File.link("context/model/a", "c")], {})
    assert list(one.below("model/")) == ["a"]
    assert list(one.below("context/")) == ["model/a"]


# --- of an image ------------------------------------------------------------------------------------------------------

BASE = [Layer(f"sha256:{'a' * 64}", 100), Layer(f"sha256:{'b' * 64}", 20)]
WEIGHTS = File("model/w.bin", "file", "0644", 3, "c" * 64)


def test_the_manifest_of_an_image_lists_its_layers() -> None:
    made = manifest.of_image("sha256:1", BASE, [WEIGHTS])
    assert list(made.files) == ["image/layer-001", "image/layer-002", "model/w.bin"]
    assert made.files["image/layer-001"] == File("image/layer-001", "layer", "", 100, "a" * 64)
    assert made.build == {"image": "sha256:1"}
    assert read(made.text) == made
    assert made == manifest.of_image("sha256:1", BASE, [WEIGHTS])


def test_the_delta_of_two_images_is_the_layers_that_changed() -> None:
    new = [BASE[0], Layer(f"sha256:{'d' * 64}", 21), Layer(f"sha256:{'e' * 64}", 1)]
    before, after = manifest.of_image("sha256:1", BASE, ()), manifest.of_image("sha256:2", new, ())
    change = delta(before, after)
    assert [file.path for file in change.changed] == ["image/layer-002", "image/layer-003"]
    assert change.build == {"image": "sha256:2"}
    assert apply(before, change) == after
    assert delta(after, before).removed == ("image/layer-003",)
