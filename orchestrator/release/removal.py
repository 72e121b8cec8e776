"""Removal: an app and everything that belongs to it. Other apps are not touched, and none of their requests fails.

    lock the app → record the removal → end its traffic → containers → images → files → schedules → its records

The record comes first, so every later command that changes the app finishes a removal that was interrupted: what is
still there is found again, and each part may be removed twice. The app's rows in the ledger are needed to find it, so
they go last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.config.config import under
from orchestrator.domain import naming
from orchestrator.domain.record.removal import history
from orchestrator.domain.traffic.slot import SLOTS
from orchestrator.domain.version.version import Version
from orchestrator.domain.watch.schedule import Entry
from orchestrator.errors import EngineUnreachable, HostError, OperationFailed, ProxyError, UsageError
from orchestrator.files import read_small
from orchestrator.ports.services import Services
from orchestrator.release.observe import observe, refuse_unrecorded
from orchestrator.release.open_requests import wait_until_closed
from orchestrator.text import counted

# After a signal, open requests get so many seconds, as in a deployment.
_GRACE = 1.0
_RUNNING = ("running", "paused", "restarting")


@dataclass
class Belongings:
    """What belongs to an app, by name. `live` serves at `listen`; None when nothing does.

    `left` is what stays although it has to do with the app, as sentences. `cut` counts requests that were open at the
    drain limit. `freed` is the size in bytes of what was removed from the store; None before the removal.
    """

    app: str
    live: str | None = None
    listen: str | None = None
    versions: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    schedules: list[Entry] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    cut: int = 0
    freed: int | None = None
    proxy_removed: bool = False


def belongings(services: Services, app: str) -> Belongings:
    """What a removal would remove. Changes nothing.

    Raises:
        UsageError: the state folder has no such app.
        Locked: another command works on the app.
        LedgerDamaged: the app has containers, and the ledger has no record of it.
    """
    _refuse_unknown(services, app)
    with services.locks.app(app):
        return _belongings(services, app)


def remove(services: Services, app: str) -> Belongings:
    """Removes an app; returns what was removed. Holds the app's lock.

    When it is interrupted, the next command for the app finishes it.

    Raises:
        UsageError: the state folder has no such app.
        Locked: another command works on the app.
        EngineUnreachable: the engine does not answer.
    """
    _refuse_unknown(services, app)
    with services.locks.app(app):
        _refuse_unknown(services, app)  # another command may have removed it in the meantime
        found = _belongings(services, app)
        services.interrupts.check()
        services.ledger.begin_removal(app, services.actor(services.state_dir), services.command)
        return _remove(services, found)


def finish_removal(services: Services, app: str) -> Belongings | None:
    """Finishes a removal that was interrupted; None when there is none. The caller holds the app's lock."""
    if services.ledger.removal(app) is None:
        return None
    services.reporter.note(f"finishing the removal of {app}, which was interrupted")
    return _remove(services, _belongings(services, app))


def _refuse_unknown(services: Services, app: str) -> None:
    known = services.ledger.apps()
    if app in known:
        return
    with suppress(EngineUnreachable):
        refuse_unrecorded(services, observe(services, app))
    raise UsageError(
        f"there is no app {app} in the state folder {services.state_dir}",
        why=f"its apps are: {', '.join(known)}" if known else "it has no apps",
        hint="deployctl list, or select another folder with --state-dir",
    )


def _belongings(services: Services, app: str) -> Belongings:
    versions = services.ledger.versions(app)
    live, known = services.live(app), services.ledger.proxy_app(app)
    found = Belongings(app, live.version if live else None, known.route.listen if live and known else None)
    found.versions = list(versions)
    found.containers = [container.name for container in services.workloads.containers(app)]
    found.images = [tag or image_id for tag, image_id in _images(services, app, versions)]
    _find_schedules(services, found)
    for repository in sorted({v.pushed.partition("@")[0] for v in versions.values() if v.pushed}):
        names = ", ".join(v.name for v in versions.values() if (v.pushed or "").startswith(f"{repository}@"))
        found.left.append(f"the images of {names} in the registry, as {repository}")
    found.left += [f"the volume {name}" for name in _named_volumes(versions)]
    return found


def _find_schedules(services: Services, found: Belongings) -> None:
    try:
        entries = services.scheduler.entries(found.app)
    except HostError as error:
        found.left.append(f"a schedule of the watchdog, if there is one: {error}")
        return
    for entry in entries:
        if entry.state_dir == str(services.state_dir):
            found.schedules.append(entry)
        else:
            found.left.append(f"the schedule in {entry.place}, which is for another state folder")


def _images(services: Services, app: str, versions: Mapping[str, Version]) -> list[tuple[str, str]]:
    """The names and ids of the app's images that the engine has: those recorded, and those of interrupted builds."""
    recorded = {(version.image, version.image_id) for version in versions.values() if not version.pruned_at}
    labels = {naming.LABEL_APP: app, naming.LABEL_STATE: services.names.state_id}
    found = {pair for pair in recorded if services.images.find(pair[1]) is not None}
    return sorted(found | set(services.images.labelled(labels)))


def _named_volumes(versions: Mapping[str, Version]) -> list[str]:
    volumes = {str(volume) for v in versions.values() for volume in v.settings.get("run", {}).get("volumes", ())}
    return sorted({volume.split(":")[0] for volume in volumes if not volume.startswith("/")})


def _remove(services: Services, found: Belongings) -> Belongings:
    services.interrupts.disarm()
    parts: dict[str, tuple[str, Callable[[Services, Belongings], None]]] = {
        "traffic": ("end the traffic", _end_traffic),
        "containers": ("remove the containers", _remove_containers),
        "images": ("remove the images", _remove_images),
        "files": ("remove model files and secrets", _remove_files),
        "schedules": ("remove the schedule of the watchdog", _remove_schedules),
        "records": ("remove the records", _remove_records),
    }
    for name, (words, act) in parts.items():
        services.reporter.step(words)
        services.boundary("before", name)
        try:
            act(services, found)
        except OperationFailed as error:
            error.message = f"{found.app} is not removed completely: {error.message}"
            error.hint = "; ".join(filter(None, (error.hint, f"then repeat: deployctl remove {found.app}")))
            raise
        services.boundary("acted", name)
    return found


def _end_traffic(services: Services, found: Belongings) -> None:
    """New requests are refused at once; those that are open may finish, up to the drain limit."""
    app, limit = found.app, _drain_limit(services, found.app)
    with services.locks.proxy():
        # The ledger first: the next command of another app would restore what the proxy alone has forgotten.
        services.ledger.remove_proxy_app(app)
        services.traffic.forget(app)
    # Without the lock: other apps may be released in the meantime.
    _let_finish(services, found, limit)
    with services.locks.proxy():
        others = services.ledger.proxy_apps()
        if not others:
            found.proxy_removed = services.edge.state() != "missing"
            services.edge.down()
        elif services.edge.state() == "running":
            services.edge.apply(others, services.progress)


def _let_finish(services: Services, found: Belongings, limit: float) -> None:
    def shortened(waited: float) -> float:
        return waited + _GRACE if services.interrupts.pending else math.inf

    with suppress(ProxyError):  # without the proxy no request is open
        for slot in SLOTS:
            left, waited = wait_until_closed(services, found.app, slot, limit, f"in {slot}", shortened)
            if left:
                found.cut += services.endpoints.cut(found.app, slot)
                services.reporter.note(
                    f"{counted(left, 'request')} in {slot} {'was' if left == 1 else 'were'} cut after {waited:g} s"
                )


def _drain_limit(services: Services, app: str) -> float:
    """The longest drain limit of the versions in the slots, in seconds."""
    limits = [0.0]
    for state in services.ledger.slots(app).values():
        limits.append(float(services.ledger.settings(app, state.version).get("proxy", {}).get("drain", 0)))
    return max(limits)


def _remove_containers(services: Services, found: Belongings) -> None:
    for container in services.workloads.containers(found.app):
        services.reporter.detail(container.name)
        if container.state in _RUNNING:
            services.workloads.stop(container)
        services.workloads.remove(container)
    with services.locks.proxy():  # another app must not create the network at the same moment
        services.workloads.tidy()


def _remove_images(services: Services, found: Belongings) -> None:
    found.images = []
    for tag, image_id in _images(services, found.app, services.ledger.versions(found.app)):
        name = tag or image_id
        if services.images.remove(tag, image_id):
            found.images.append(name)
        elif (kept := services.images.find(name)) is not None and kept.id == image_id:
            found.left.append(f"the image {name}, which a container of another program uses")


def _remove_files(services: Services, found: Belongings) -> None:
    app, ledger = found.app, services.ledger

    def unused() -> set[str]:
        others = [other for other in ledger.apps() if other != app]
        if any(ledger.open_deployment(other) for other in others):
            return set()  # it may be about to record one of these manifests
        needed = {version.manifest for other in others for version in ledger.versions(other).values()}
        return {version.manifest for version in ledger.versions(app).values()} - needed

    found.freed = services.models.forget(app, unused)
    services.secrets.forget(app)
    services.source_control.tidy(app)
    for place in _textfiles(services, app):
        with suppress(OSError):
            # Only its own: the file of metrics may be another program's by now.
            if f'{{app="{app}"' in read_small(place).decode(errors="replace"):
                place.unlink()


def _textfiles(services: Services, app: str) -> set[Path]:
    settings = [version.settings for version in services.ledger.versions(app).values()]
    return {
        under(Path(str(each.get("base", "/"))), str(file))
        for each in settings
        if (file := each.get("watchdog", {}).get("textfile"))
    }


def _remove_schedules(services: Services, found: Belongings) -> None:
    for entry in list(found.schedules):
        try:
            services.scheduler.remove(entry)
        except HostError as error:
            found.schedules.remove(entry)
            found.left.append(f"the schedule in {entry.place}: {error}")


def _remove_records(services: Services, found: Belongings) -> None:
    removal = services.ledger.removal(found.app)
    by = removal.actor if removal is not None else services.host.user()
    command = removal.command if removal is not None else services.command
    versions = services.ledger.versions(found.app).values()
    kept = history(versions, services.ledger.deployments(found.app, -1))
    services.ledger.remove_app(found.app, {"by": by, "command": command, **kept})
