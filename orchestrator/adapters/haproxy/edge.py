"""Starts, reloads and repairs HAProxy.

A configuration is checked before it replaces haproxy.cfg, and haproxy.cfg is restored when the reload fails: the
proxy can always start from the configuration on disk.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from orchestrator.adapters.haproxy import names, render, rows
from orchestrator.adapters.haproxy.container import NEXT, ROLES, ProxyContainer, last_alert, shipped
from orchestrator.adapters.haproxy.files import CONFIG, HOLD, MOVED, REPLICAS, VERSIONS, ProxyFiles
from orchestrator.adapters.haproxy.files import NEW as CHECKED
from orchestrator.adapters.haproxy.listening import check_free, on_this_host
from orchestrator.adapters.haproxy.replacement import Replacement
from orchestrator.adapters.haproxy.rows import FRONTENDS, Refused
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.adapters.haproxy.sockets import Sockets
from orchestrator.adapters.haproxy.traffic import HAProxyTraffic
from orchestrator.domain.traffic.program import Leaving, Program, Refusals
from orchestrator.domain.traffic.route import ProxyApp, Route
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError
from orchestrator.ports.progress import Progress

_NEW_CONFIG = f"{CONFIG}{CHECKED}"
# Time limit of a start or a reload. Seconds.
_START_LIMIT = 15.0
# A running proxy answers within a millisecond, a paused one never. Seconds.
_QUICK = 1.0


class HAProxyEdge:
    """Implements ports.edge.Edge. `files`, `runtime` and `traffic` are those of the same folder."""

    def __init__(
        self,
        files: ProxyFiles,
        runtime: Runtime,
        container: ProxyContainer,
        traffic: HAProxyTraffic,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files
        self._runtime = runtime
        self._container = container
        self._traffic = traffic
        self._sleep = sleep
        self._clock = clock
        self._sockets = Sockets(files.folder)
        self._replacement = Replacement(self._sockets, runtime, container, sleep=sleep, clock=clock)

    # The program

    def state(self) -> str:
        state = self._container.state()
        # While a proxy is replaced, there is a moment at which only the new one has a name, and not yet its own.
        return self._container.state(NEXT) if state == "missing" and self._replacement.begun() else state

    def changed_files(self, apps: Sequence[ProxyApp]) -> list[str]:
        texts, digest = _wanted(apps)
        if self._runtime.loaded() != digest:
            del texts[CONFIG], texts[HOLD]
        return [name for name, text in texts.items() if self._files.read(name) != text]

    def up(self, apps: Sequence[ProxyApp], progress: Progress) -> None:
        self._files.prepare()
        if self._replacement.begun():
            self._replacement.settle()
        if self._runtime.answers():
            return
        progress.detail("starting the proxy")
        self._replacement.settle()
        self._write(_wanted(apps)[0])
        self._container.start(progress.detail)
        self._await(self._runtime.answers, "start")
        # One that was replaced has served until now, if it runs.
        self._replacement.settle()

    def down(self) -> None:
        for role in ROLES:
            self._container.remove(role)
        self._sockets.end()

    def reload(self) -> None:
        wrong = self._container.check(CONFIG)
        if wrong:
            raise ProxyError("the proxy's configuration on disk is invalid", why=wrong, hint="deployctl recover")
        self._reload(self._files.digest())

    # The configuration

    def apply(self, apps: Sequence[ProxyApp], progress: Progress) -> bool:
        self.up(apps, progress)
        texts, digest = _wanted(apps)
        if self._runtime.config() == digest:
            self._write(texts)
            return False
        self._write({name: text for name, text in texts.items() if name != CONFIG})
        before = self._files.config()
        self._files.write(_NEW_CONFIG, texts[CONFIG])
        try:
            wrong = self._container.check(_NEW_CONFIG)
            if wrong:
                raise ProxyError(
                    "the proxy rejects its new configuration", why=wrong, hint="this is an internal error; report it"
                )
            self._files.write(CONFIG, texts[CONFIG])
            try:
                self._reload(digest)
            except ProxyError:
                self._files.write(CONFIG, before)
                raise
        finally:
            self._files.remove(_NEW_CONFIG)
        return True

    def check_listen(self, route: Route) -> None:
        for key, address in (
            ("proxy.listen", route.listen),
            ("proxy.preview", route.preview),
            ("proxy.metrics", route.metrics),
        ):
            if not address:
                continue
            line = f"  {render.bind(on_this_host(address))}\n"
            if line not in self._files.config() or self.state() != "running":
                check_free(f"proxy.{key}", address)

    # Compared with the ledger

    def drift(self, apps: Sequence[ProxyApp], states: Mapping[str, TrafficState]) -> list[str]:
        files = [name for name, text in _wanted(apps)[0].items() if self._files.read(name) != text]
        return [*files, *self._traffic.drift(states)]

    def repair(
        self, app: str, apps: Sequence[ProxyApp], states: Mapping[str, TrafficState], progress: Progress
    ) -> list[str]:
        interrupted = self._replacement.settle() if self._replacement.begun() else ""
        repaired = [interrupted] if interrupted else []
        loaded = self._runtime.loaded(_QUICK)
        # The engine is used only when the proxy does not answer, because its requests are slow.
        if loaded is None and self._container.state() == "paused":
            self._container.start(progress.detail)
            repaired.append("the proxy was unpaused")
        texts, digest = _wanted(apps)
        # Missing maps are not created empty: they were lost.
        self._files.prepare_folder()
        restored = [*self._traffic.restore_files(app, states), *self._write(texts)]
        repaired += [f"{name} restored from the ledger" for name in restored]
        if loaded is None:
            loaded = self._runtime.loaded()
        if loaded is None:
            if self._container.state() == "running":
                self._container.restart()
            self.up(apps, progress)
            repaired.append("the proxy was started")
            loaded = self._runtime.config()
        if loaded != digest:
            self._reload(digest)
            repaired.append("the proxy's configuration was reloaded")
        return repaired + self._traffic.restore_running()

    # Another program

    def program(self) -> Program | None:
        try:
            info = self._runtime.tell(self._runtime.workers(patience=0)[0], "show info")
        except ProxyError:
            return None
        image = self._container.image()
        return Program(f"HAProxy {rows.value(info.splitlines(), 'Version', ':')}", image.built_at if image else None)

    def build(self, progress: Progress) -> str:
        self._replacement.refuse_second()
        self._files.prepare()
        return self._container.build(progress)

    def upgrade(self, image: str, apps: Sequence[ProxyApp], progress: Progress) -> None:
        self._files.prepare()
        self._replacement.settle()
        if self._container.state() not in ("running", "paused"):
            self._start_with(image, apps, progress)
            return
        self.apply(apps, progress)
        if differing := self._traffic.differing():
            raise ProxyError(
                f"the files on disk do not match the running proxy: {', '.join(differing)}",
                hint="deployctl recover restores the files, then run 'deployctl proxy upgrade' again",
            )
        self._replacement.replace(image, _wanted(apps)[1], progress)

    def _start_with(self, image: str, apps: Sequence[ProxyApp], progress: Progress) -> None:
        """Starts a proxy of this image where none runs. When it does not start, the next one has the old image."""
        before = self._container.use(image)
        self._container.remove()
        try:
            self.up(apps, progress)
        except ProxyError:
            if before is not None:
                self._container.remove()
                self._container.use(before)
            raise
        if before is not None:
            self._container.forget(before)

    def leaving(self) -> Leaving | None:
        return self._replacement.leaving() if self._replacement.begun() else None

    def refusals(self, listens: Sequence[str]) -> list[Refusals]:
        totals = self._runtime.steady(self._refused)
        found = [(listen, totals.get(names.frontend(on_this_host(listen)), Refused())) for listen in listens]
        return [Refusals(listen, each.denied, each.unreadable, each.answers) for listen, each in found]

    def _refused(self) -> dict[str, Refused]:
        totals: dict[str, Refused] = {}
        for worker in self._runtime.workers():
            for name, each in rows.refused(self._runtime.tell(worker, rows.stat(FRONTENDS))).items():
                totals[name] = totals.get(name, Refused()) + each
        return totals

    # Inside

    def _write(self, texts: Mapping[str, str]) -> list[str]:
        """Writes files whose text has changed; returns their names."""
        return [name for name, text in texts.items() if self._files.update(name, text)]

    def _reload(self, digest: str) -> None:
        reloads, failed = self._runtime.reloads()
        # HAProxy 3.0 answers when it has loaded the configuration, or has failed to.
        self._runtime.ask("reload", timeout=_START_LIMIT)

        def loaded() -> bool:
            try:
                now, now_failed = self._runtime.reloads()
                if now_failed > failed:
                    raise _ReloadFailed("\n".join(self._container.logs(20)))
                return now > reloads and self._runtime.config() == digest
            except ProxyError:
                # The master closes its socket while it restarts itself.
                return False

        try:
            self._await(loaded, "reload")
        except _ReloadFailed as error:
            raise ProxyError(
                "the proxy could not load its new configuration; it keeps the old one",
                why=last_alert(str(error)),
                hint="check whether another process uses one of its listen addresses: ss -ltnp",
                details=str(error),
            ) from error

    def _await(self, done: Callable[[], bool], doing: str) -> None:
        end = self._clock() + _START_LIMIT
        while not done():
            if self._clock() > end:
                log = "\n".join(self._container.logs(20))
                raise ProxyError(
                    f"the proxy did not {doing} within {_START_LIMIT:g} s",
                    why=last_alert(log),
                    hint="deployctl doctor",
                    details=log,
                )
            self._sleep(0.02)


class _ReloadFailed(Exception):
    """The master reports that a reload failed; the text is the end of its log."""


def _wanted(apps: Sequence[ProxyApp]) -> tuple[dict[str, str], str]:
    """The files for `apps`, by name, and the digest of the configuration's structure."""
    # One thread is faster than two on two busy cores, because the models need the others.
    threads = max(1, (os.cpu_count() or 1) // 4)
    apps = [replace(app, route=_route_on_this_host(app.route)) for app in apps]
    hold = shipped(HOLD)
    # A changed program needs a reload as well.
    template = shipped(CONFIG).replace("@hold@", hashlib.sha256(hold.encode()).hexdigest()[:12])
    text, digest = render.configuration(template, apps, threads)
    versions, replicas = render.versions_map(apps), render.replicas_map(apps)
    # The configuration last: a proxy that starts in between has the versions of the new one.
    return {VERSIONS: versions, REPLICAS: replicas, MOVED: "", HOLD: hold, CONFIG: text}, digest


def _route_on_this_host(route: Route) -> Route:
    return replace(
        route,
        listen=on_this_host(route.listen),
        preview=on_this_host(route.preview),
        metrics=on_this_host(route.metrics),
    )
