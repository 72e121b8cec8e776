"""Runs deployctl with temporary files that have the same names in each run: strace finds calls by whole paths."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from orchestrator import files
from orchestrator.cli.main import main

COUNTS: Counter[Path] = Counter()


def numbered(path: Path) -> Path:
    """The next temporary file of a file: with a number instead of random digits, and as many."""
    COUNTS[path] += 1
    return path.with_name(f"{files._start(path)}{COUNTS[path]:0{2 * files._RANDOM}x}{files.TEMPORARY}")


if __name__ == "__main__":
    files._temporary = numbered
    main()
