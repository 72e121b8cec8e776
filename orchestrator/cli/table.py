"""Every command: its name, the module that holds it, and its line in `deployctl --help`.

`deployctl --help` is built from this table alone. The module of a command is imported when the command runs, so that
one command does not load the dependencies of the others.
"""

from __future__ import annotations

from orchestrator.frozen import frozen

_COMMANDS = "orchestrator.cli.commands"


@frozen
class Entry:
    """`module` has an attribute `app`, a typer.Typer with one command or a group; `help` is the first line of its help.

    `help` has at most 60 characters, so that it fits on a terminal of 80 columns.
    """

    module: str
    help: str
    hidden: bool = False


def _entry(module: str, help: str, *, hidden: bool = False) -> Entry:
    return Entry(f"{_COMMANDS}.{module}", help, hidden)


TABLE: dict[str, Entry] = {
    "init": _entry("init", "Write a commented deploy.toml"),
    "plan": _entry("plan", "Show what a release or a rollback would do"),
    "release": _entry("release", "Build a version and make it live"),
    "promote": _entry("promote", "Give the candidate its next share, or all requests"),
    "hold": _entry("hold", "Keep the rollout where it is"),
    "resume": _entry("resume", "Let a held rollout go on"),
    "abort": _entry("abort", "Send all requests back, and stop the candidate"),
    "rollback": _entry("rollback", "Make the previous stable version live again"),
    "maintenance": _entry("maintenance", "Answer requests with 503, or hold them, at the proxy"),
    "recover": _entry("recover", "Finish or undo an interrupted deployment, and repair drift"),
    "prune": _entry("prune", "Remove versions beyond the retention limit"),
    "remove": _entry("remove", "Remove an app and everything that belongs to it"),
    "status": _entry("status", "Show what is live and how a rollback would go"),
    "list": _entry("list", "List the apps of the state folder"),
    "history": _entry("history", "List deployments and rollouts, newest first"),
    "events": _entry("events", "List events: deployments, repairs and notifications"),
    "tree": _entry("tree", "Draw the versions as a tree of parents"),
    "show": _entry("show", "Show all recorded facts about a version"),
    "diff": _entry("diff", "Compare two versions: files, tensors, settings, image"),
    "log": _entry("log", "List the versions that changed a file"),
    "who-was-live": _entry("who_was_live", "Show which version was live at a time, and who released it"),
    "verify": _entry("verify", "Compare files, images and containers with the ledger"),
    "doctor": _entry("doctor", "Check the requirements of a deployment"),
    "logs": _entry("logs", "Print the logs of a version's containers"),
    "exec": _entry("exec", "Run a program in a container of the live version"),
    "metrics": _entry("metrics", "Print metrics of all apps in Prometheus format"),
    "watchdog": _entry("watchdog", "Watch the live version, and repair or roll it back"),
    "notify": _entry("notify", "Send a test notification to every configured URL"),
    "proxy": _entry("proxy", "Manage the reverse proxy"),
    "config": _entry("config", "Check deploy.toml, or print its JSON Schema"),
    "completion": _entry("completion", "Print a completion script for bash, zsh or fish"),
    "__complete": _entry("complete", "Print the completion candidates for a word", hidden=True),
}
