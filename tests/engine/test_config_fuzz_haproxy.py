"""A real HAProxy checks hundreds of valid files of the fuzzer, many apps per configuration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.adapters.docker.host_containers import DockerHostContainers
from orchestrator.adapters.docker.host_images import DockerHostImages
from orchestrator.adapters.haproxy import render
from orchestrator.adapters.haproxy.container import ProxyContainer, shipped
from orchestrator.adapters.haproxy.files import HOLD, MESSAGES, MOVED, REPLICAS, ROUTES, VERSIONS
from orchestrator.adapters.haproxy.names import FOLDER
from orchestrator.config import Config
from orchestrator.domain.naming import Names
from orchestrator.domain.traffic.route import ProxyApp
from orchestrator.files import write_atomic
from tests.engine.harness import engine
from tests.unit.fuzz import GOOD, METRICS, fuzzing, good_documents, judge, poison, proxy_app, toml

pytestmark = pytest.mark.engine

FILES, APPS_AT_ONCE = 700, 25
LOOKED_AT = ["app.name", "health.path", "health.model", "proxy.listen", "proxy.host", "proxy.path_prefix"]
LOOKED_AT += ["proxy.metrics", "proxy.preview"]


def configuration(apps: Sequence[ProxyApp]) -> str:
    return render.configuration(shipped("haproxy.cfg"), apps, 2)[0]


class Checker:
    """HAProxy in the proxy's own container: it runs without apps, and checks other configurations."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = Names.of(str(folder))
        self.container = ProxyContainer(
            DockerHostContainers(engine, self.names), DockerHostImages(engine), self.names, folder
        )
        (folder / "run").mkdir()
        write_atomic(folder / HOLD, shipped(HOLD))
        write_atomic(folder / "haproxy.cfg", configuration([]))
        self.maps([])

    def maps(self, apps: Sequence[ProxyApp]) -> None:
        write_atomic(self.folder / ROUTES, render.routes_map({app.name: "blue" for app in apps}))
        write_atomic(self.folder / VERSIONS, render.versions_map(apps))
        write_atomic(self.folder / REPLICAS, render.replicas_map(apps))
        write_atomic(self.folder / MOVED, "")
        write_atomic(self.folder / MESSAGES, "")

    def wrong(self, apps: Sequence[ProxyApp]) -> str:
        """The errors of HAProxy about a configuration of these apps; empty when it is valid."""
        self.maps(apps)
        return self.wrong_text(configuration(apps))

    def wrong_text(self, text: str) -> str:
        write_atomic(self.folder / "fuzz.cfg", text)
        running = engine().containers.get(self.names.proxy)
        # Not quietly, which hides the messages.
        code, output = running.exec_run(["haproxy", "-c", "-f", f"{FOLDER}/fuzz.cfg"])
        # A warning means that a text was misunderstood.
        bad = code != 0 or b"[WARNING]" in output
        return f"exit code {code}: {output.decode(errors='replace')}" if bad else ""


@pytest.fixture
def checker(tmp_path: Path) -> Iterator[Checker]:
    made = Checker(tmp_path)
    try:
        made.container.start(lambda text: None)
        yield made
    finally:
        made.container.remove()


@st.composite
def looked_at(draw: st.DrawFn) -> dict[str, Any]:
    """Valid files with many values for HAProxy, some with unusual characters."""
    document = draw(good_documents())
    for place in draw(st.lists(st.sampled_from(LOOKED_AT), max_size=2, unique=True)):
        if place in ("health.path", "health.model"):
            document.pop("health", None)
        section, _, key = place.partition(".")
        value = draw(st.sampled_from({**GOOD, "proxy.metrics": METRICS}[place]))
        if isinstance(value, str) and draw(st.booleans()):
            value = draw(poison(value))
        document.setdefault(section, {})[key] = value
        if place == "health.model":
            document["health"]["preset"] = "kserve-v2"
    return document


def test_haproxy_takes_every_good_file(checker: Checker) -> None:
    found: list[ProxyApp] = []

    @fuzzing(FILES)
    @given(looked_at())
    def collect(document: dict[str, Any]) -> None:
        config = judge(toml(document))
        if isinstance(config, Config):
            found.append(proxy_app(config, block=1 + len(found) % 100))

    collect()
    assert len(found) >= 300
    print(f"{len(found)} good files")
    for start in range(0, len(found), APPS_AT_ONCE):
        # One name may be in the proxy once only.
        named = {app.name: app for app in found[start : start + APPS_AT_ONCE]}
        rest = [app for app in found[start : start + APPS_AT_ONCE] if named[app.name] is not app]
        apps = [*named.values(), *(replace(app, name=f"app-{start}-{n}") for n, app in enumerate(rest))]
        if wrong := checker.wrong(apps):
            guilty = [app for app in apps if checker.wrong([app])]
            raise AssertionError(f"{wrong}\n{guilty[:1] or apps}")


def test_haproxy_says_so_when_something_gets_through(checker: Checker) -> None:
    """Proves that the check above can fail."""
    assert checker.wrong([]) == ""
    text = configuration([])
    for line in ("  bind x", "  http-request set-var(txn.app) str(x", "  http-request set-header X %[x]", "  evil"):
        assert checker.wrong_text(f"{text}\nfrontend x\n  bind 127.0.0.1:1\n{line}\n"), line
