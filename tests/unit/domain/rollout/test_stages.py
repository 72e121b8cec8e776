"""The stages of a canary, from text and back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain import durations
from orchestrator.domain.rollout.stages import DEFAULT, Stage, check_rising, parse


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("5% 5m", Stage(500, 300.0)),
        ("0.01% 1ms", Stage(1, 0.001)),
        ("0.5% 1m30s", Stage(50, 90.0)),
        ("99.99% 30d", Stage(9999, 2592000.0)),
        ("29.97% 1h", Stage(2997, 3600.0)),  # 29.97 * 100 is less than 2997 in floating point
        ("007.10% 60s", Stage(710, 60.0)),
    ],
)
def test_stages(text: str, stage: Stage) -> None:
    assert parse(text) == stage


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        *[
            (text, "expected a share and a duration with one space between them")
            for text in ["", "5%", "5m", "5 % 5m", "5%  5m", "5%\t5m", " 5% 5m", "5% 5m ", "5% 1m 5s", "5%5m"]
        ],
        ("5 5m", "expected a share such as 5% or 0.25%, with at most two decimals, got '5'"),
        ("0.125% 5m", "expected a share such as 5% or 0.25%, with at most two decimals, got '0.125%'"),
        (".5% 5m", "expected a share such as 5% or 0.25%, with at most two decimals, got '.5%'"),
        ("5.% 5m", "expected a share such as 5% or 0.25%, with at most two decimals, got '5.%'"),
        ("-5% 5m", "expected a share such as 5% or 0.25%, with at most two decimals, got '-5%'"),
        ("5e1% 5m", "expected a share such as 5% or 0.25%, with at most two decimals, got '5e1%'"),
        ("٥% 5m", "expected a share such as 5% or 0.25%, with at most two decimals, got '٥%'"),
        ("5%\n 5m", "expected a share such as 5% or 0.25%, with at most two decimals, got '5%\\n'"),
        ("5m 5%", "expected a share such as 5% or 0.25%, with at most two decimals, got '5m'"),
        ("0% 5m", "the share must be 0.01% to 99.99%, got 0%"),
        ("0.00% 5m", "the share must be 0.01% to 99.99%, got 0%"),
        ("100% 5m", "the share must be 0.01% to 99.99%, got 100%"),
        ("999.99% 5m", "the share must be 0.01% to 99.99%, got 999.99%"),
        ("5% 5", "expected a duration, got '5'"),
        ("5% 5m\n", "expected a duration, got '5m\\n'"),
        ("5% 31d", "must be at most 30d, got '31d'"),
        ("5% 0.1ms", "must be at least 1ms, got '0.1ms'"),
        ("5% 0s", "the duration must be longer than zero"),
        ("5% " + "1s" * 50, "expected a share and a duration with one space between them"),
    ],
)
def test_not_stages(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        parse(text)


@pytest.mark.parametrize(("share", "seconds"), [(0, 1.0), (-1, 1.0), (10_000, 1.0), (1, 0.0), (1, -1.0)])
def test_there_is_no_other_stage(share: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        Stage(share, seconds)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9999), st.floats(0.001, durations.LONGEST))
def test_what_is_written_is_read_as_the_same(share: int, seconds: float) -> None:
    stage = Stage(share, seconds)
    assert parse(str(stage)) == stage


def test_stages_are_written_as_people_write_them() -> None:
    assert [str(parse(text)) for text in DEFAULT] == list(DEFAULT)
    assert str(parse("29.97% 90s")) == "29.97% 90s"


def test_shares_rise() -> None:
    check_rising([])
    check_rising([parse(text) for text in DEFAULT])
    for shares, words in (((500, 500), "5% follows 5%"), ((1, 2, 1, 3), "0.01% follows 0.02%")):
        with pytest.raises(ValueError, match=f"^the shares must rise: {words}$"):
            check_rising([Stage(share, 1.0) for share in shares])
