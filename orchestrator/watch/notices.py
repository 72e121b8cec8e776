"""Notifications about an app. A notification that cannot be sent is recorded; it never makes a command fail."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from orchestrator.config import Config, printable
from orchestrator.config.config import under
from orchestrator.config.notify import Notice
from orchestrator.errors import DeployctlError
from orchestrator.files import NotRegular, TooLarge, read_small
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.release.result import Result

URLS = "DEPLOYCTL_NOTIFY_URLS"

# For each notification: its severity, its usual title without the app's name, and the command that shows more.
_KINDS: dict[Notice, tuple[str, str, str]] = {
    "released": ("success", "{} is live", "status"),
    "rolled back": ("warning", "{} is live again", "history"),
    "healed": ("info", "{} was repaired", "status"),
    "degraded": ("failure", "{} is degraded", "doctor"),
    "recovered": ("success", "{} has recovered", "status"),
}


def addresses(config: Config, environ: Mapping[str, str]) -> tuple[tuple[str, ...], list[str]]:
    """The URLs of notify.urls, of notify.urls_file and of the environment, in this order, without duplicates.

    Also returns what is wrong with notify.urls_file, in words.
    """
    problems: list[str] = []
    listed = _lines(config, problems) if config.notify.urls_file else []
    urls = [*config.notify.urls, *listed, *environ.get(URLS, "").split()]
    return tuple(dict.fromkeys(urls)), problems


def send_notice(
    services: Services,
    config: Config,
    what: Notice,
    version: str,
    text: str,
    *,
    title: str = "",
    command: str | None = None,
) -> None:
    """Sends a notification to all URLs of `config`, which must be read from the file: the ledger stores no URLs.

    `version` is the one that it is about, `title` its title without the app's name (default: the usual one of `what`),
    `text` the reason, and `command` the next command (`"logs v2"`). Failures are reported and recorded, not raised.
    """
    if what not in config.notify.on:
        return
    urls, problems = addresses(config, services.host.environ)
    if not urls and not problems:
        return
    severity, usual_title, usual = _KINDS[what]
    app = config.app.name
    words = title or usual_title.format(version)
    body = _body(services, config, text, command or usual)
    if urls:
        try:
            failure = services.notifier.tell(
                urls, f"{app}: {words}", body, severity=severity, timeout=config.notify.timeout
            )
        except Exception as error:  # noqa: BLE001  an internal error in sending must not make the command fail
            failure = f"internal error: {type(error).__name__}"
        if failure:
            problems.append(failure)
    _record(services, app, what, version, "; ".join(problems))


def notify_deployed(services: Services, config: Config, result: Result) -> None:
    """Sends the notification about a deployment that succeeded; none when there was nothing to do."""
    deployment = result.deployment
    if deployment is None:
        return
    version, old = deployment.to_version, deployment.from_version
    rollout = services.ledger.open_rollout(deployment.app)
    commit = f", from commit {deployment.git_commit[:10]}" if deployment.git_commit else ""
    took = f", in {result.seconds:.1f} s{commit}."
    who = deployment.actor
    what: Notice = "released"
    title = ""
    if deployment.kind == "abort":
        what, title = "rolled back", f"{version} was aborted; {old} has all requests"
        why = f": {deployment.reason}" if deployment.reason else ""
        text = f"{who} aborted {version}{why}; {old} has all requests{took}"
    elif rollout is not None and rollout.preview:
        title = f"{version} answers at its preview address"
        text = f"{who} released {version} for a preview{took} Next: deployctl promote, or deployctl abort."
    elif rollout is not None:
        title = f"{version} gets {rollout.share / 100:g} % of the requests"
        text = f"{who} gave {version} {rollout.share / 100:g} % of the requests of {old}{took}"
    else:
        instead = " with a new configuration" if version == old else f" instead of {old}" if old else ""
        text = f"{who} made {version} live{instead}{took}"
        if deployment.kind == "rollback":
            what, title = "rolled back", f"{old} rolled back to {version}"
    send_notice(services, config, what, version, text, title=title)


@frozen
class Delivery:
    """The result of a test notification: for each URL None, or why the delivery failed.

    `problems` is what is wrong with notify.urls_file, in words.
    """

    replies: tuple[str | None, ...]
    problems: list[str]


def send_test(services: Services, config: Config) -> Delivery:
    """Sends a test notification to all URLs, regardless of `notify.on`. Records nothing."""
    urls, problems = addresses(config, services.host.environ)
    title = f"{config.app.name}: test notification"
    body = _body(services, config, "This is a test. Notifications about this app are sent to this address.", "status")
    return Delivery(
        services.notifier.deliver(urls, title, body, severity="info", timeout=config.notify.timeout), problems
    )


def _body(services: Services, config: Config, text: str, command: str) -> str:
    words = ["deployctl", "--file", str(config.base / Path(config.source).name)]
    if services.names.state_id != "default":
        words += ["--state-dir", str(services.state_dir)]
    when = services.wall().strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{text}\n\nhost: {services.host.hostname()}\nwhen: {when}\nnext: {shlex.join(words)} {command}"


def _record(services: Services, app: str, what: Notice, version: str, why: str) -> None:
    if why:
        services.reporter.note(f"the notification '{what}' was not delivered to every URL: {why}")
    try:
        detail = {"notice": what, "version": version, **({"why": why} if why else {})}
        services.ledger.event(app, "notification-failed" if why else "notified", detail)
        services.ledger.count(app, "notification-failed" if why else "notification")
    except DeployctlError as error:
        services.reporter.note(f"the notification '{what}' could not be recorded: {error}")


def _lines(config: Config, problems: list[str]) -> list[str]:
    """The URLs of notify.urls_file. No message quotes a line of it."""
    path = under(config.base, config.notify.urls_file or "")
    where = f"notify.urls_file: {printable(path)}"
    try:
        lines = read_small(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        problems.append(f"{where} is not UTF-8")
        return []
    except (NotRegular, TooLarge) as error:
        problems.append(f"{where} is {error.strerror}")
        return []
    except OSError as error:
        problems.append(f"{where} cannot be read: {error.strerror}")
        return []
    urls: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if "://" not in text:
            problems.append(f"{where}, line {number}: not a URL")
            continue
        urls.append(text)
    return urls
