"""Which images an engine can run."""

from __future__ import annotations

import pytest

from orchestrator.domain.version.platforms import runs


@pytest.mark.parametrize(
    ("engine", "images", "expected"),
    [
        ("linux/amd64", ["linux/amd64"], True),
        ("linux/amd64", ["linux/386"], True),
        ("linux/386", ["linux/amd64"], False),
        ("linux/amd64", ["linux/arm64"], False),
        ("linux/amd64", ["linux/arm64/v8", "linux/amd64"], True),
        ("linux/arm64", ["linux/arm/v7"], True),
        ("linux/arm64", ["linux/arm64/v8"], True),
        ("linux/arm", ["linux/arm64"], False),
        ("linux/amd64", ["windows/amd64"], False),
        ("linux/amd64", [], True),
        ("linux/amd64", [""], True),
        ("", ["linux/arm64"], True),
        ("linux/s390x", ["linux"], False),
    ],
)
def test_which_images_run(engine: str, images: list[str], expected: bool) -> None:
    assert runs(engine, images) is expected
