"""The contract of `SourceControl`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.errors import GitError, UsageError
from tests.unit.builders import version
from tests.unit.contracts.supply import Rig


def test_a_repository_without_commits_has_no_state(rig: Rig) -> None:
    state = rig.supply.source_control.state(rig.config)
    assert state.commit is None
    assert state.missing


def test_the_state_is_the_commit(rig: Rig) -> None:
    made = rig.commit("one")
    state = rig.supply.source_control.state(rig.config)
    assert (state.commit, state.dirty, state.changed) == (made, False, ())


def test_a_name_is_resolved_to_its_commit(rig: Rig) -> None:
    made = rig.commit("one")
    assert rig.supply.source_control.resolve(rig.config, "one") == made
    assert rig.supply.source_control.resolve(rig.config, made) == made
    with pytest.raises(UsageError, match="'none' is not a commit"):
        rig.supply.source_control.resolve(rig.config, "none")


def test_a_commit_is_checked_out(rig: Rig) -> None:
    made = rig.commit("one")
    with rig.supply.source_control.at(rig.config, made) as (_, building):
        assert building.context_dir.is_dir()
    one = version("v1", git_commit=made)
    with rig.supply.source_control.checkout(rig.config, one, None) as source:
        assert source.context_dir.is_dir()
    rig.supply.source_control.tidy("mymodel")


@pytest.mark.parametrize("commit", ["0123456789" * 4, None])
def test_a_version_without_its_commit_cannot_be_checked_out(rig: Rig, commit: str | None) -> None:
    rig.commit("one")
    lost = replace(version("v1"), git_commit=commit)
    with pytest.raises(GitError), rig.supply.source_control.checkout(rig.config, lost, None):
        pytest.fail("there is nothing to build from")


def test_a_tag_is_written_once_and_never_moved(rig: Rig) -> None:
    first = rig.commit("one")
    rig.write("new")
    second = rig.commit("two")
    git = rig.supply.source_control
    assert git.tag(rig.config, "mymodel/v1", first, "message", "A <a@b>") == (True, "")
    assert git.tag(rig.config, "mymodel/v1", first, "message", "A <a@b>") == (False, "")
    written, why = git.tag(rig.config, "mymodel/v1", second, "message", "A <a@b>")
    assert not written
    assert "is not moved" in why
