"""The parts that all schedules share: the command of a pass and its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.watch.schedule import Job
from orchestrator.domain.watch.schedule_texts import arguments, environment, program
from orchestrator.errors import UsageError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.mark.parametrize("path", ["/srv/a\nb", "/srv/a\rb", "/srv/\x1b[0m", "/srv/a\x00b", "/srv/\udcff"])
def test_a_path_that_would_break_the_line_is_refused(path: str) -> None:
    for job in (Job("mymodel", path, "/f", 60), Job("mymodel", "/s", path, 60)):
        with pytest.raises(UsageError, match="cannot be written into a schedule"):
            arguments(("deployctl",), job)


def test_the_environment_of_a_pass() -> None:
    given = {
        "PATH": "/home/me/bin",
        "HOME": "/home/me",
        "LANG": "C",
        "PYTHONPATH": "/src",
        "DOCKER_HOST": "unix:///run/other.sock",
        "DEPLOYCTL_ENGINE_TIMEOUT": "5",
        "DEPLOYCTL_EMPTY": "",
        **{f"DEPLOYCTL_{end}": "1" for end in ("FILE", "STATE_DIR", "JSON", "QUIET", "NO_COLOR")},
        "DEPLOYCTL_NOTIFY_URLS": "slack://secret",
        "DEPLOYCTL_HUB_TOKEN": "secret",
    }
    programs = {"docker": "/opt/docker/bin/docker", "git": "/usr/bin/git"}
    kept, notes = environment(given, programs.get, "/root", module=False)
    assert kept == {
        "PATH": f"/opt/docker/bin:{PATH}",
        "HOME": "/root",
        "DEPLOYCTL_ENGINE_TIMEOUT": "5",
        "DOCKER_HOST": "unix:///run/other.sock",
    }
    assert notes == [
        "DEPLOYCTL_HUB_TOKEN is not written into the schedule, which others may read: use deploy.toml",
        "DEPLOYCTL_NOTIFY_URLS is not written into the schedule, which others may read:"
        " notify.urls_file names a file for it",
    ]
    assert environment(given, {}.get, "/root", module=True)[0]["PYTHONPATH"] == "/src"
    assert environment({}, {"docker": "bin/docker"}.get, "/root", module=False)[0]["PATH"] == PATH


def test_the_program_of_a_pass() -> None:
    there = {Path("/venv/bin/deployctl"), Path("/usr/bin/deployctl")}
    assert program("/venv/bin/python", Path("/usr/bin/deployctl"), there.__contains__) == ("/venv/bin/deployctl",)
    assert program("/usr/local/bin/python", Path("/usr/bin/deployctl"), there.__contains__) == ("/usr/bin/deployctl",)
    module = ("/usr/local/bin/python", "-m", "orchestrator.cli.main")
    assert program("/usr/local/bin/python", Path("/src/orchestrator/cli/main.py"), there.__contains__) == module
