"""Doctor: looks at everything that a deployment needs, says what is wrong and how to mend it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.config import Config
from orchestrator.errors import DeployctlError
from orchestrator.ports.services import Services
from orchestrator.reports.status import status

_LOW_DISK = 1 << 30


@dataclass(frozen=True)
class Check:
    """One thing looked at. `hint` says how to mend it when it is not ok."""

    name: str
    ok: bool
    found: str
    hint: str = ""


def doctor(services: Services, config: Config) -> list[Check]:
    """All checks, in the order in which things depend on each other."""
    app = config.app.name
    checks = [_guard("engine", lambda: _engine(services))]
    checks.append(_state_dir(services))
    checks.append(_disk(services))
    checks.append(_guard("ledger", lambda: _ledger(services, app)))
    checks.append(_guard("listen", lambda: _listen(services, config)))
    if checks[0].ok:
        checks.append(_guard("proxy", lambda: _proxy(services)))
        if config.registry.push:
            checks.append(_guard("registry", lambda: _registry(services, config.registry.push or "")))
        checks.append(_guard("app", lambda: _app(services, config)))
    return checks


def _guard(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except DeployctlError as error:
        return Check(name, False, str(error), error.hint)


def _engine(services: Services) -> Check:
    found = services.engine.ping()
    return Check("engine", True, f"Docker {found['version']}, API {found['api']}")


def _state_dir(services: Services) -> Check:
    folder = services.state_dir
    usable = os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    return Check("state folder", usable, str(folder), "mend its owner, or use --state-dir" if not usable else "")


def _disk(services: Services) -> Check:
    free = shutil.disk_usage(services.state_dir).free
    low = free < _LOW_DISK
    return Check(
        "disk",
        not low,
        f"{free / (1 << 30):.1f} GiB free",
        "deployctl prune; docker system df" if low else "",
    )


def _ledger(services: Services, app: str) -> Check:
    count = len(services.ledger.versions(app))
    return Check("ledger", True, f"{count} version(s) of {app}")


def _listen(services: Services, config: Config) -> Check:
    services.proxy.check_listen(config.route())
    return Check("listen", True, config.proxy.listen)


def _proxy(services: Services) -> Check:
    state = services.proxy.state()
    apps = services.ledger.proxy_apps()
    wanted = bool(apps)
    if wanted and (damaged := services.proxy.drift(apps)):
        found = f"{state}, but not what the ledger says: {', '.join(damaged)}"
        return Check("proxy", False, found, "deployctl recover restores the files")
    ok = state == "running" or not wanted
    return Check("proxy", ok, state if wanted else f"{state} (no app needs it yet)", "" if ok else "deployctl recover")


def _registry(services: Services, repository: str) -> Check:
    services.engine.check_registry(repository)
    return Check("registry", True, f"{repository} answers")


def _app(services: Services, config: Config) -> Check:
    found = status(services, config.app.name, config.proxy.listen)
    problems: list[str] = found["problems"]
    return Check(
        "app",
        not problems,
        "; ".join(problems) or str(found["state"]),
        "" if not problems else "deployctl recover",
    )
