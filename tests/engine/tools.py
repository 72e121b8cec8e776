"""Programs that are not Python packages, such as promtool: scripts/setup installs them where possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest


def tool(*names: str) -> str:
    """The path of a program with one of these names. In CI, where tests must not be skipped, it is required."""
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    return missing(names[0])


def missing(name: str) -> NoReturn:
    """Skips a test without a required program, or fails it in CI."""
    message = f"no {name}: on Debian or Ubuntu, as root, scripts/setup --tests installs it"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def get(url: str, timeout: float = 5.0) -> tuple[int, str]:
    """Status and body of one GET; a refused connection is an OSError."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=timeout) as reply:
            return reply.status, reply.read().decode()
    except urllib.request.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@contextmanager
def running(command: list[str], log: Path, *, ready: str, env: Mapping[str, str] | None = None) -> Iterator[None]:
    """A program in the background, from the first answer 200 of `ready` to the end of the block."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
        try:
            end = time.monotonic() + 20
            while not _answers(ready):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(20)


def _answers(url: str) -> bool:
    try:
        return get(url)[0] == 200
    except OSError:
        return False
