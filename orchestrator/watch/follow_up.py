"""What follows a pass, after the app's lock was released: notifications, the heartbeat, the metrics file."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.config.config import under
from orchestrator.errors import DeployctlError
from orchestrator.ports.services import Services
from orchestrator.reports.metrics import write_textfile
from orchestrator.watch.notices import send_notice
from orchestrator.watch.passed import Passed


def follow_up(services: Services, passed: Passed) -> None:
    """Sends notifications, sends the heartbeat after a good pass, and writes the metrics file.

    Failures are reported and recorded, not raised.
    """
    config = passed.config
    if config is None:
        return
    notify(services, config, passed)
    if passed.good and config.watchdog.heartbeat:
        failure = services.notifier.beat(config.watchdog.heartbeat, config.notify.timeout)
        if failure:
            services.reporter.note(f"the heartbeat of {passed.app} was not accepted: {failure}")
            services.ledger.event(passed.app, "heartbeat-failed", {"why": failure})
    if config.watchdog.textfile:
        try:
            write_textfile(services, passed.app, under(config.base, config.watchdog.textfile))
        except DeployctlError as error:
            services.reporter.note(f"the metrics of {passed.app} could not be written: {error}")
            services.ledger.event(passed.app, "textfile-failed", {"why": str(error)})


def notify(services: Services, config: Config, passed: Passed) -> None:
    """Sends the notifications about the events of a pass."""
    for what, text, title in passed.events:
        send_notice(services, config, what, passed.version or "", text, title=title)
