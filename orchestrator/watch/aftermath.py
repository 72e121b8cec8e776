"""What follows a pass, without the app's lock: notifications, the heartbeat, the metrics file."""

from __future__ import annotations

from orchestrator.config import Config
from orchestrator.config.config import under
from orchestrator.errors import DeployctlError
from orchestrator.ports.services import Services
from orchestrator.reports.metrics import write_textfile
from orchestrator.watch.notices import notice
from orchestrator.watch.passes import Passed


def aftermath(services: Services, passed: Passed) -> None:
    """Notifies people, and sends the heartbeat when all is well. What fails here is noted and recorded, not raised."""
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
    """Sends the notifications about what a look has changed or found."""
    for what, text in passed.events:
        notice(services, config, what, passed.version or "", text, previous=passed.previous)
