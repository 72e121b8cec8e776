"""The parts that all schedules share: the command of a pass and its environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain.watch.schedule import Job
from orchestrator.domain.watch.schedule_texts import arguments, environment, missing_variables, program
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
        "DEPLOYCTL_LEFT_OUT": "DEPLOYCTL_HUB_TOKEN,DEPLOYCTL_NOTIFY_URLS",
    }
    assert notes == [
        "DEPLOYCTL_HUB_TOKEN is not written into the schedule, which others may read: use deploy.toml",
        "DEPLOYCTL_NOTIFY_URLS is not written into the schedule, which others may read:"
        " notify.urls_file names a file for it",
    ]
    assert environment(given, {}.get, "/root", module=True)[0]["PYTHONPATH"] == "/src"
    assert environment({}, {"docker": "bin/docker"}.get, "/root", module=False)[0]["PATH"] == PATH


KEPT = {
    "DOCKER_CONFIG": "/srv/docker",
    "DOCKER_CONTEXT": "far",
    "DOCKER_DEFAULT_PLATFORM": "linux/amd64",
    "HTTPS_PROXY": "http://proxy.example:3128",
    "http_proxy": "proxy.example:3128",
    "NO_PROXY": "10.0.0.0/8,.example",
    "TMPDIR": "/var/tmp",
    "SSL_CERT_FILE": "/etc/ca.pem",
    "GIT_SSH_COMMAND": "ssh -i /srv/id",
    "AWS_PROFILE": "models",
    "GOOGLE_APPLICATION_CREDENTIALS": "/srv/gcp.json",
}
SECRET = {
    "HTTPS_PROXY": "http://me:hunter2@proxy.example:3128",
    "all_proxy": "me:hunter2@proxy.example:3128",
    "DOCKER_HOST": "tcp://me:hunter2@engine.example:2376",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "AWS_SESSION_TOKEN": "hunter2",
    "DOCKER_AUTH_CONFIG": '{"auths": "hunter2"}',
    "DOCKER_PASSWORD": "hunter2",
    "SSH_AUTH_SOCK": "/tmp/ssh-1/agent.1",
    "GIT_SSH_COMMAND": "ssh\n-v",
}


@pytest.mark.parametrize("name", KEPT)
def test_what_a_rollback_needs_is_in_the_schedule(name: str) -> None:
    kept, notes = environment({name: KEPT[name]}, {}.get, "/root", module=False)
    assert (kept[name], notes, "DEPLOYCTL_LEFT_OUT" in kept) == (KEPT[name], [], False)
    assert environment({name: ""}, {}.get, "/root", module=False) == ({"PATH": PATH, "HOME": "/root"}, [])


@pytest.mark.parametrize("name", SECRET)
def test_what_cannot_be_in_the_schedule_is_named(name: str) -> None:
    kept, notes = environment({name: SECRET[name]}, {}.get, "/root", module=False)
    assert kept == {"PATH": PATH, "HOME": "/root", "DEPLOYCTL_LEFT_OUT": name}
    (note,) = notes
    assert note.startswith(f"{name} is not written into the schedule")
    assert "hunter2" not in note
    assert missing_variables(kept) == [name]
    assert missing_variables({**kept, name: "x"}) == []
    assert missing_variables({}) == []


@pytest.mark.parametrize("name", ["LANG", "GIT_DIR", "AWS_EXECUTION_ENV", "MY_HTTPS_PROXY", "XDG_STATE_HOME"])
def test_other_variables_are_not_mentioned(name: str) -> None:
    assert environment({name: "x"}, {}.get, "/root", module=False) == ({"PATH": PATH, "HOME": "/root"}, [])


def test_the_program_of_a_pass() -> None:
    there = {Path("/venv/bin/deployctl"), Path("/usr/bin/deployctl")}
    assert program("/venv/bin/python", Path("/usr/bin/deployctl"), there.__contains__) == ("/venv/bin/deployctl",)
    assert program("/usr/local/bin/python", Path("/usr/bin/deployctl"), there.__contains__) == ("/usr/bin/deployctl",)
    module = ("/usr/local/bin/python", "-m", "orchestrator.cli.main")
    assert program("/usr/local/bin/python", Path("/src/orchestrator/cli/main.py"), there.__contains__) == module
