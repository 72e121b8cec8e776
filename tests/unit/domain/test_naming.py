"""Names and versions: two state folders never share a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import naming
from orchestrator.domain.naming import Names


def test_the_default_folder_has_plain_names() -> None:
    names = Names.of("/var/lib/deployctl")
    assert names.state_id == "default"
    assert names.network == "deployctl"
    assert names.proxy == "deployctl-proxy"
    assert names.container("mymodel", "v2", "green", 1) == "mymodel-v2-green-1"


folders = st.text("abc/._-", min_size=1, max_size=12).map(lambda text: f"/{text}")


@given(folders, folders)
def test_two_folders_never_share_a_name(one: str, two: str) -> None:
    first, second = Names.of(one), Names.of(two)
    if one == two:
        assert first == second
        return
    for left, right in (
        (first.network, second.network),
        (first.proxy, second.proxy),
        (first.container("a", "v1", "blue", 1), second.container("a", "v1", "blue", 1)),
    ):
        assert left != right


def test_another_folder_has_its_digest_in_every_name() -> None:
    names = Names.of("/srv/state")
    assert len(names.state_id) == 8
    for name in (names.network, names.proxy, names.container("a", "v1", "blue", 1)):
        assert name.endswith(f"-{names.state_id}")


@pytest.mark.parametrize("text", ["v0", "v1", "v42", "v123456789"])
def test_valid_versions(text: str) -> None:
    assert naming.is_version(text)


@pytest.mark.parametrize("text", ["", "v", "1", "v01", "V1", "v1 ", " v1", "v1\n", "v1.0", "v-1", "vv1", "v1234567890"])
def test_invalid_versions(text: str) -> None:
    assert not naming.is_version(text)


@pytest.mark.parametrize(
    ("existing", "expected"), [([], "v1"), (["v1"], "v2"), (["v9", "v10"], "v11"), (["v3", "v1"], "v4")]
)
def test_the_next_version(existing: list[str], expected: str) -> None:
    assert naming.next_version(existing) == expected


@given(st.lists(st.integers(0, 10**9 - 2).map("v{}".format)))
def test_the_next_version_is_new_and_a_version(existing: list[str]) -> None:
    name = naming.next_version(existing)
    assert naming.is_version(name)
    assert name not in existing


def test_the_name_of_an_image() -> None:
    assert naming.image("mymodel", "v2") == "mymodel:v2"
