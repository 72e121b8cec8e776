"""Watching several apps that went live together: when one fails its bake, all are rolled back.

The command that released them does this, as long as it watches. The watchdog handles each app separately, and rolls
back only the one that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.config import Config
from orchestrator.domain.rollout.way_back import way_back
from orchestrator.errors import Degraded, DeployctlError, DeploymentFailed
from orchestrator.ports.services import Services
from orchestrator.release.joint import with_file
from orchestrator.release.recover import at_rest
from orchestrator.release.result import Result
from orchestrator.release.rollback import roll_back
from orchestrator.release.together import named
from orchestrator.watch.bake import Baked, Progress, looks
from orchestrator.watch.passed import LOOK_EVERY
from orchestrator.watch.waiting import Bake, watch_bake


def watch_together(
    services: Services, results: Sequence[Result], report: Callable[[str], None], *, detach: bool = False
) -> dict[str, Bake]:
    """Watches the new versions until their bakes are over; the apps without one are missing. `detach` returns at once.

    Raises:
        DeploymentFailed: one failed its bake and was rolled back, and so were the others.
        Degraded: one failed its bake, and there is no version to roll back to.
        Interrupted: a signal came; the bakes continue.
    """
    moved = [each for each in results if each.deployment is not None]
    if detach:
        found = {_app(each): watch_bake(services, _config(each), lambda progress: None, detach=True) for each in moved}
        return {app: bake for app, bake in found.items() if bake is not None}
    return _Watch(services, moved, report).until_stable()


class _Watch:
    """One look at each app in turn, then a pause."""

    def __init__(self, services: Services, moved: Sequence[Result], report: Callable[[str], None]) -> None:
        self._services = services
        self._moved = moved
        self._report = report

    def until_stable(self) -> dict[str, Bake]:
        services = self._services
        live = {_app(each): services.live(_app(each)) for each in self._moved}
        baking = [each for each in self._moved if (now := live[_app(each)]) is not None and now.baking]
        if baking:
            services.reporter.step(f"watch {', '.join(f'{_app(each)} {each.version}' for each in baking)}")
        looking = {
            _app(each): looks(named(services, _app(each)), _config(each), self._reporting(each)) for each in baking
        }
        ended: dict[str, Bake] = {}
        while looking:
            for app in list(looking):
                try:
                    next(looking[app])
                except StopIteration as end:
                    del looking[app]
                    baked: Baked | None = end.value
                    now = live[app]
                    if baked is not None and now is not None:
                        why = baked.why if baked.outcome == "replaced" else ""
                        ended[app] = Bake(baked.outcome, now.bake_until, baked.seconds, why)
                except DeploymentFailed as error:
                    raise self._rolled_back(app, error) from error
                except Degraded as error:
                    error.message = f"{app}: {error.message}"
                    raise
            if looking:
                services.sleep(LOOK_EVERY)
        return ended

    def _reporting(self, result: Result) -> Callable[[Progress], None]:
        return lambda progress: self._report(f"{_app(result)}: {progress}")

    def _rolled_back(self, bad: str, error: DeploymentFailed) -> DeployctlError:
        """Rolls back the others, one after another; returns what to raise."""
        error.hint = with_file(error.hint, next(_config(each) for each in self._moved if _app(each) == bad))
        failed: list[DeployctlError] = []
        back = []
        for each in self._moved:
            if _app(each) == bad:
                continue
            try:
                if self._roll_back(each, bad):
                    back.append(_app(each))
            except DeployctlError as second:
                second.message = f"{bad} failed its bake, and {_app(each)} could not be rolled back: {second.message}"
                failed.append(second)
        if failed:
            return failed[0]
        error.message = f"{bad}: {error.message}"
        if back:
            error.message += f"; rolled back with it: {', '.join(back)}"
        return error

    def _roll_back(self, result: Result, bad: str) -> bool:
        """Rolls back an app, if it is still as this command left it and had a version before."""
        app, config = _app(result), _config(result)
        services = named(self._services, app)
        with services.locks.app(app):
            observed = at_rest(services, app)
            live, deployment = observed.live, result.deployment
            if live is None or deployment is None or live.deployment != deployment.id:
                return False
            back = way_back(observed) if result.previous not in (None, result.version) else None
            if back is None or back.mode == "gone":
                services.reporter.note(f"{result.version} stays live: there is no version to roll back to")
                return False
            reason = f"{bad}, released together with it, failed its bake"
            roll_back(services, config, observed, back, actor=services.actor(config.base), reason=reason)
        return True


def _app(result: Result) -> str:
    return _config(result).app.name


def _config(result: Result) -> Config:
    assert result.config is not None, "a release has a configuration"
    return result.config
