"""Sends notifications through Apprise, and heartbeats as GET requests. Both end within the caller's time limit.

Apprise runs in a separate process (`send.py`), which can be killed: Apprise limits single reads, not whole
notifications, and its threads would delay the exit of deployctl. Its memory (37 MB), its changes to logging and its
crashes do not affect deployctl. The start takes half a second, and only happens for apps with URLs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from orchestrator.adapters.apprise.words import refusal, summary
from orchestrator.loading import load_httpx

_SENDER = Path(__file__).with_name("send.py")
# The sender ends itself this many seconds after the notifier should have killed it.
_GRACE = 2.0
# Seconds to wait for the output of a killed sender: a child process of a plugin may keep it open.
_OUTPUT_WAIT = 0.25


class AppriseNotifier:
    """Sends through Apprise. See `Notifier`."""

    def tell(self, urls: Sequence[str], title: str, body: str, *, severity: str, timeout: float) -> str | None:
        return summary(self.deliver(urls, title, body, severity=severity, timeout=timeout))

    def deliver(
        self, urls: Sequence[str], title: str, body: str, *, severity: str, timeout: float
    ) -> tuple[str | None, ...]:
        if not urls:
            return ()
        started = time.monotonic()
        task = {
            "urls": list(urls),
            "title": title,
            "body": body,
            "severity": severity,
            "limit": timeout + _GRACE,
        }
        try:
            # -P: nothing is imported from the sender's own folder.
            sender = subprocess.Popen(
                [sys.executable, "-P", str(_SENDER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            return (f"the sender could not be started: {error.strerror}",) * len(urls)
        with sender:
            try:
                left = max(0.0, timeout - (time.monotonic() - started))
                output, _ = sender.communicate(json.dumps(task).encode(), timeout=left)
                missing = f"the sender ended early (code {sender.returncode})"
            except subprocess.TimeoutExpired:
                sender.kill()
                output = _rest(sender)
                missing = f"no answer within {timeout:g} s"
            finally:
                # Also after a second Ctrl-C: the process must not keep running.
                sender.kill()
        return _verdicts(output, len(urls), missing)

    def beat(self, url: str, timeout: float) -> str | None:
        started = time.monotonic()
        load_httpx()
        result: Future[str | None] = Future()
        # httpx limits single reads. A thread whose time is over ends with its read, and does not delay the exit.
        threading.Thread(target=_call, args=(url, timeout, result), name="heartbeat", daemon=True).start()
        try:
            return result.result(timeout=max(0.0, timeout - (time.monotonic() - started)))
        except TimeoutError:
            return f"no answer within {timeout:g} s"


def _rest(sender: subprocess.Popen[bytes]) -> bytes:
    try:
        return sender.communicate(timeout=_OUTPUT_WAIT)[0]
    except subprocess.TimeoutExpired as error:
        return error.output or b""


def _verdicts(output: bytes, count: int, missing: str) -> tuple[str | None, ...]:
    reasons: dict[int, str | None] = {}
    for line in output.splitlines(keepends=True):
        if line.endswith(b"\n"):
            reply = json.loads(line)
            kind = f"{reply['kind']}: " if reply["kind"] else ""
            reasons[reply["number"]] = f"{kind}{reply['error']}" if reply["error"] else None
    return tuple(reasons.get(number, missing) for number in range(count))


def _call(url: str, timeout: float, result: Future[str | None]) -> None:
    import httpx

    try:
        # Unlike a probe this leaves the host, so the user's proxies and certificates apply.
        with (
            httpx.Client(trust_env=True, follow_redirects=False, timeout=timeout) as client,
            client.stream("GET", url, headers={"User-Agent": "deployctl", "Connection": "close"}) as answer,
        ):
            status = answer.status_code
    except Exception as error:  # noqa: BLE001  the texts of httpx and of proxies may contain the URL
        result.set_result(refusal(error))
        return
    moved = " (a redirect, which is not followed: use its target)" if 300 <= status < 400 else ""
    result.set_result(None if 200 <= status < 300 else f"status {status}{moved}")
