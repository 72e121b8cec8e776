"""Notices: tell people what has become of an app. A notice that cannot be sent is recorded and spoils nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config import Config, printable
from orchestrator.config.config import under
from orchestrator.config.notify import Notice
from orchestrator.errors import DeployctlError
from orchestrator.files import NotRegular, TooLarge, read_small
from orchestrator.ports.services import Services
from orchestrator.release.release import Result

URLS = "DEPLOYCTL_NOTIFY_URLS"

# For each notice: how bad it is, how its title ends, and the command that says more.
_KINDS: dict[Notice, tuple[str, str, str]] = {
    "released": ("success", "{version} is live", "status"),
    "rolled back": ("warning", "{previous} rolled back to {version}", "history"),
    "healed": ("info", "{version} was healed", "status"),
    "degraded": ("failure", "{version} is degraded", "doctor"),
    "recovered": ("success", "{version} has recovered", "status"),
}


def addresses(config: Config, environ: Mapping[str, str]) -> tuple[tuple[str, ...], list[str]]:
    """The URLs of the file, of the file that it names and of the environment, in this order; and what is wrong."""
    problems: list[str] = []
    listed = _lines(config, problems) if config.notify.urls_file else []
    urls = [*config.notify.urls, *listed, *environ.get(URLS, "").split()]
    # Somebody who is named twice is told once.
    return tuple(dict.fromkeys(urls)), problems


def notice(
    services: Services,
    config: Config,
    what: Notice,
    version: str,
    text: str,
    *,
    previous: str | None = None,
    command: str | None = None,
) -> None:
    """Tells everybody in `config`, which must come from the file: the ledger keeps no URLs.

    `version` is what serves now, `previous` what did before, `text` the reason, and `command` what to type next
    (`"logs v2"`). Nothing that goes wrong here is raised: it is noted and recorded.
    """
    if what not in config.notify.on:
        return
    urls, problems = addresses(config, services.host.environ)
    if not urls and not problems:
        return
    severity, title, usual = _KINDS[what]
    app = config.app.name
    words = title.format(version=version, previous=previous or "the version before")
    body = _body(services, config, text, command or usual)
    if urls:
        try:
            told = services.notifier.tell(
                urls, f"{app}: {words}", body, severity=severity, timeout=config.notify.timeout
            )
        except Exception as error:  # noqa: BLE001  what has happened is done: a bug in telling it must not undo it
            told = f"a bug in deployctl: {type(error).__name__}"
        if told:
            problems.append(told)
    _record(services, app, what, version, "; ".join(problems))


def deployed(services: Services, config: Config, result: Result) -> None:
    """The notice of a release or a rollback that somebody asked for, and that ended well."""
    made = result.deployment
    if made is None:
        return
    commit = f", from commit {made.git_commit[:10]}" if made.git_commit else ""
    instead = f" instead of {result.previous}" if result.previous else ""
    text = f"{made.actor} made {result.version} live{instead}, in {result.seconds:.1f} s{commit}."
    what: Notice = "released" if made.kind == "release" else "rolled back"
    notice(services, config, what, result.version, text, previous=result.previous)


@dataclass(frozen=True)
class Trial:
    """What became of a test: for each URL None or why it did not take it; and what is wrong with the list of URLs."""

    replies: tuple[str | None, ...]
    problems: list[str]


def trial(services: Services, config: Config) -> Trial:
    """Tells everybody that this is only a test, whatever `notify.on` says. Records nothing."""
    urls, problems = addresses(config, services.host.environ)
    title = f"{config.app.name}: a test of deployctl"
    body = _body(services, config, "Nothing has happened. Notifications of this app arrive here.", "status")
    return Trial(services.notifier.deliver(urls, title, body, severity="info", timeout=config.notify.timeout), problems)


def _body(services: Services, config: Config, text: str, command: str) -> str:
    words = ["deployctl", "--file", str(config.base / Path(config.source).name)]
    if services.names.state_id != "default":
        words += ["--state-dir", str(services.state_dir)]
    when = services.wall().strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{text}\n\nhost: {services.host.hostname()}\nwhen: {when}\nnext: {shlex.join(words)} {command}"


def _record(services: Services, app: str, what: Notice, version: str, why: str) -> None:
    if why:
        services.reporter.note(f"the notification '{what}' did not reach everybody: {why}")
    try:
        if why:
            services.ledger.event(app, "notification-failed", {"notice": what, "version": version, "why": why})
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
            problems.append(f"{where}, line {number}: no URL")
            continue
        urls.append(text)
    return urls
