"""The program that passes one notification to Apprise. `notifier.py` starts it, and kills it at the time limit.

It reads one JSON document from stdin, because other users can read a program's arguments and environment, and writes a
line of JSON for each URL as soon as its result is known. Texts of Apprise or of a server are never passed on, because
they repeat URLs, which contain passwords: all reasons are texts of this file.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import threading
from contextvars import ContextVar
from typing import Any

MISSING = "Apprise is not installed: pip install 'deployctl[notify]'"
UNUSABLE = "Apprise does not support this service, or the URL is incomplete"
# Patterns in Apprise's log, and the reasons that are reported; the first match is used.
_CAUSES = (
    (r"Connection refused", "connection refused"),
    (
        r"Name or service not known|name resolution|nodename nor servname|Failed to resolve",
        "the host name does not resolve",
    ),
    (r"CERTIFICATE_VERIFY_FAILED|SSLError", "TLS failed, or the certificate is not trusted"),
    (r"[Tt]imed out", "no answer in time"),
    (r"No route to host|Network is unreachable", "no route to the host"),
    (r"[Cc]onnection [Ee]rror|Connection aborted|Connection reset", "the connection was closed"),
)


# The URL of the current thread. Threads of Apprise inherit it.
_number: ContextVar[int] = ContextVar("number", default=-1)


class _Listener(logging.Handler):
    """Keeps what Apprise logs about each URL, in memory."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: dict[int, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        number = _number.get()
        self.texts[number] = self.texts.get(number, "") + record.getMessage()[:4000] + "\n"

    def cause(self) -> str:
        """Why the delivery to the calling thread's URL failed, as a text of this file."""
        text = self.texts.get(_number.get(), "")
        status = re.search(r"error=([1-5][0-9]{2})\b", text)
        if status:
            return f"status {status[1]}"
        return next((words for pattern, words in _CAUSES if re.search(pattern, text)), "not accepted")


def main() -> None:
    """Sends to all URLs in parallel, and ends the process."""
    # The terminal sends Ctrl-C to this process too. Python's own handler would wait for Apprise's threads.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    task: dict[str, Any] = json.load(sys.stdin)
    # The kernel ends this process if the notifier cannot.
    signal.setitimer(signal.ITIMER_REAL, task["limit"])
    out = os.dup(1)
    # The output of plugins must not mix with the results.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _send(task, out)
    # Not sys.exit, which would wait for threads of Apprise.
    os._exit(0)


def _send(task: dict[str, Any], out: int) -> None:
    def report(number: int, kind: str, error: str) -> None:
        line = json.dumps({"number": number, "kind": kind, "error": error})
        # One write, so that lines of threads do not mix and a kill leaves only complete ones.
        os.write(out, line.encode() + b"\n")

    listener = _Listener()
    log = logging.getLogger("apprise")
    log.addHandler(listener)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        import apprise
    except ImportError:
        for number in range(len(task["urls"])):
            report(number, "", MISSING)
        return
    asset = apprise.AppriseAsset(
        app_id="deployctl", app_desc="deployctl", app_url="", async_mode=False, secure_logging=True
    )

    def one(number: int, url: str) -> None:
        _number.set(number)
        kind = ""
        try:
            service = apprise.Apprise.instantiate(url, asset=asset)
            if service is None:
                report(number, "", UNUSABLE)
                return
            kind = str(service.service_name)
            sender = apprise.Apprise(asset=asset)
            sender.add(service)
            accepted = sender.notify(
                body=task["body"],
                title=task["title"],
                notify_type=getattr(apprise.NotifyType, task["severity"].upper()),
                body_format=apprise.NotifyFormat.TEXT,
            )
            report(number, kind, "" if accepted else listener.cause())
        except Exception as error:  # noqa: BLE001  a plugin may raise anything, and its text may contain the URL
            report(number, kind, f"failed with {type(error).__name__}")

    # Before the threads start: Apprise fills its table of services at the first URL, and not thread-safely.
    apprise.Apprise.instantiate("json://localhost", asset=asset)
    threads = [threading.Thread(target=one, args=(number, url), daemon=True) for number, url in enumerate(task["urls"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
