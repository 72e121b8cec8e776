"""Doctor: checks everything that a deployment needs, and says how to fix what is wrong. Reads only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from orchestrator.config import Config
from orchestrator.errors import DeployctlError
from orchestrator.frozen import frozen
from orchestrator.ports.services import Services
from orchestrator.reports.proxy import program_text, proxy_program
from orchestrator.reports.status import status
from orchestrator.text import counted

_LOW_DISK = 1 << 30
_MUCH_LEFT = 10 << 30
_REMOVE_LEFT = "deployctl prune --cache"


@frozen
class Check:
    """One check. `next` says how to fix what is wrong; empty when the check passed."""

    name: str
    ok: bool
    message: str
    next: str = ""


@frozen
class DoctorReport:
    """All checks. `ok`: each of them passed."""

    ok: bool
    checks: tuple[Check, ...]


def doctor(services: Services, config: Config) -> DoctorReport:
    """Runs all checks, in the order of their dependencies."""
    app = config.app.name
    checks = [_guard("engine", lambda: _engine(services))]
    checks.append(_state_dir(services))
    checks.append(_disk(services))
    checks.append(_guard("ledger", lambda: _ledger(services, app)))
    if checks[0].ok:
        checks.append(_guard("engine disk", lambda: _engine_disk(services)))
        checks.append(_guard("listen", lambda: _listen(services, config)))
        checks.append(_guard("network", lambda: _network(services, config)))
        checks.append(_guard("proxy", lambda: _proxy(services)))
        if config.registry.push:
            checks.append(_guard("registry", lambda: _registry(services, config.registry.push or "")))
        checks.append(_guard("app", lambda: _app(services, config)))
    return DoctorReport(all(check.ok for check in checks), tuple(checks))


def _guard(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except DeployctlError as error:
        return Check(name, False, str(error), error.hint)


def _engine(services: Services) -> Check:
    engine = services.workloads.version()
    services.workloads.check()
    where = services.workloads.engine()
    return Check("engine", True, f"Docker {engine['version']}, API {engine['api']}, on {where}")


def _state_dir(services: Services) -> Check:
    folder = services.state_dir
    usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    return Check("state folder", usable, str(folder), "" if usable else "fix its owner, or use --state-dir")


def _disk(services: Services) -> Check:
    free = shutil.disk_usage(services.state_dir).free
    low = free < _LOW_DISK
    return Check(
        "disk", not low, f"{free / (1 << 30):.1f} GiB free", "deployctl prune; docker system df" if low else ""
    )


def _engine_disk(services: Services) -> Check:
    usage = services.images.usage()
    left = (
        f"{counted(usage.dangling, 'dangling image')} left by builds ({_gib(usage.dangling_bytes)}),"
        f" build cache {_gib(usage.cache_bytes)}"
    )
    free = _free(usage.folder)
    low = free is not None and free < _LOW_DISK
    shown = left if free is None else f"{_gib(free)} free in {usage.folder}; {left}"
    # They belong to all programs that build on the engine, so deployctl does not remove them by itself.
    if not low and usage.dangling_bytes + usage.cache_bytes > _MUCH_LEFT:
        shown = f"{shown}, which '{_REMOVE_LEFT}' removes"
    return Check("engine disk", not low, shown, _REMOVE_LEFT if low else "")


def _free(folder: str) -> int | None:
    """The free space in a folder; None when it is not on this machine, or may not be read."""
    try:
        return shutil.disk_usage(folder).free if folder else None
    except OSError:
        return None


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"


def _ledger(services: Services, app: str) -> Check:
    count = len(services.ledger.versions(app))
    return Check("ledger", True, f"{counted(count, 'version')} of {app}")


def _listen(services: Services, config: Config) -> Check:
    services.edge.check_listen(config.route())
    return Check("listen", True, config.proxy.listen)


def _network(services: Services, config: Config) -> Check:
    shared = services.workloads.shared_networks(config.network())
    if not shared:
        return Check("network", True, "containers of different apps do not reach each other")
    message = f"containers of different apps reach each other in {', '.join(sorted(shared))}"
    if not any(shared.values()):
        # Somebody made it so on purpose, or has a reason.
        return Check("network", True, f"{message}, which deployctl did not make")
    return Check("network", False, message, "release each app: its new containers go to an isolated network")


def _proxy(services: Services) -> Check:
    state = services.edge.state()
    apps = services.ledger.proxy_apps()
    if not apps:
        return Check("proxy", True, f"{state} (no app uses it yet)")
    if damaged := services.edge.drift(apps, services.ledger.traffic_states()):
        message = f"{state}, but files differ from the ledger: {', '.join(damaged)}"
        return Check("proxy", False, message, "deployctl recover restores the files")
    if state != "running":
        return Check("proxy", False, state, "deployctl recover")
    program, left = proxy_program(services.edge.program()), services.edge.leaving()
    if program is None:
        return Check("proxy", False, f"{state}, but it does not answer", "deployctl recover")
    finishing = f"; the previous proxy still has {left}" if left is not None else ""
    return Check("proxy", True, f"{state}, {program_text(program, services.wall())}{finishing}")


def _registry(services: Services, repository: str) -> Check:
    services.registry.check(repository)
    return Check("registry", True, f"{repository} answers")


def _app(services: Services, config: Config) -> Check:
    report = status(services, config.app.name, config.proxy.listen)
    if report.problems:
        return Check("app", False, "; ".join(report.problems), "deployctl recover")
    return Check("app", True, report.state)
