"""Notifications: recipients, contents, failures, and that no URL is shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import LedgerDamaged
from orchestrator.release.result import Result
from orchestrator.watch import notices
from orchestrator.watch.notices import addresses, notify_deployed, send_notice
from tests.fakes.world import APP, World
from tests.unit import program
from tests.unit.receivers import Receiver, hanging

ROOT = Path(__file__).parents[3]
SECRET = "hunter2"
URL = f"json://somebody:{SECRET}@127.0.0.1:1/{SECRET}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.more = f'[notify]\nurls = ["{URL}"]\ntimeout = "7s"\n'
    yield world
    world.close()


def events(world: World) -> list[tuple[str, dict[str, Any]]]:
    rows = world.ledger._read("SELECT kind, detail FROM events WHERE app = ? ORDER BY id", (APP,))
    return [(kind, json.loads(detail)) for kind, detail in rows if kind.startswith("notification")]


def counts(world: World) -> dict[str, int]:
    return {name: value for name, value in world.ledger.counts(APP).items() if name.startswith("notification")}


def tell(world: World, result: Result) -> None:
    """Sends the notification of a command's result, as the command does."""
    notify_deployed(world.services, world.config(), result)


# --- recipients ----------------------------------------------------------------------------------------------------


def test_urls_come_from_the_file_its_file_and_the_environment(world: World) -> None:
    (world.folder / "urls").write_text("\ufeff# ours\n\n  ntfy://one  \r\nntfy://two\n")
    world.more = '[notify]\nurls = ["ntfy://zero"]\nurls_file = "urls"\n'
    urls, problems = addresses(world.config(), {notices.URLS: " ntfy://three\nntfy://two "})
    assert urls == ("ntfy://zero", "ntfy://one", "ntfy://two", "ntfy://three")
    assert problems == []
    world.more = ""
    assert addresses(world.config(), {}) == ((), [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"#" * (1024 * 1024 + 1), "is larger than 1 MiB"),
        (f"ntfy://good\n{SECRET}\n".encode(), ", line 2: not a URL"),
    ],
)
def test_an_invalid_urls_file_is_a_problem(world: World, content: bytes | None, message: str) -> None:
    if content is not None:
        (world.folder / "urls").write_bytes(content)
    world.more = '[notify]\nurls_file = "urls"\n'
    urls, [problem] = addresses(world.config(), {})
    assert urls == (("ntfy://good",) if content and b"good" in content else ())
    assert problem == f"notify.urls_file: {world.folder / 'urls'}{'' if message[0] == ',' else ' '}{message}"


def test_a_folder_as_the_urls_file_is_a_problem(world: World) -> None:
    world.more = '[notify]\nurls_file = "."\n'
    assert addresses(world.config(), {})[1] == [f"notify.urls_file: {world.folder} cannot be read: Is a directory"]


# --- contents ------------------------------------------------------------------------------------------------------


def test_a_release_and_a_rollback_send_notifications(world: World) -> None:
    world.supply.commit = "c0ffee0123456789"
    for result in (world.release("v1"), world.release("v2"), world.rollback()):
        tell(world, result)
    first, second, back = world.notifier.sent
    assert [message["title"] for message in world.notifier.sent] == [
        "mymodel: v1 is live",
        "mymodel: v2 is live",
        "mymodel: v2 rolled back to v1",
    ]
    assert [message["severity"] for message in world.notifier.sent] == ["success", "success", "warning"]
    assert (first["urls"], first["timeout"]) == ([URL], 7.0)
    lines = second["body"].splitlines()
    assert re.fullmatch(
        r"Somebody <some@body> made v2 live instead of v1, in \d+\.\d s, from commit c0ffee0123\.", lines[0]
    )
    assert lines[1:] == [
        "",
        "host: host",
        f"when: {world.now():%Y-%m-%d %H:%M:%S} UTC",
        f"next: deployctl --file {world.folder / 'deploy.toml'} status",
    ]
    assert back["body"].endswith(" history")
    assert counts(world) == {"notification": 3}
    assert events(world) == []
    assert world.reports.notes == []


CANARY = 'strategy = "canary"\nstages = ["10% 5m", "50% 5m"]'


@pytest.mark.parametrize(
    ("rollout", "preview", "told"),
    [(CANARY, False, "v2 gets 10 % of the requests"), ("", True, "v2 answers at its preview address")],
    ids=["canary", "preview"],
)
def test_a_candidate_is_not_said_to_be_live(world: World, rollout: str, preview: bool, told: str) -> None:
    if preview:
        world.listen = '127.0.0.1:8000"\npreview = "127.0.0.1:8001'
    world.release("v1")
    world.rollout = rollout
    for version, end in (("v2", lambda: world.promote(full=True)), ("v3", lambda: world.abort("no good"))):
        tell(world, world.preview(version) if preview else world.release(version))
        tell(world, end())
    titles = [message["title"].removeprefix("mymodel: ") for message in world.notifier.sent]
    assert titles == [told, "v2 is live", told.replace("v2", "v3"), "v3 was aborted; v2 has all requests"]
    severities = [message["severity"] for message in world.notifier.sent]
    assert severities == ["success", "success", "success", "warning"]
    assert re.match(r"Somebody <some@body> aborted v3: no good; v2 has all requests", world.notifier.sent[-1]["body"])


def test_a_rollback_of_a_candidate_is_an_abort(world: World) -> None:
    world.release("v1")
    world.rollout = CANARY
    world.release("v2")
    tell(world, world.rollback())
    assert [message["title"] for message in world.notifier.sent] == ["mymodel: v2 was aborted; v1 has all requests"]


def test_nothing_to_do_sends_no_notification(world: World) -> None:
    world.release("v1")
    tell(world, world.release("v1"))
    assert world.notifier.sent == []


@pytest.mark.parametrize(
    ("what", "severity", "title"),
    [
        ("healed", "info", "mymodel: v2 was repaired"),
        ("degraded", "failure", "mymodel: v2 is degraded"),
        ("recovered", "success", "mymodel: v2 has recovered"),
        ("rolled back", "warning", "mymodel: v2 is live again"),
    ],
)
def test_every_notification_has_a_title_and_a_severity(world: World, what: Any, severity: str, title: str) -> None:
    world.release("v2")
    send_notice(world.services, world.config(), what, "v2", "why", command="logs v3")
    [message] = world.notifier.sent
    assert (message["severity"], message["title"]) == (severity, title)
    assert message["body"].startswith("why\n\nhost: ")
    assert message["body"].endswith(" logs v3")


def test_a_notification_that_is_not_in_notify_on_is_not_sent(world: World) -> None:
    world.more += 'on = ["degraded"]\n'
    tell(world, world.release("v1"))
    assert world.notifier.sent == []
    send_notice(world.services, world.config(), "degraded", "v1", "why")
    assert len(world.notifier.sent) == 1


def test_without_urls_nothing_is_sent_or_recorded(world: World) -> None:
    world.more = ""
    world.release("v1")
    send_notice(world.services, world.config(), "released", "v1", "why")
    assert (world.notifier.sent, world.reports.notes, counts(world)) == ([], [], {})


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_failed_notification_is_reported_recorded_and_counted(world: World) -> None:
    world.notifier.why = "JSON: connection refused"
    tell(world, world.release("v1"))
    why = {"notice": "released", "version": "v1", "why": "JSON: connection refused"}
    assert events(world) == [("notification-failed", why)]
    assert world.reports.notes == [
        "the notification 'released' was not delivered to every URL: JSON: connection refused"
    ]
    assert counts(world) == {"notification-failed": 1}


def test_a_missing_urls_file_is_recorded(world: World) -> None:
    world.more = '[notify]\nurls_file = "gone"\n'
    world.release("v1")
    send_notice(world.services, world.config(), "released", "v1", "why")
    assert world.notifier.sent == []
    [(kind, detail)] = events(world)
    assert kind == "notification-failed"
    assert detail["why"].endswith("cannot be read: No such file or directory")


def test_an_internal_error_of_the_notifier_is_reported_without_its_message(world: World) -> None:
    world.notifier.error = RuntimeError(URL)
    tell(world, world.release("v1"))
    assert world.reports.notes == [
        "the notification 'released' was not delivered to every URL: internal error: RuntimeError"
    ]
    assert counts(world) == {"notification-failed": 1}


def test_a_failure_to_record_a_notification_is_reported(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    result = world.release("v1")

    def count(*arguments: object) -> None:
        raise LedgerDamaged("ledger.db", "the disk is full")

    monkeypatch.setattr(world.ledger, "count", count)
    tell(world, result)
    [note] = world.reports.notes
    assert note.startswith("the notification 'released' could not be recorded: ")


# --- secrecy -------------------------------------------------------------------------------------------------------


def test_the_ledger_and_the_labels_contain_no_url(world: World) -> None:
    world.more += f'[watchdog]\nheartbeat = "https://somebody:{SECRET}@example.com/{SECRET}"\n'
    world.notifier.why = "JSON: connection refused"
    for result in (world.release("v1"), world.release("v2"), world.rollback()):
        tell(world, result)
    files = [path for path in world.folder.rglob("*") if path.is_file()]
    assert any(path.name == "ledger.db-wal" for path in files)
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []
    labels = [str(dict(container.labels)) for container in world.workloads.containers()]
    assert len(labels) == 2
    assert SECRET not in str(labels)
    assert SECRET not in repr(world.config())


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return program.run(folder, "--state-dir", str(folder / "state"), *arguments, **environment)


def write(folder: Path, notify: str) -> None:
    (folder / "Dockerfile").write_text("FROM scratch\n")
    # `notify` comes last, but a key without a table must come first.
    parts = ['[app]\nname = "mymodel"\nport = 8080\n', notify]
    (folder / "deploy.toml").write_text("".join(parts if notify.startswith("[") else reversed(parts)))


@pytest.mark.parametrize(
    "notify",
    [
        f'[notify]\nurls = ["{SECRET}"]\n',
        f'[notify]\nurls = ["json://{SECRET} {SECRET}"]\n',
        f'[notify]\nurls = "json://{SECRET}"\n',
        f'[notify]\nurls = [["json://{SECRET}"]]\n',
        f'[notify]\nurls = {{ a = "json://{SECRET}" }}\n',
        f'[notify]\nurl = ["json://{SECRET}"]\n',
        f'[notify]\nurls_file = "json://{SECRET}"\n',
        f'[notify]\nurls = ["json://{SECRET}"]\nurls = ["json://{SECRET}"]\n',
        f'[notify]\nurls = ["json://{SECRET}"\ntimeout = 1\n',
        f'[notify]\nurls = ["json://{SECRET}]\n',
        f'[[notify]]\nurls = ["json://{SECRET}"]\n',
        f'notify = "json://{SECRET}"\n',
        f'notify = ["json://{SECRET}"]\n',
        f'[watchdog]\nheartbeat = "{SECRET}"\n',
        f'[watchdog]\nheartbeat = "json://{SECRET}"\n',
        f'[watchdog]\nheartbeat = ["https://{SECRET}"]\n',
        f'watchdog = "https://{SECRET}"\n',
    ],
)
def test_an_invalid_url_is_not_shown(tmp_path: Path, notify: str) -> None:
    write(tmp_path, notify)
    for options in ([], ["--json"]):
        done = run(tmp_path, "config", "check", *options, DEPLOYCTL_DEBUG="1")
        assert done.returncode == 2, (done.stdout, done.stderr)
        assert SECRET not in done.stdout + done.stderr


def test_no_command_shows_a_url(tmp_path: Path) -> None:
    write(tmp_path, f'[notify]\nurls = ["{URL}"]\n[watchdog]\nheartbeat = "https://{SECRET}"\n')
    commands = (["config", "check"], ["status"], ["doctor"], ["plan"], ["release"], ["rollback"], ["history"])
    for command in (*commands, ["notify"], ["config", "schema"]):
        for options in ([], ["--json"]):
            done = run(tmp_path, *command, *options, DEPLOYCTL_DEBUG="1", DEPLOYCTL_NOTIFY_URLS=f"xml://{SECRET}:1")
            assert SECRET not in done.stdout + done.stderr, command
    for path in tmp_path.glob("state/**/*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path


def test_the_traceback_of_an_internal_error_shows_no_url(tmp_path: Path) -> None:
    write(tmp_path, f'[notify]\nurls = ["{URL}"]\n')
    code = (
        "from orchestrator.adapters.apprise.notifier import AppriseNotifier\n"
        "AppriseNotifier.deliver = AppriseNotifier.beat\n"  # a bug: it does not accept these arguments
        "from orchestrator.cli.main import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DEPLOYCTL_DEBUG": "1"}
    command = [sys.executable, "-c", code, "--state-dir", str(tmp_path / "state"), "notify"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert re.search(r"^TypeError: AppriseNotifier\.beat\(\) got an unexpected", done.stderr, re.MULTILINE), done.stderr
    assert SECRET not in done.stderr


# --- the command ---------------------------------------------------------------------------------------------------


def test_notify_reports_each_delivery(tmp_path: Path) -> None:
    with Receiver() as receiver:
        good = f"json://127.0.0.1:{receiver.port}/"
        write(tmp_path, f'[notify]\nurls = ["{good}"]\non = []\n')
        done = run(tmp_path, "notify")
        assert (done.returncode, done.stdout, done.stderr) == (0, "delivered to 1 of 1 URL\n", "")
        [got] = receiver.got
        assert (got["title"], got["type"]) == ("mymodel: test notification", "info")
        assert got["message"].startswith("This is a test.")
        assert f"--state-dir {tmp_path / 'state'}" in got["message"]
        done = run(tmp_path, "notify", DEPLOYCTL_NOTIFY_URLS=URL)
        assert done.returncode == 3
        assert done.stdout == "delivered to 1 of 2 URLs\n  number 2: JSON: connection refused\n"
        done = run(tmp_path, "notify", "--json", DEPLOYCTL_NOTIFY_URLS=URL)
        assert done.returncode == 3
        assert json.loads(done.stdout) == {
            "schema_version": 1,
            "app": "mymodel",
            "urls": 2,
            "delivered": 1,
            "failed": [{"number": 2, "why": "JSON: connection refused"}],
            "problems": [],
        }


def test_notify_without_urls_fails(tmp_path: Path) -> None:
    write(tmp_path, "[notify]\n")
    done = run(tmp_path, "notify", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["message"] == "no notification URLs configured"


def test_notify_with_an_invalid_urls_file_fails(tmp_path: Path) -> None:
    (tmp_path / "urls").write_text("not one\n")
    write(tmp_path, '[notify]\nurls_file = "urls"\n')
    done = run(tmp_path, "notify")
    assert done.returncode == 3
    assert done.stdout == f"delivered to 0 of 0 URLs\n  notify.urls_file: {tmp_path / 'urls'}, line 1: not a URL\n"


def test_notify_gives_up_after_its_timeout(tmp_path: Path) -> None:
    with hanging() as port:
        write(tmp_path, f'[notify]\nurls = ["json://127.0.0.1:{port}/?rto=60"]\ntimeout = "1s"\n')
        done = run(tmp_path, "notify")
    assert done.returncode == 3
    assert done.stdout == "delivered to 0 of 1 URL\n  number 1: no answer within 1 s\n"
