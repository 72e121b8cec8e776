"""The preset `openai` with real servers: one that has only /v1/models, and one that has only /health."""

from __future__ import annotations

from tests.engine.harness import App, Load, until

MODEL = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
PATH, VERSION = (Path(f"/app/{name}").read_text().strip() for name in ("mode", "version"))
class Model(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    def do_GET(self):
        self.answer(200 if self.path in ("/", PATH) else 404)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200)
    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", str(len(VERSION)))
        self.end_headers()
        self.wfile.write(VERSION.encode())
        self.wfile.flush()
    def log_message(self, *arguments):
        pass
ThreadingHTTPServer(("", 8080), Model).serve_forever()
"""


def up(app: App) -> bool:
    (row,) = app.json("proxy", "status")["apps"]
    return [endpoint["up"] for endpoint in row["endpoints"]] == [True]


def test_the_path_that_a_server_has_is_found_and_kept(app: App) -> None:
    (app.folder / "server.py").write_text(MODEL)
    del app.config["health"]["path"]
    app.config["health"]["preset"] = "openai"
    app.release("v1", "/v1/models")
    assert app.serving() == "v1"
    assert up(app)
    app.run("proxy", "down", "--force")
    app.run("proxy", "up")
    until(lambda: up(app), "the restarted proxy finds v1 healthy")
    assert "GET /v1/models HTTP/1.1" in (app.state_dir / "proxy" / "haproxy.cfg").read_text()
    assert app.watch() == ""
    with Load(app.port, clients=2) as load:
        app.release("v2", "/health")
        assert up(app)
        app.run("rollback")
    assert load.failures() == []
    assert load.order() == ["v1", "v2", "v1"]
    assert up(app)
    assert app.json("verify")["problems"] == []
