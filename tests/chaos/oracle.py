"""The conditions that must hold after every fault, after the next command has run."""

from __future__ import annotations

from orchestrator.adapters.haproxy.files import ProxyFiles
from orchestrator.domain.naming import LABEL_DEPLOYMENT, LABEL_SLOT, LABEL_VERSION
from orchestrator.domain.traffic.slot import Slot
from tests.engine.harness import App, Reply


def at_rest(app: App, serving: str) -> None:
    """Ledger, routes.map, running proxy and labels agree; recovery has nothing to do; nothing is left over."""
    assert app.serving() == serving
    status = app.json("status")
    assert status["problems"] == []
    assert status["state"] == "stable"
    assert status["deployment"] is None
    live, previous = status["live"], status["previous"]
    assert live["version"] == serving
    # the proxy's running map, and the file
    assert status["proxy"]["route"] == live["slot"]
    assert live_in_file(app) == live["slot"]
    # the containers' labels
    known = {row["version"] for row in _rows(app.json("tree")["versions"]) if row["mark"] != "pruned"}
    warm = [] if previous is None or previous["rollback"]["mode"] != "switch" else [previous["version"]]
    for container in app.engine_containers():
        if LABEL_DEPLOYMENT not in container.labels or container.labels["deployctl.app"] != app.name:
            continue
        version = container.labels[LABEL_VERSION]
        assert version in known, f"{container.name} belongs to no version"
        if container.status == "running":
            assert version in (serving, *warm), f"{container.name} runs, and neither serves nor is kept warm"
            if version == serving:
                assert container.labels[LABEL_SLOT] == live["slot"]
    assert [path for path in app.left_over() if path.endswith((".tmp", ".new"))] == []
    copies = app.state_dir / "models" / app.name
    assert {path.name for path in copies.iterdir()} <= known if copies.exists() else True
    again = app.json("recover")
    assert (again["deployment"], again["repaired"], again["failed"]) == (None, [], [])


def live_in_file(app: App) -> Slot | None:
    """The slot that gets the requests of clients, according to routes.map."""
    return ProxyFiles(app.state_dir / "proxy").states()[app.name].live


def outside(replies: list[Reply], begin: float, end: float) -> list[Reply]:
    """The failed requests that ran at no time between `begin` and `end` (monotonic seconds)."""
    return [reply for reply in replies if reply.failed and (reply.ended < begin or reply.started > end)]


def _rows(versions: list[dict[str, object]]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for row in versions:
        rows.append(row)
        rows += _rows(row["children"])  # type: ignore[arg-type]
    return rows
