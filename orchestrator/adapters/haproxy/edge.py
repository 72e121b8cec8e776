"""Starts, reloads and repairs HAProxy.

A configuration is checked before it replaces haproxy.cfg, and haproxy.cfg is restored when the reload fails: the
proxy can always start from the configuration on disk.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.adapters.haproxy import render
from orchestrator.adapters.haproxy.container import ProxyContainer, shipped
from orchestrator.adapters.haproxy.files import CONFIG, NEW, VERSIONS, ProxyFiles
from orchestrator.adapters.haproxy.runtime import Runtime
from orchestrator.adapters.haproxy.traffic import HAProxyTraffic
from orchestrator.domain.traffic.route import ProxyApp, Route
from orchestrator.domain.traffic.routing import split_listen
from orchestrator.domain.traffic.state import TrafficState
from orchestrator.errors import ProxyError, UsageError
from orchestrator.ports.progress import Progress

_NEW_CONFIG = f"{CONFIG}{NEW}"
# Time limit of a start or a reload. Seconds.
_START_LIMIT = 15.0
_IPV6 = Path("/proc/net/if_inet6")
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

    # The program

    def state(self) -> str:
        return self._container.state()

    def up(self, apps: Sequence[ProxyApp], progress: Progress) -> None:
        self._files.prepare()
        if self._runtime.answers():
            return
        progress.detail("starting the proxy")
        self._write(_wanted(apps)[0])
        self._container.start(progress.detail)
        self._await(self._runtime.answers, "start")

    def down(self) -> None:
        self._container.remove()

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
        self._files.update(VERSIONS, texts[VERSIONS])
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
        for key, address in (("proxy.listen", route.listen), ("proxy.metrics", route.metrics)):
            if not address:
                continue
            line = f"  {render.bind(_on_this_host(address))}\n"
            if line not in self._files.config() or self.state() != "running":
                _check_free(key, address)

    # Compared with the ledger

    def drift(self, apps: Sequence[ProxyApp], states: Mapping[str, TrafficState]) -> list[str]:
        names = [name for name, text in _wanted(apps)[0].items() if self._files.read(name) != text]
        return [*names, *self._traffic.drift(states)]

    def repair(
        self, app: str, apps: Sequence[ProxyApp], states: Mapping[str, TrafficState], progress: Progress
    ) -> list[str]:
        repaired: list[str] = []
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

    # Inside

    def _write(self, texts: Mapping[str, str]) -> list[str]:
        """Writes files whose text has changed; returns their names."""
        return [name for name, text in texts.items() if self._files.update(name, text)]

    def _reload(self, digest: str) -> None:
        reloads, failed = self._runtime.reloads()
        self._runtime.ask("reload")

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
                why=_last_alert(str(error)),
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
                    why=_last_alert(log),
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
    text, digest = render.configuration(shipped(CONFIG), apps, threads)
    # The configuration last: a proxy that starts in between has the versions of the new one.
    return {VERSIONS: render.versions_map(apps), CONFIG: text}, digest


def _route_on_this_host(route: Route) -> Route:
    return replace(route, listen=_on_this_host(route.listen), metrics=_on_this_host(route.metrics))


def _on_this_host(address: str) -> str:
    """The address to listen at: all addresses are those of IPv4 where the kernel has no IPv6."""
    return f"0.0.0.0{address[1:]}" if address.startswith("*:") and not _IPV6.exists() else address


def _check_free(key: str, address: str) -> None:
    host, port = split_listen(_on_this_host(address))
    try:
        # An address of both families has a socket for each, as in `render.bind`.
        for family, name in _sockets("::" if host == "*" else host):
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                # Without SO_REUSEPORT: the attempt must fail when any process listens there.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((name, port))
                probe.listen(1)
    except OSError as error:
        why, hint = _unusable(error, port)
        raise UsageError(f"{key}: {address} cannot be used", why=why, hint=hint) from error


def _unusable(error: OSError, port: int) -> tuple[str, str]:
    """Why an address cannot be used, and what to do about it."""
    reason = os.strerror(error.errno or 0)
    if error.errno == errno.EACCES:
        # The proxy runs as the owner of the state folder, in the network of the host.
        return (
            f"{reason}: ports below 1024 are privileged, and user {os.geteuid()} may not use them",
            "run deployctl as root, choose a port from 1024 on, or allow the port to all users:"
            f" sysctl net.ipv4.ip_unprivileged_port_start={port}",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{reason}: no network interface of this machine has it", "choose an address that 'ip address' lists"
    why = "another process uses it" if error.errno == errno.EADDRINUSE else reason
    return why, f"choose another address, or find the process: ss -ltnp 'sport = :{port}'"


def _sockets(host: str) -> list[tuple[socket.AddressFamily, str]]:
    if host == "::":
        return [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    return [(socket.AF_INET6 if ":" in host else socket.AF_INET, host)]


def _last_alert(log: str) -> str:
    alerts = [line for line in log.splitlines() if "[ALERT]" in line or "[emerg]" in line]
    return alerts[-1] if alerts else "its log contains no alert"
