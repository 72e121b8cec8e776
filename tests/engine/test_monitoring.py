"""Metrics, alerts and the dashboard, with real programs: promtool, Prometheus, node_exporter, HAProxy's exporter."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.harness import App, free_port
from tests.engine.tools import get, running, tool

STACK = Path(__file__).parents[2] / "compose" / "monitoring"
ALERTS = re.findall(r"^ +- alert: (\w+)$", (STACK / "alerts.yml").read_text(), re.MULTILINE)
# The end of a pass of the watchdog.
PASS = """
import sys
from pathlib import Path
from orchestrator import wiring
from orchestrator.cli.console import Console
from orchestrator.domain.watch.passes import Pass
from orchestrator.domain.moments import iso
from orchestrator.reports.metrics import write_textfile
services = wiring.build(Path(sys.argv[1]), command="test", reporter=Console(quiet=True))
app, file = sys.argv[2:]
services.ledger.app_number(app)
services.ledger.record_pass(app, Pass(iso(services.wall()), 0.25, "healthy"), {}, {"pass:healthy": 1})
write_textfile(services, app, Path(file))
"""


@pytest.fixture
def promtool() -> Callable[..., subprocess.CompletedProcess[str]]:
    program = tool("promtool")

    def run(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.fixture
def measured(app: App) -> App:
    """An app whose proxy has an exporter."""
    app.config["proxy"]["metrics"] = f"127.0.0.1:{free_port()}"
    return app


def exporter(app: App, path: str = "/metrics") -> tuple[int, str]:
    return get(f"http://{app.config['proxy']['metrics']}{path}")


def after_a_pass(app: App, name: str, file: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", PASS, str(app.state_dir), name, str(file)],
        env=app.environment(),
        check=True,
        timeout=60,
    )


# --- the files ---------------------------------------------------------------------------------------------------


def test_prometheus_takes_the_files(promtool: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    for arguments in (
        ("check", "config", str(STACK / "prometheus.yml")),
        ("check", "rules", str(STACK / "alerts.yml")),
        ("test", "rules", str(STACK / "alerts_test.yml")),
    ):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_explained(
    promtool: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    shutil.copy(STACK / "alerts_test.yml", tmp_path)
    explained = (STACK / "README.md").read_text()
    rules = (STACK / "alerts.yml").read_text()
    assert len(ALERTS) == 10
    for alert in ALERTS:
        assert f"| `{alert}` |" in explained
        # Without this alert the test must fail, which proves that it checks the alert.
        (tmp_path / "alerts.yml").write_text(rules.replace(f"alert: {alert}\n", "alert: Nothing\n"))
        done = promtool("test", "rules", str(tmp_path / "alerts_test.yml"))
        assert done.returncode == 1, done.stdout
        assert f"alertname: {alert}" in done.stdout + done.stderr


def test_the_dashboard_is_whole() -> None:
    found = json.loads((STACK / "grafana" / "dashboard.json").read_text())
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) == len({panel["title"] for panel in panels})
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["description"]
        assert panel["targets"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
    source = (STACK / "grafana/provisioning/datasources/prometheus.yml").read_text()
    uids = {place["uid"] for place in _datasources(found)}
    assert [f"uid: {uid}\n" in source for uid in uids] == [True]
    # compose.yml mounts it where Grafana reads it.
    folder = "/var/lib/grafana/dashboards"
    assert f"{folder}/deployctl.json" in (STACK / "compose.yml").read_text()
    assert f"path: {folder}\n" in (STACK / "grafana/provisioning/dashboards/deployctl.yml").read_text()


def _datasources(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        for key, value in found.items():
            if key == "datasource":
                yield value
            yield from _datasources(value)
    elif isinstance(found, list):
        for value in found:
            yield from _datasources(value)


# --- HAProxy's exporter ------------------------------------------------------------------------------------------


def test_the_exporter_has_an_address_of_its_own(measured: App) -> None:
    app = measured
    del app.config["proxy"]["metrics"]
    app.release("v1")
    app.config["proxy"]["metrics"] = f"127.0.0.1:{free_port()}"
    app.release("v2")
    status, text = exporter(app)
    assert status == 200
    assert f'haproxy_server_status{{proxy="{app.name}_green",server="s1",state="UP"}} 1\n' in text
    assert exporter(app, "/")[0] == exporter(app, "/metrics/x")[0] == 404
    assert app.get("/metrics")[1]["x-model-version"] == "v2"

    # The next deployment applies a changed address, and closes the old one.
    old = app.config["proxy"]["metrics"]
    app.config["proxy"]["metrics"] = f"127.0.0.1:{free_port()}"
    app.write_config()
    app.run("rollback")
    assert exporter(app)[0] == 200
    with pytest.raises(OSError, match="refused"):
        get(f"http://{old}/metrics")
    assert app.serving() == "v1"

    # An invalid address is refused before anything changes.
    app.config["proxy"]["metrics"] = f"127.0.0.1:{app.port}"
    app.write("v3")
    assert "proxy.metrics: " in app.run("release", "v3", code=2).stderr
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        app.config["proxy"]["metrics"] = f"127.0.0.1:{other.getsockname()[1]}"
        app.write_config()
        error = app.run("release", "v3", code=2).stderr
    assert f"proxy.metrics: {app.config['proxy']['metrics']} cannot be used\n  why: another process uses it" in error
    assert [row["to"] for row in app.json("history")["deployments"]] == ["v1", "v2", "v1"]


# --- all together ------------------------------------------------------------------------------------------------


class Prometheus:
    """A real Prometheus, queried through its API."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str, **query: str) -> Any:
        status, text = get(f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}")
        assert status == 200, (query, text)
        return json.loads(text)["data"]

    def value(self, expression: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def eventually(self, expression: str) -> list[dict[str, Any]]:
        """The result, as soon as there is one: scrapes take a second."""
        end = time.monotonic() + 15
        while not (found := self.value(expression)):
            assert time.monotonic() < end, (expression, self.ask("targets"))
            time.sleep(0.1)
        return found


def expressions() -> Iterator[str]:
    """The queries of the dashboard, as Grafana sends them."""
    dashboard = json.loads((STACK / "grafana" / "dashboard.json").read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    found += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
    found += [
        re.sub(r"label_values\((\w+), \w+\)", r"\1", item["definition"]) for item in dashboard["templating"]["list"]
    ]
    for text in found:
        yield text.replace("${app}", "(mymodel)").replace("$app", "(mymodel)").replace("$__rate_interval", "1m")


def names(expression: str) -> set[str]:
    """The metrics in an expression, outside quotes."""
    return set(re.findall(r"\b(?:deployctl|haproxy|node)_\w+", re.sub(r'"[^"]*"', '""', expression)))


@pytest.fixture
def scraped(measured: App, tmp_path: Path) -> Iterator[Prometheus]:
    """The stack of compose/monitoring, with the same files, other ports, and a scrape each second."""
    prometheus = tool("prometheus")
    node_exporter = tool("prometheus-node-exporter", "node_exporter")
    app = measured
    app.release("v1")
    for _ in range(5):
        assert app.serving() == "v1"
    folder = tmp_path / "textfiles"
    folder.mkdir()
    after_a_pass(app, app.name, folder / f"{app.name}.prom")
    # Two apps in one folder must not have the same sample.
    after_a_pass(app, "other", folder / "other.prom")
    node, own = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    text = (STACK / "prometheus.yml").read_text()
    for old, new in (("15s", "1s"), ("127.0.0.1:8405", app.config["proxy"]["metrics"]), ("127.0.0.1:9100", node)):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "prometheus.yml").write_text(text)
    shutil.copy(STACK / "alerts.yml", tmp_path)
    collectors = ["--collector.disable-defaults", "--collector.textfile", f"--collector.textfile.directory={folder}"]
    files = [f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
    with (
        running(
            [node_exporter, *collectors, f"--web.listen-address={node}"],
            tmp_path / "node.log",
            ready=f"http://{node}/metrics",
        ),
        running(
            [prometheus, *files, f"--web.listen-address={own}"],
            tmp_path / "prometheus.log",
            ready=f"http://{own}/-/ready",
        ),
    ):
        yield Prometheus(own)
    assert "collected before" not in (tmp_path / "node.log").read_text()


def test_prometheus_sees_it_all(
    scraped: Prometheus, measured: App, promtool: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (live,) = scraped.eventually(f'deployctl_app_live_info{{app="{measured.name}"}}')
    assert (live["metric"]["version"], live["metric"]["slot"]) == ("v1", "blue")
    query = f'haproxy_backend_http_responses_total{{proxy="{measured.name}_blue", code="2xx"}}'
    (answered,) = scraped.eventually(query)
    assert int(answered["value"][1]) >= 5
    (good,) = scraped.value(f'deployctl_watchdog_last_success_timestamp_seconds{{app="{measured.name}"}}')
    assert abs(float(good["value"][1]) - time.time()) < 60
    assert [found["value"][1] for found in scraped.value("node_textfile_scrape_error")] == ["0"]
    assert len(scraped.value("deployctl_engine_up == 1")) == 2

    # The metrics of the alerts and the dashboard exist, and Prometheus accepts the queries.
    there = set(scraped.ask("label/__name__/values"))
    rules = [rule for group in scraped.ask("rules")["groups"] for rule in group["rules"]]
    assert [rule["name"] for rule in rules] == ALERTS
    asked = [*expressions(), *(rule["query"] for rule in rules)]
    assert {name for text in asked for name in names(text)} - there == set()
    for name in ("haproxy_backend_http_responses_total", "deployctl_watchdog_passes_total"):
        scraped.eventually(f"rate({name}[1m])")  # needs two scrapes
    answers = {text: scraped.value(text) for text in asked}
    assert [text for text in expressions() if not answers[text] and not text.endswith("> 0")] == []

    # No alert fires, and the alert about the live slot finds the servers of this slot.
    assert [rule["name"] for rule in rules if answers[rule["query"]]] == []
    (slot_down,) = (rule["query"] for rule in rules if rule["name"] == "HaproxySlotDown")
    assert slot_down.endswith("== 0")
    (up,) = scraped.value(slot_down.removesuffix("== 0"))
    assert (up["metric"]["app"], up["value"][1]) == (measured.name, "1")

    # The command prints the same with and without an engine, and promtool accepts it.
    for env in ({}, {"DOCKER_HOST": "unix:///nonexistent"}):
        printed = measured.run("metrics", env=env)
        assert ("some metrics are missing" in printed.stderr) == bool(env)
        assert f'deployctl_engine_up{{app="{measured.name}"}} {0 if env else 1}\n' in printed.stdout
        done = promtool("check", "metrics", text=printed.stdout)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
