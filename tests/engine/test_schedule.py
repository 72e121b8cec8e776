"""A real cron in its own mount namespace, which separates its entries from those of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import some
from tests.chaos.oracle import outside
from tests.engine.harness import App, Load, until

# Private: everything that cron reads and writes. Of /run only the pid file of cron.
NAMESPACE = """set -e
mount -t tmpfs tmpfs /etc/cron.d
mount -t tmpfs tmpfs /var/spool/cron
mkdir /var/spool/cron/crontabs
: > "$1/nothing"
mount --bind "$1/nothing" /etc/crontab
mkdir "$1/run"
mount --rbind /run "$1/run"
mount -t tmpfs tmpfs /run
for found in "$1"/run/*; do ln -s "$found" /run/; done
rm -f /run/crond.pid
touch "$1/ready"
exec cron -f
"""
ASK = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=1)"
OTHERS = b'# mine\nMAILTO = "me@example.com"\n0 0  1 1 *   /bin/true   # yearly\n@reboot /bin/true\n'


@pytest.fixture
def cron(app: App, tmp_path: Path) -> Iterator[App]:
    """The app in the namespace of a separate cron."""
    if os.geteuid() != 0 or shutil.which("cron") is None:
        pytest.skip("needs root and Debian's cron (scripts/setup installs it)")
    folder = tmp_path / "cron"
    folder.mkdir()
    # Also in a PID namespace, so that everything that cron started ends with it.
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", NAMESPACE, "sh"]
    process = subprocess.Popen([*command, str(folder)])
    try:
        end = time.monotonic() + 20
        while not (folder / "ready").exists():
            assert process.poll() is None and time.monotonic() < end, "the namespace was not made"
            time.sleep(0.05)
        inside = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        app.place = replace(app.place, prefix=("nsenter", "--target", inside, "--mount", "--pid", f"--wd={app.folder}"))
        yield app
    finally:
        process.kill()
        process.wait(20)


def test_cron_starts_a_pass_and_nobody_else(cron: App) -> None:
    cron.release("v1")
    done = cron.json("watchdog", "install", "--every", "1m")
    assert (done["kind"], done["every"], done["changed"], done["notes"]) == ("cron.d", 60, True, [])
    assert not cron.json("watchdog", "install", "--every", "1m")["changed"]
    assert not Path(done["place"]).exists(), "only our own cron shall see it"
    end = time.monotonic() + 100  # at most a minute, and the start of Python on a busy machine
    while not (found := cron.json("watchdog", "status"))["passes"]:
        assert time.monotonic() < end, found
        time.sleep(1)
    assert found["passes"][0]["outcome"] == "healthy"
    assert (found["problems"], found["counts"]["pass:healthy"]) == ([], 1)
    assert cron.serving() == "v1"
    assert cron.json("watchdog", "uninstall")["removed"] == [{"kind": "cron.d", "place": done["place"]}]
    assert cron.json("watchdog", "status")["schedules"] == []


@pytest.mark.parametrize("replicas", some([1, 2], 1))
def test_cron_heals_a_model_that_hangs(cron: App, replicas: int) -> None:
    cron.config["run"]["replicas"] = replicas
    cron.config["proxy"]["timeout"] = "3s"  # a server that hangs does not answer: do not wait for an hour
    cron.release("v1")
    cron.run("watchdog", "install", "--every", "1m")
    hung = cron.container("v1", 1)
    started = hung.attrs["State"]["StartedAt"]
    with Load(cron.port, clients=4) as load:
        time.sleep(0.5)
        hung.exec_run(["sh", "-c", "kill -STOP -1"])
        begin = time.monotonic()
        # From here on only cron runs deployctl.
        until(lambda: answers_again(hung, started), "it was restarted, and answers", 75)
        healed = time.monotonic()
        time.sleep(4)
    assert healed - begin < 70
    noticed = begin + 8  # by the checks of the proxy: see test_container_faults
    end = healed + 1 if replicas == 1 else noticed
    assert outside(load.replies, begin, end) == []
    assert any(reply.version == "v1" and not reply.failed and reply.started > healed for reply in load.replies)
    passes = cron.json("watchdog", "status")["passes"]
    assert [text for row in passes for text in row["messages"] if "restarted: " in text], passes
    cron.run("watchdog", "uninstall")


def answers_again(container: Any, started: str) -> bool:
    container.reload()
    if container.attrs["State"]["StartedAt"] == started or container.status != "running":
        return False
    done = container.exec_run(["python3", "-c", ASK])
    return bool(done.exit_code == 0)


def test_a_crontab_keeps_its_other_entries(cron: App) -> None:
    def crontab(*arguments: str, text: bytes = b"") -> bytes:
        command = [*cron.place.prefix, "crontab", *arguments]
        return subprocess.run(command, input=text, capture_output=True, check=True).stdout

    crontab("-", text=OTHERS)
    assert cron.json("watchdog", "install", "--user")["kind"] == "crontab"
    assert not cron.json("watchdog", "install", "--user")["changed"]
    assert crontab("-l").startswith(OTHERS)
    assert b"watchdog run" in crontab("-l")
    assert [row["ours"] for row in cron.json("watchdog", "status")["schedules"]] == [True]
    cron.run("watchdog", "uninstall")
    assert crontab("-l") == OTHERS
