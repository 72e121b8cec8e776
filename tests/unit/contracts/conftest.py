"""Runs each contract test on the fake and on the real adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.contracts.supply import Rig, make_rig


@pytest.fixture(params=["fake", "real"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return make_rig(request.param, tmp_path)
