"""The program as it is typed: help, errors, exit codes, streams. No engine is needed for any of it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import __version__
from orchestrator.cli.main import app as program
from orchestrator.config import json_schema

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-c", "from orchestrator.cli.main import main; main()"]
COMMANDS = (
    "init",
    "plan",
    "release",
    "rollback",
    "status",
    "history",
    "tree",
    "show",
    "recover",
    "logs",
    "exec",
    "prune",
    "doctor",
    "metrics",
    "proxy",
    "config",
    "notify",
    "watchdog",
)
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: these tests wait for many an fsync of the ledger, and prove nothing about the disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs deployctl in an empty folder, with a state folder of its own and no engine."""

    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("DEPLOYCTL_", "DOCKER_", "NO_COLOR"))}
        return subprocess.run(
            [*PROGRAM, *arguments],
            cwd=tmp_path,
            env={
                **clean,
                "PYTHONPATH": str(ROOT),
                "DOCKER_HOST": "unix:///nonexistent",
                "DEPLOYCTL_STATE_DIR": str(tmp_path / "state"),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return call


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A deploy.toml with everything that it names."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / ".dockerignore").write_text("state\n")
    # A loopback address that nothing else uses: nobody ever listens there, but it must be free.
    (tmp_path / "deploy.toml").write_text(
        '[app]\nname = "mymodel"\nport = 8080\n[proxy]\nlisten = "127.77.77.77:38471"\n'
    )
    return tmp_path / "deploy.toml"


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """stdout, which is one JSON document and nothing else."""
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def expect(done: subprocess.CompletedProcess[str], code: int) -> None:
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


# --- help --------------------------------------------------------------------------------------------------------


def test_help_lists_the_commands(run: Run) -> None:
    done = run("--help")
    expect(done, 0)
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ") and line.split()]
    for command in COMMANDS:
        assert command in listed
    for option in ("--file", "--json", "--quiet", "--no-color", "--state-dir", "--version"):
        assert option in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_by_an_example(command: str) -> None:
    done = CliRunner().invoke(program, [command, "--help"])
    assert done.exit_code == 0
    if command not in ("proxy", "config", "watchdog"):
        assert "Example" in done.output


def test_help_is_quick(run: Run) -> None:
    times = []
    for _ in range(2):
        started = time.monotonic()
        run("--help")
        times.append(time.monotonic() - started)
    assert min(times) < 1.5


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    # The help of one command loads the command, and so the ledger's adapter; nothing is connected.
    [(["--help"], []), (["--version"], []), (["init"], []), (["release", "--help"], ["sqlite3"])],
)
def test_what_needs_no_engine_imports_none(tmp_path: Path, arguments: list[str], loaded: list[str]) -> None:
    program = (
        "import sys\nsys.argv[1:] = sys.argv[1:]\nfrom orchestrator.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'docker', 'httpx', 'sqlite3', 'requests', 'tenacity'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == str(loaded)


def test_the_version(run: Run) -> None:
    done = run("--version")
    expect(done, 0)
    assert done.stdout == f"deployctl {__version__}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["release", "--nonsense"], ["show"], ["plan", "dance"]])
def test_what_is_no_command_ends_with_2(run: Run, app: Path, arguments: list[str]) -> None:
    expect(run(*arguments), 2)


@pytest.mark.parametrize(
    ("given", "meant"), [("statsu", "status"), ("who-was-life", "who-was-live"), ("wachdog", "watchdog")]
)
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(run: Run, given: str, meant: str) -> None:
    done = run("--json", given, "status")
    expect(done, 2)
    assert f"Did you mean '{meant}'?" in done.stderr


def test_a_command_that_ends_leaves_the_ledger_in_one_file(run: Run, app: Path, tmp_path: Path) -> None:
    expect(run("history"), 0)
    assert [path.name for path in (tmp_path / "state").glob("ledger*")] == ["ledger.db"]


# --- deploy.toml -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["status"], ["release", "v1"], ["config", "check"], ["doctor"], ["rollback"]])
def test_without_deploy_toml(run: Run, command: list[str]) -> None:
    done = run(*command)
    expect(done, 2)
    assert done.stdout == ""
    assert done.stderr == "error: deploy.toml does not exist\n  next: run 'deployctl init' to write one\n"


def test_init_check_schema(run: Run, tmp_path: Path) -> None:
    done = run("init")
    expect(done, 0)
    assert done.stdout == ""
    assert done.stderr == "done: deploy.toml written; edit it, then run: deployctl config check\n"
    written = (tmp_path / "deploy.toml").read_text()
    assert tomllib.loads(written)["app"] == {"name": "mymodel", "port": 8080}
    assert stat.S_IMODE((tmp_path / "deploy.toml").stat().st_mode) == 0o644

    done = run("config", "check")
    expect(done, 0)
    assert done.stdout == "deploy.toml: valid (app mymodel)\n"

    done = run("config", "schema")
    expect(done, 0)
    found = document(done)
    assert found["$schema"].startswith("https://json-schema.org/")
    assert set(found["properties"]) == {
        "app",
        "build",
        "model",
        "registry",
        "run",
        "health",
        "proxy",
        "rollout",
        "retention",
        "git",
        "watchdog",
        "notify",
    }


def test_init_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "deploy.toml").write_text("precious\n")
    done = run("init")
    expect(done, 2)
    assert done.stderr == "error: deploy.toml already exists\n  next: edit it, or overwrite it with --force\n"
    assert (tmp_path / "deploy.toml").read_text() == "precious\n"
    expect(run("init", "--force"), 0)
    assert (tmp_path / "deploy.toml").read_text() != "precious\n"


def test_init_where_it_cannot_write(run: Run) -> None:
    done = run("init", "--file", "no/such/folder/deploy.toml")
    expect(done, 2)
    assert "cannot be written" in done.stderr


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


def test_secrets_that_are_not_there(run: Run, app: Path, tmp_path: Path) -> None:
    app.write_text(app.read_text() + '[run]\nsecrets = { token = "env:SECRET_TOKEN", db = "file:db" }\n')
    done = run("config", "check", "--json")
    expect(done, 2)
    exposed, missing = document(done)["error"]["findings"]
    assert {exposed["path"], missing["path"]} == {"run.secrets.db"}
    assert missing["message"] == f"there is no file {tmp_path}/db"
    assert "would get into the image" in exposed["message"]
    # A file is there or not; a variable belongs to whoever releases.
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
    assert "is in the build context, and would get into the image" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["2", "V2", "v02", "latest", "v1.0"])
def test_what_is_no_version(run: Run, app: Path, text: str) -> None:
    done = run("release", text)
    expect(done, 2)
    assert f"error: '{text}' is no version" in done.stderr
    assert "next: deployctl release v2" in done.stderr


def test_a_ref_where_there_is_none(run: Run, app: Path) -> None:
    for action in (("release", "v2"), ("plan", "release", "v2")):
        done = run(*action, "--ref", "v1.0")
        expect(done, 2)
        assert "error: --ref needs a Git repository" in done.stderr
    done = run("plan", "rollback", "--ref", "v1.0")
    expect(done, 2)
    assert "error: a rollback takes no --ref" in done.stderr


def test_an_error_steers_no_terminal(run: Run) -> None:
    done = run("status", "--file", "\033[2J\nnext.toml", "--json")
    expect(done, 2)
    assert done.stderr.startswith("error: \\x1b[2J\\nnext.toml does not exist\n  next: ")
    assert document(done)["error"]["message"] == "\033[2J\nnext.toml does not exist"


def test_an_error_as_json(run: Run) -> None:
    done = run("status", "--json")
    expect(done, 2)
    assert document(done) == {
        "schema_version": 1,
        "error": {
            "code": 2,
            "message": "deploy.toml does not exist",
            "why": "",
            "details": "",
            "next": "run 'deployctl init' to write one",
        },
    }
    assert done.stderr.startswith("error: deploy.toml does not exist\n")


@pytest.mark.parametrize("command", [["status"], ["release", "v1"], ["proxy", "up"], ["proxy", "status"]])
def test_an_engine_that_is_not_there(run: Run, app: Path, command: list[str]) -> None:
    done = run(*command)
    expect(done, 3)
    assert done.stdout == ""
    assert "error: the Docker engine does not answer\n  why: its socket does not exist\n" in done.stderr
    assert "next: check that it runs and that you have access: docker version" in done.stderr


def test_a_release_without_an_engine_is_recorded_as_failed(run: Run, app: Path) -> None:
    expect(run("release", "v1"), 3)
    (found,) = document(run("history", "--json"))["deployments"]
    assert (found["outcome"], found["to"], found["from"]) == ("failed", "v1", None)
    assert found["reason"] == "the Docker engine does not answer: its socket does not exist"
    assert document(run("tree", "--json"))["versions"] == []


def test_doctor_without_an_engine(run: Run, app: Path) -> None:
    done = run("doctor", "--json")
    expect(done, 4)
    found = document(done)
    assert found["ok"] is False
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["engine"] == {
        "name": "engine",
        "ok": False,
        "found": "the Docker engine does not answer: its socket does not exist",
        "next": "check that it runs and that you have access: docker version",
    }
    assert checks["ledger"]["ok"]


def test_metrics_do_not_vanish_with_the_engine(run: Run, app: Path) -> None:
    expect(run("metrics"), 0)
    expect(run("release", "v1"), 3)
    app.unlink()  # nothing of it is needed
    done = run("metrics")
    expect(done, 0)
    assert 'deployctl_engine_up{app="mymodel"} 0\n' in done.stdout
    assert 'deployctl_deployments_total{app="mymodel",kind="release",outcome="failed"} 1\n' in done.stdout
    assert done.stderr == (
        "note: some metrics are missing: the Docker engine does not answer: its socket does not exist\n"
    )
    found = document(run("metrics", "--app", "mymodel", "--json"))
    assert found["schema_version"] == 1
    assert "deployctl_engine_up" in {metric["name"] for metric in found["metrics"]}
    done = run("metrics", "--app", "other")
    expect(done, 2)
    assert "why: the apps are: mymodel" in done.stderr


def test_a_state_folder_that_cannot_be_made(run: Run, app: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("status", "--state-dir", str(tmp_path / "file" / "state"))
    expect(done, 2)
    assert "cannot be made" in done.stderr
    assert "next: use --state-dir, or be root" in done.stderr


def test_no_secret_is_shown(run: Run, app: Path) -> None:
    app.write_text(app.read_text() + '[run]\nenv = { TOKEN = "s3cret" }\n')
    for command in (["plan"], ["plan", "--json"], ["config", "check", "--json"], ["release", "v1", "--json"]):
        done = run(*command)
        assert "s3cret" not in done.stdout + done.stderr


def test_the_ledger_is_not_readable_by_others(run: Run, app: Path, tmp_path: Path) -> None:
    run("plan")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "ledger.db").stat().st_mode) == 0o600


@pytest.mark.parametrize("every", ["7m", "10s", "often"])
def test_a_schedule_that_cron_cannot_keep(run: Run, app: Path, every: str) -> None:
    done = run("watchdog", "install", "--every", every)
    expect(done, 2)
    assert "error: " in done.stderr and "  next: " in done.stderr


def test_a_watchdog_that_is_not_installed(run: Run, app: Path) -> None:
    app.write_text(app.read_text().replace("mymodel", "nobody-schedules-this"))
    found = document(run("watchdog", "status", "--json"))
    assert (found["schedules"], found["next"], found["passes"], found["problems"]) == ([], None, [], [])
    done = run("watchdog", "uninstall")
    expect(done, 0)
    assert done.stderr == "done: nothing to remove\n"


# --- options -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--file", "other.toml", "config", "check"],
        ["config", "--json", "check", "--file", "other.toml"],
        ["config", "check", "-f", "other.toml", "--json"],
        ["config", "check", "--file=other.toml", "--json"],
    ],
)
def test_global_options_may_stand_anywhere(run: Run, app: Path, arguments: list[str]) -> None:
    app.rename(app.with_name("other.toml"))
    done = run(*arguments)
    expect(done, 0)
    found = {"schema_version": 1, "file": "other.toml", "app": "mymodel", "findings": [], "notes": []}
    assert document(done) == found


def test_the_environment_stands_behind_the_options(run: Run, app: Path) -> None:
    app.rename(app.with_name("other.toml"))
    done = run("config", "check", DEPLOYCTL_FILE="other.toml", DEPLOYCTL_JSON="1")
    assert document(done)["file"] == "other.toml"
    done = run("config", "check", "--file", "third.toml", DEPLOYCTL_FILE="other.toml")
    expect(done, 2)
    assert "third.toml does not exist" in done.stderr


def test_quiet_leaves_the_errors(run: Run, tmp_path: Path) -> None:
    done = run("init", "--quiet")
    expect(done, 0)
    assert (done.stdout, done.stderr) == ("", "")
    done = run("init", "-q")
    assert "already exists" in done.stderr


def test_colour_is_for_terminals(run: Run, app: Path) -> None:
    for done in (run("plan"), run("status"), run("config", "check")):
        assert "\033" not in done.stdout + done.stderr


# --- plan --------------------------------------------------------------------------------------------------------


def test_plan_says_what_would_happen_and_changes_nothing(run: Run, app: Path, tmp_path: Path) -> None:
    done = run("plan", "release", "v1")
    expect(done, 0)
    assert done.stdout.splitlines()[:3] == [
        "first release of mymodel: v1",
        "  1. build the image mymodel:v1",
        "  2. clear the blue slot",
    ]
    assert document(run("history", "--json"))["deployments"] == []
    assert not (tmp_path / "state" / "proxy").exists()


def test_plan_as_json(run: Run, app: Path) -> None:
    found = document(run("plan", "--json"))
    assert {key: found[key] for key in ("kind", "from", "to", "from_slot", "to_slot", "mode", "changes")} == {
        "kind": "release",
        "from": None,
        "to": "v1",
        "from_slot": None,
        "to_slot": "blue",
        "mode": "create",
        "changes": True,
    }
    assert [step["name"] for step in found["steps"]] == [
        "build",
        "vacate",
        "create",
        "start",
        "join",
        "probe",
        "keep",
        "switch",
        "settle",
    ]
    assert all(set(step) == {"name", "args", "words"} for step in found["steps"])


def test_plan_tells_by_its_exit_code(run: Run, app: Path) -> None:
    expect(run("plan", "--detailed-exitcode"), 10)


@pytest.mark.parametrize("command", [["rollback"], ["plan", "rollback"]])
def test_nothing_to_go_back_to(run: Run, app: Path, command: list[str]) -> None:
    done = run(*command)
    expect(done, 2)
    assert "error: mymodel has no live version" in done.stderr


def test_a_missing_dockerfile(run: Run, app: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").unlink()
    done = run("release", "v1")
    expect(done, 2)
    assert "build.dockerfile:" in done.stderr
    assert document(run("history", "--json"))["deployments"] == []


# --- what is written about it ------------------------------------------------------------------------------------


def test_every_key_of_deploy_toml_is_described_with_its_default() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    schema = json_schema()
    for section, reference in schema["properties"].items():
        name = reference.get("$ref", reference.get("allOf", [{}])[0].get("$ref", "")).rpartition("/")[2]
        described = text.split(f"## [{section}]\n")[1].split("\n## ")[0]
        for key, value in schema["$defs"][name]["properties"].items():
            (row,) = (line for line in described.splitlines() if line.startswith(f"| `{key}` |"))
            if "default" in value:
                assert row.split("|")[2].strip() == f"`{json.dumps(value['default'])}`", row


def test_every_command_that_prints_json_is_described() -> None:
    text = (ROOT / "docs" / "json.md").read_text()
    headings = {name for line in text.splitlines() if line.startswith("## ") for name in line[3:].split(", ")}
    assert set(COMMANDS) - {"exec"} <= headings


def test_this_version_is_in_the_changelog() -> None:
    assert f"## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
