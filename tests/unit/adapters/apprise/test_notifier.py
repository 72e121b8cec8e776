"""The notifier, with the real Apprise, real HTTP servers, and hostile servers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.adapters.apprise.notifier import AppriseNotifier
from orchestrator.adapters.apprise.words import summary
from tests.unit.receivers import HARMS, Receiver, hanging

ROOT = Path(__file__).parents[4]
SECRET = "hunter2"
# Tolerance of the time limit. Seconds.
GRACE = 0.5


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def tell(*urls: str, timeout: float = 20.0, severity: str = "info") -> str | None:
    return AppriseNotifier().tell(urls, "a title", "line 1\n<line 2>", severity=severity, timeout=timeout)


# --- Apprise -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("severity", ["info", "success", "warning", "failure"])
def test_a_notification_arrives_as_it_was_given(receiver: Receiver, severity: str) -> None:
    assert tell(f"json://somebody:{SECRET}@127.0.0.1:{receiver.port}/", severity=severity) is None
    [got] = receiver.got
    assert (got["title"], got["message"], got["type"]) == ("a title", "line 1\n<line 2>", severity)


def test_without_urls_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    assert tell() is None


def test_a_failure_does_not_affect_other_urls(receiver: Receiver) -> None:
    said = tell(
        f"json://127.0.0.1:{receiver.port}/",
        f"json://somebody:{SECRET}@127.0.0.1:{receiver.port}/500/{SECRET}",
        f"json://somebody:{SECRET}@127.0.0.1:1/{SECRET}",
        f"unheard-of://{SECRET}",
        f"slack://{SECRET}",
        f"xml://{SECRET}.invalid/",
        f"json://127.0.0.1:{receiver.port}/",
    )
    unusable = "Apprise does not support this service, or the URL is incomplete"
    assert said == (
        "5 of 7 URLs did not accept it (number 2: JSON: status 500; number 3: JSON: connection refused; "
        f"number 4: {unusable}; number 5: {unusable}; number 6: XML: the host name does not resolve)"
    )
    assert len(receiver.got) == 3
    assert SECRET not in said


def test_a_common_reason_is_reported_once() -> None:
    assert summary((None, None)) is None
    assert summary(("no", "no")) == "no"
    assert summary(("no", None)) == "1 of 2 URLs did not accept it (number 1: no)"


@pytest.mark.parametrize("harm", HARMS)
def test_a_hanging_server_does_not_exceed_the_limit(receiver: Receiver, harm: str) -> None:
    with HARMS[harm]() as port:
        started = time.monotonic()
        said = tell(
            f"json://127.0.0.1:{receiver.port}/",
            # Without Apprise's own limits, so that only ours has an effect.
            f"json://somebody:{SECRET}@127.0.0.1:{port}/{SECRET}?rto=60&cto=60",
            timeout=2.0,
        )
        seconds = time.monotonic() - started
    assert said == "1 of 2 URLs did not accept it (number 2: no answer within 2 s)"
    assert 2.0 <= seconds < 2.0 + GRACE
    assert len(receiver.got) == 1


def test_the_limit_holds_even_before_apprise_is_loaded(receiver: Receiver) -> None:
    started = time.monotonic()
    assert tell(f"json://127.0.0.1:{receiver.port}/", timeout=0.01) == "no answer within 0.01 s"
    assert time.monotonic() - started < 0.01 + GRACE


def test_no_sender_is_left_and_the_program_can_end() -> None:
    code = (
        "import subprocess, sys, time\n"
        "from orchestrator.adapters.apprise.notifier import AppriseNotifier\n"
        "made, popen = [], subprocess.Popen\n"
        "subprocess.Popen = lambda *a, **k: made.append(popen(*a, **k)) or made[-1]\n"
        "started = time.monotonic()\n"
        "n = AppriseNotifier()\n"
        "print(n.tell([sys.argv[1]], 't', 'b', severity='info', timeout=1.0))\n"
        "print(n.beat(sys.argv[2], 0.5))\n"
        "print(made[0].returncode, 'apprise' in sys.modules, flush=True)\n"
    )
    with hanging() as port:
        urls = [f"json://127.0.0.1:{port}/?rto=60", f"http://127.0.0.1:{port}/"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", code, *urls], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        said = time.monotonic()
        process.wait(30)
        ending = time.monotonic() - said
        process.stdout.close()
    assert lines == ["no answer within 1 s\n", "no answer within 0.5 s\n", "-9 False\n"]
    assert process.returncode == 0
    assert ending < 1.0


def test_apprise_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apprise.py").write_text("raise ModuleNotFoundError('no', name='apprise')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = "Apprise is not installed: pip install 'deployctl[notify]'"
    assert tell("json://127.0.0.1:1/", "json://127.0.0.1:2/") == said


def test_a_sender_that_ends_is_not_reported_as_hanging(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apprise.py").write_text("import os; os._exit(7)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert tell("json://127.0.0.1:1/") == "the sender ended early (code 7)"


def test_a_plugin_that_raises_shows_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "apprise.py").write_text(
        "print('noise'); import sys; print('noise', file=sys.stderr)\n"
        "class AppriseAsset:\n    def __init__(self, **_): pass\n"
        "class Apprise:\n    @staticmethod\n    def instantiate(url, asset):\n"
        "        if 'localhost' not in url: raise ValueError(url)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert tell(f"json://{SECRET}/") == "failed with ValueError"


def test_files_of_the_folder_that_it_is_called_in_are_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, receiver: Receiver
) -> None:
    for name in ("apprise", "requests", "json"):
        (tmp_path / f"{name}.py").write_text("import os; os._exit(7)\n")
    monkeypatch.chdir(tmp_path)
    assert tell(f"json://127.0.0.1:{receiver.port}/") is None


def test_others_cannot_read_the_urls_from_the_process_list() -> None:
    with hanging() as port:
        code = (
            "import sys\nfrom orchestrator.adapters.apprise.notifier import AppriseNotifier\n"
            "AppriseNotifier().tell([sys.stdin.read()], 't', 'b', severity='info', timeout=3.0)\n"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(f"json://somebody:{SECRET}@127.0.0.1:{port}/?rto=60".encode())
        process.stdin.close()
        limit, children = time.monotonic() + 20, ""
        while not children:
            assert time.monotonic() < limit
            time.sleep(0.02)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        child = Path("/proc", children.split()[0])
        seen = b""
        # Between fork and exec the process still has the arguments of its parent.
        while b"send.py" not in seen:
            assert time.monotonic() < limit
            seen = (child / "cmdline").read_bytes()
        seen += (child / "environ").read_bytes()
        process.wait(30)
    assert SECRET.encode() not in seen


# --- the heartbeat -----------------------------------------------------------------------------------------------


def beat(url: str, timeout: float = 20.0) -> str | None:
    return AppriseNotifier().beat(url, timeout)


def test_a_heartbeat_is_one_get(receiver: Receiver) -> None:
    assert beat(f"http://127.0.0.1:{receiver.port}/ping?token={SECRET}") is None
    assert beat(f"http://127.0.0.1:{receiver.port}/204") is None
    assert receiver.gets == [f"/ping?token={SECRET}", "/204"]


def test_a_heartbeat_that_fails_says_why_without_its_url(receiver: Receiver) -> None:
    here = f"127.0.0.1:{receiver.port}"
    redirect = "status 301 (a redirect, which is not followed: use its target)"
    assert beat(f"http://{here}/404/{SECRET}") == "status 404"
    assert beat(f"http://{here}/301/{SECRET}") == redirect
    assert beat(f"http://somebody:{SECRET}@127.0.0.1:1/{SECRET}") == "connection refused"
    assert beat(f"http://{SECRET}.invalid/") == "the host name does not resolve"
    assert beat(f"https://somebody:{SECRET}@{here}/{SECRET}") == "TLS failed"
    for url in (f"http://[{SECRET}", f"http://h:{SECRET}/", f"http://{SECRET}\0/", "http://", f"ftp://{SECRET}"):
        said = beat(url)
        assert said is not None
        assert SECRET not in said


@pytest.mark.parametrize("harm", HARMS)
def test_a_hanging_heartbeat_does_not_exceed_the_limit(harm: str) -> None:
    beat("http://127.0.0.1:1/")  # httpx is loaded
    with HARMS[harm]() as port:
        started = time.monotonic()
        said = beat(f"http://somebody:{SECRET}@127.0.0.1:{port}/{SECRET}", 0.5)
        seconds = time.monotonic() - started
    assert said in ("no answer within 0.5 s", "no answer in time")
    assert 0.4 < seconds < 0.5 + GRACE


def test_a_heartbeat_goes_through_the_proxy_of_the_environment(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{receiver.port}")
    for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert beat("http://far.invalid/ping") is None
    assert receiver.gets == ["http://far.invalid/ping"]
