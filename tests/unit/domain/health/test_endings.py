"""How containers end, in words."""

from __future__ import annotations

import pytest

from orchestrator.domain.health.endings import Ending, hint


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "exit code 0"),
        (1, "exit code 1"),
        (127, "exit code 127"),
        (128, "exit code 128"),
        (132, "exit code 132 (SIGILL, illegal instruction)"),
        (134, "exit code 134 (SIGABRT, aborted)"),
        (135, "exit code 135 (SIGBUS, bus error)"),
        (136, "exit code 136 (SIGFPE, arithmetic error)"),
        (137, "exit code 137 (SIGKILL, killed)"),
        (139, "exit code 139 (SIGSEGV, segmentation fault)"),
        (143, "exit code 143 (SIGTERM, terminated)"),
        (159, "exit code 159 (SIGSYS, bad system call)"),
        (160, "exit code 160 (signal 32)"),
        (192, "exit code 192 (SIGRTMAX)"),
        (193, "exit code 193"),
        (255, "exit code 255"),
    ],
)
def test_signals_are_named(code: int, text: str) -> None:
    assert str(Ending(code)) == text


def test_memory_is_named_whatever_the_exit_code_is() -> None:
    assert str(Ending(137, out_of_memory=True)).startswith("exit code 137 (out of memory")
    assert str(Ending(1, out_of_memory=True)).startswith("exit code 1 (out of memory")


def test_the_hint_for_memory_names_the_limit() -> None:
    assert hint(Ending(137, out_of_memory=True), 64 << 20).startswith("increase run.memory (now 64 MiB)")
    assert hint(Ending(137, out_of_memory=True), 3 << 29).startswith("increase run.memory (now 1.5 GiB)")
    assert "the host has too little memory" in hint(Ending(137, out_of_memory=True), None)


@pytest.mark.parametrize(
    ("code", "part"), [(137, "run.memory"), (132, "AVX"), (135, "run.shm_size"), (159, "seccomp"), (139, ""), (1, "")]
)
def test_the_hint_for_a_signal(code: int, part: str) -> None:
    found = hint(Ending(code), None)
    assert part in found
    assert bool(found) is bool(part)
