"""`config check` and `config report-schema`."""

from __future__ import annotations

from pathlib import Path

from tests.unit.cli.running import Run, document, expect


def test_all_problems_at_once(run: Run, app: Path) -> None:
    app.write_text('[app]\nname = "My Model"\n[health]\ntimeout = "soon"\n[prox]\n')
    done = run("config", "check", "--json")
    expect(done, 2)
    error = document(done)["error"]
    assert error["code"] == 2
    paths = [finding["path"] for finding in error["findings"]]
    assert {"app.name", "health.timeout", "prox"} <= set(paths)
    for finding in error["findings"]:
        assert set(finding) == {"path", "message", "hint"}
        assert f"{finding['path']}: {finding['message']}" in done.stderr


def test_secrets_that_are_not_available(run: Run, app: Path, tmp_path: Path) -> None:
    app.write_text(app.read_text() + '[run]\nsecrets = { token = "env:SECRET_TOKEN", db = "file:db" }\n')
    done = run("config", "check", "--json")
    expect(done, 2)
    exposed, missing = document(done)["error"]["findings"]
    assert {exposed["path"], missing["path"]} == {"run.secrets.db"}
    assert missing["message"] == f"there is no file {tmp_path}/db"
    assert "would become part of the image" in exposed["message"]
    # A missing file is an error; a variable is set by the user who releases.
    (tmp_path / "db").write_text("hunter2hunter2")
    (tmp_path / ".dockerignore").write_text("db\n")
    assert document(run("config", "check", "--json"))["notes"] == [
        "run.secrets.token: the variable SECRET_TOKEN is not set"
    ]
    done = run("config", "check")
    expect(done, 0)
    assert "note: run.secrets.token: the variable SECRET_TOKEN is not set" in done.stderr
    assert document(run("config", "check", "--json", SECRET_TOKEN="hunter2hunter2"))["notes"] == []
    (tmp_path / ".dockerignore").unlink()
    done = run("config", "check", SECRET_TOKEN="hunter2hunter2")
    expect(done, 2)
    assert "run.secrets.db: " in done.stderr
    assert "is in the build context, and would become part of the image" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_the_schema_of_each_document_is_printed(run: Run) -> None:
    done = run("config", "report-schema")
    expect(done, 0)
    names = done.stdout.splitlines()
    assert {"status", "proxy up", "error"} <= set(names)
    assert document(run("config", "report-schema", "--json")) == {"schema_version": 1, "reports": names}
    schema = document(run("config", "report-schema", "proxy", "up"))
    assert (schema["title"], schema["required"]) == ("ProxyReport", ["schema_version", "proxy"])
    done = run("config", "report-schema", "weather")
    expect(done, 2)
    assert "error: unknown report 'weather'" in done.stderr
