"""A machine whose programs and files are fakes in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.schedules import Machine, Programs


@pytest.fixture
def programs() -> Programs:
    return Programs()


@pytest.fixture
def machine(tmp_path: Path, programs: Programs) -> Machine:
    return Machine(tmp_path, programs)
