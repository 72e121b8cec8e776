"""The proxy as the use cases see it.

`routes.map` on disk is the truth. A change is written there first (temporary file, fsync, rename), then set
in the running workers, then confirmed by asking them. A proxy that starts again reads the same file.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.adapters.haproxy import render
from orchestrator.adapters.haproxy.container import ProxyContainer, shipped
from orchestrator.adapters.haproxy.files import NEW, ProxyFiles
from orchestrator.adapters.haproxy.runtime import Runtime, Server
from orchestrator.domain.traffic.route import ProxyApp, Route, SlotEndpoints
from orchestrator.domain.traffic.routing import split_listen
from orchestrator.domain.traffic.slot import SLOTS, Slot
from orchestrator.errors import ProxyError, UsageError

if TYPE_CHECKING:
    from orchestrator.domain.traffic.sample import Sample

_NEW = f"haproxy.cfg{NEW}"
_START_LIMIT = 15.0
# A proxy that runs answers within a millisecond; one that is paused never does. Seconds.
_QUICK = 1.0


class HAProxy:
    """One proxy of one state folder. Callers hold the proxy's lock while they change anything."""

    def __init__(
        self,
        folder: Path,
        container: ProxyContainer,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = ProxyFiles(folder)
        self._container = container
        self._runtime = Runtime(folder)
        self._sleep = sleep
        self._clock = clock

    # The container

    def state(self) -> str:
        return self._container.state()

    def up(self, apps: Sequence[ProxyApp], progress: Callable[[str], None]) -> None:
        """Makes the proxy run and answer. One that runs is left alone; one that does not starts with `apps`."""
        self._files.prepare()
        if self._answers():
            return
        progress("starting the proxy")
        text, _ = render.configuration(shipped("haproxy.cfg"), apps, _threads())
        self._write_maps(apps)
        self._files.write("haproxy.cfg", text)
        self._container.start(progress)
        self._await(self._answers, "start", _START_LIMIT)

    def down(self) -> None:
        """Removes the proxy: every app behind it stops answering."""
        self._container.remove()

    def reload(self) -> None:
        """Checks what stands on disk, and has the proxy load it.

        Raises:
            ProxyError: the configuration is wrong, or the proxy could not take it; the old one goes on.
        """
        wrong = self._container.check("haproxy.cfg")
        if wrong:
            raise ProxyError("the proxy's configuration on disk is wrong", why=wrong, hint="deployctl recover")
        self._reload(self._files.digest())

    # The configuration

    def apply(self, apps: Sequence[ProxyApp], progress: Callable[[str], None]) -> bool:
        """Brings the configuration on disk to `apps`; reloads when its structure has changed.

        Returns True when it reloaded.

        Raises:
            ProxyError: HAProxy refuses the configuration; the old one stays, on disk and running.
        """
        self.up(apps, progress)
        text, digest = render.configuration(shipped("haproxy.cfg"), apps, _threads())
        self._write_maps(apps)
        target = self._files.folder / "haproxy.cfg"
        old = target.read_text(encoding="utf-8") if target.exists() else ""
        if self._runtime.config() == digest:
            if text != old:
                self._files.write("haproxy.cfg", text)
            return False
        self._files.write(_NEW, text)
        try:
            wrong = self._container.check(_NEW)
            if wrong:
                raise ProxyError("the proxy refuses its new configuration", why=wrong, hint="this is a bug of ours")
            self._files.write("haproxy.cfg", text)
            try:
                self._reload(digest)
            except ProxyError:
                self._files.write("haproxy.cfg", old)
                raise
        finally:
            (self._files.folder / _NEW).unlink(missing_ok=True)
        return True

    def check_listen(self, route: Route) -> None:
        """Finds out whether a route's addresses are free, before anything changes.

        Raises:
            UsageError: another process has one, or it is no address of this machine.
        """
        for key, address in (("proxy.listen", route.listen), ("proxy.metrics", route.metrics)):
            ours = f"bind {address}\n" in self._files.config() and self.state() == "running"
            if address and not ours:
                _check_free(key, address)

    # Routes

    def route(self, app: str) -> Slot | None:
        """Where the truth on disk sends the app's requests."""
        return self._files.slots("routes.map").get(app)

    def running_route(self, app: str) -> Slot | None:
        """Where the running proxy sends them."""
        (running,) = self._runtime.entries(render.ROUTES)
        return next((slot for slot in SLOTS if slot == running.get(app)), None)

    def drift(self, apps: Sequence[ProxyApp]) -> list[str]:
        """The files that are not what `apps` makes them, by name."""
        text, _ = render.configuration(shipped("haproxy.cfg"), apps, _threads())
        wanted = {"haproxy.cfg": text, **_maps(apps)}
        found = [name for name, shall in wanted.items() if self._files.read(name) != shall]
        return found if self._files.slots_or_none("routes.map") is not None else [*found, "routes.map"]

    def known_routes(self) -> dict[str, Slot]:
        """All routes, from the file, else from the running proxy; none when both are lost."""
        routes = self._files.slots_or_none("routes.map")
        if routes or not self._answers():
            return routes or {}
        (running,) = self._runtime.entries(render.ROUTES)
        return {app: slot for app, found in running.items() for slot in SLOTS if slot == found}

    def route_known(self, app: str) -> bool:
        """True when the truth on disk is readable and says where the app's requests go."""
        return app in (self._files.slots_or_none("routes.map") or {})

    def switch(self, app: str, slot: Slot) -> None:
        """Sends the app's requests to `slot`: disk, then every worker, then confirmation by every worker.

        Raises:
            ProxyError: a worker does not confirm it; the file says again what it said before.
        """
        before = self._files.slots("routes.map")
        self._files.write("routes.map", render.slots_map({**before, app: slot}))
        try:
            self._runtime.set_entry(render.ROUTES, app, slot)
        except ProxyError:
            self._files.write("routes.map", render.slots_map(before))
            if app in before and self._answers():
                self._runtime.set_entry(render.ROUTES, app, before[app])
            raise

    def switched_at(self, app: str) -> float | None:
        """When the app's route was written last, at the latest, in seconds since the epoch; all apps share the file."""
        return self._files.written_at("routes.map") if self.route_known(app) else None

    def forget(self, app: str) -> None:
        """Sends the app's requests nowhere."""
        routes = self._files.slots_or_none("routes.map")
        if routes and app in routes:
            del routes[app]
            self._files.write("routes.map", render.slots_map(routes))
        if self._answers():
            self._runtime.set_entry(render.ROUTES, app, None)

    def set_spare(self, app: str, slot: Slot | None, apps: Sequence[ProxyApp]) -> None:
        """Names the slot that gets the app's requests when nothing of the live one is up; None: there is none."""
        self._files.write("shields.map", _shields_map(apps))
        self._set_spare(app, slot)

    def _set_spare(self, app: str, slot: Slot | None) -> None:
        self._runtime.set_entry(render.SHIELDS, app, slot)

    # Slots

    def activate(self, app: str, slot: Slot, spec: SlotEndpoints) -> None:
        """Points a slot's servers at its containers; each must pass a check before it counts as up."""
        self._runtime.set_entry(render.VERSIONS, render.backend(app, slot), spec.version)

        def act(worker: str, name: str, server: Server) -> None:
            index = int(server.name[1:]) - 1
            if index < len(spec.addresses):
                self._runtime.tell(worker, f"set server {name} addr {spec.addresses[index]} port {spec.probe.port}")
                if server.parked:
                    self._runtime.tell(worker, f"set server {name} state ready")

        self._runtime.each_server(app, slot, act)

    def park(self, app: str, slot: Slot) -> None:
        """Points a slot's servers nowhere: no container gets a check or a request by them."""

        def act(worker: str, name: str, server: Server) -> None:
            if server.name.startswith("b"):
                self._runtime.tell(worker, f"set server {name} state maint")
            self._runtime.tell(worker, f"set server {name} addr {render.PARKED_ADDRESS} port {render.PARKED_PORT}")
            if server.name.startswith("s"):
                # What its last check said was about another address.
                self._runtime.tell(worker, f"set server {name} health down")

        self._runtime.each_server(app, slot, act)

    def wait_up(self, app: str, slot: Slot, count: int, *, timeout: float, cancelled: Callable[[], None]) -> None:
        """Waits until the proxy's own checks have found `count` servers of the slot up. Seconds.

        Raises:
            ProxyError: not within `timeout`.
        """
        limit = self._clock() + timeout
        while True:
            servers = [s for name, s in self._runtime.servers(app, slot).items() if name.startswith("s")]
            if sum(server.up for server in servers) >= count:
                return
            cancelled()
            if self._clock() >= limit:
                seen = ", ".join(f"{s.name} {s.status} {s.check}".strip() for s in servers) or "no server"
                raise ProxyError(
                    f"the proxy does not see {app} in {slot} up",
                    why=f"after {timeout:g} s it says: {seen}",
                    hint="can the proxy reach the containers? deployctl doctor",
                )
            self._sleep(0.01)

    def servers(self, app: str, slot: Slot) -> dict[str, str]:
        """The proxy's own verdict on each server of a slot."""
        found = self._runtime.servers(app, slot)
        return {name: server.status for name, server in found.items() if name.startswith("s")}

    def sessions(self, app: str, slot: Slot) -> int:
        return self._runtime.sessions(app, slot)

    def open_requests(self, app: str, slot: Slot) -> dict[str, int]:
        return {str(index): count for index, count in self._runtime.open_requests(app, slot).items()}

    def samples(self, app: str, slot: Slot) -> dict[str, Sample]:
        return self._runtime.counters(app, slot)

    def cut(self, app: str, slot: Slot) -> int:
        """Ends what is still open on a slot; returns how many that were."""
        count = self.sessions(app, slot)

        def act(worker: str, name: str, server: Server) -> None:
            if server.sessions:
                self._runtime.tell(worker, f"shutdown sessions server {name}")

        self._runtime.each_server(app, slot, act)
        return count

    # Mending

    def repair(
        self, app: str, apps: Sequence[ProxyApp], routes: Mapping[str, Slot], progress: Callable[[str], None]
    ) -> list[str]:
        """Brings disk and running proxy to what the ledger says; returns what had to be mended, in words.

        Other apps' routes are touched only where they are lost: they may be in the middle of a switch.
        """
        mended: list[str] = []
        self._files.prepare()
        loaded = self._loaded(_QUICK)
        # The engine is asked only where the proxy is silent: that costs more than all the rest.
        if loaded is None and self._container.state() == "paused":
            self._container.start(progress)
            mended.append("the proxy woken up")
        found = self._files.slots_or_none("routes.map")
        wanted = {**routes, **(found or {})}
        if app in routes:
            wanted[app] = routes[app]
        if found != wanted:
            self._files.write("routes.map", render.slots_map(wanted))
            mended.append("routes.map restored from the ledger")
        text, digest = render.configuration(shipped("haproxy.cfg"), apps, _threads())
        for name, shall in _maps(apps).items():
            if self._files.read(name) != shall:
                self._files.write(name, shall)
                mended.append(f"{name} restored from the ledger")
        if self._files.config() != text:
            self._files.write("haproxy.cfg", text)
            mended.append("haproxy.cfg restored from the ledger")
        if loaded is None:
            loaded = self._loaded()
        if loaded is None:
            if self._container.state() == "running":
                self._container.restart()
            self.up(apps, progress)
            mended.append("the proxy started")
            loaded = self._runtime.config()
        if loaded != digest:
            self._reload(digest)
            mended.append("the proxy's configuration loaded anew")
        running, spares = self._runtime.entries(render.ROUTES, render.SHIELDS)
        for name, slot in wanted.items():
            if running.get(name) != slot:
                self._runtime.set_entry(render.ROUTES, name, slot)
                mended.append(f"the running proxy's route of {name} set to {slot}")
        spare = next((known.spare for known in apps if known.name == app), None)
        if spares.get(app) != spare:
            self._set_spare(app, spare)
            mended.append(f"the running proxy's spare slot of {app} set to {spare or 'none'}")
        return mended

    # Inside

    def _write_maps(self, apps: Sequence[ProxyApp]) -> None:
        for name, text in _maps(apps).items():
            if self._files.read(name) != text:
                self._files.write(name, text)

    def _answers(self) -> bool:
        return self._loaded() is not None

    def _loaded(self, timeout: float | None = None) -> str | None:
        """The digest of the configuration that the proxy runs; None when it does not answer."""
        # Asked under the proxy's lock, where nobody else reloads: who does not listen now does not run.
        try:
            return self._runtime.config(patience=0, timeout=timeout)
        except ProxyError:
            return None

    def _reload(self, digest: str) -> None:
        reloads, failed = self._runtime.reloads()
        self._runtime.ask("reload")

        def loaded() -> bool:
            try:
                now, now_failed = self._runtime.reloads()
                if now_failed > failed:
                    raise ProxyReloadFailed("\n".join(self._container.logs(20)))
                return now > reloads and self._runtime.config() == digest
            except ProxyReloadFailed:
                raise
            except ProxyError:
                # The master closes its socket while it starts anew.
                return False

        try:
            self._await(loaded, "reload", _START_LIMIT)
        except ProxyReloadFailed as error:
            raise ProxyError(
                "the proxy could not load its new configuration; the old one goes on",
                why=_first_alert(str(error)),
                hint="is one of its listen addresses in use by another process?",
                details=str(error),
            ) from error

    def _await(self, done: Callable[[], bool], doing: str, limit: float) -> None:
        end = self._clock() + limit
        while not done():
            if self._clock() > end:
                raise ProxyError(
                    f"the proxy did not {doing} within {limit:g} s",
                    why=_first_alert("\n".join(self._container.logs(20))),
                    hint="deployctl doctor",
                    details="\n".join(self._container.logs(20)),
                )
            self._sleep(0.02)


def _check_free(key: str, address: str) -> None:
    host, port = split_listen(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Without SO_REUSEPORT: it must fail when anybody at all listens there.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("" if host == "*" else host, port))
            probe.listen(1)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            raise UsageError(
                f"{key}: {address} cannot be used",
                why="another process listens there" if taken else os.strerror(error.errno or 0),
                hint=f"choose another address, or find the process: ss -ltnp 'sport = :{port}'",
            ) from error


class ProxyReloadFailed(ProxyError):
    """The master says that a reload failed."""


def _maps(apps: Sequence[ProxyApp]) -> dict[str, str]:
    """The maps that follow from the ledger alone, by name; routes.map is a truth of its own."""
    return {"versions.map": render.versions_map(apps), "shields.map": _shields_map(apps)}


def _shields_map(apps: Sequence[ProxyApp]) -> str:
    return render.slots_map({app.name: app.spare for app in apps if app.spare})


def _threads() -> int:
    # One thread is faster than two on two busy cores: the models need the others.
    return max(1, (os.cpu_count() or 1) // 4)


def _first_alert(log: str) -> str:
    alerts = [line for line in log.splitlines() if "[ALERT]" in line or "[emerg]" in line]
    return alerts[-1] if alerts else "its log says nothing"
